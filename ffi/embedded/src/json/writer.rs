use std::ffi::c_void;

use barespdk_sys::spdk_json_write_cb;
use serde_json::Value;

/// The writer's memory of what goes wrong: once failed, always failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed;

/// Text is handed on in pieces of up to this many bytes.
const PIECE_LEN: usize = 4096;
/// `SPDK_JSON_WRITE_FLAG_FORMATTED`: with line breaks and indentation.
const FLAG_FORMATTED: u32 = 0x1;

/// What `spdk_json_write_ctx` points to.
#[derive(Debug)]
pub(crate) struct Writer {
    take: spdk_json_write_cb,
    context: *mut c_void,
    formatted: bool,
    /// Text that `take` has not got yet.
    piece: Vec<u8>,
    failed: bool,
    /// Depth of open arrays and objects.
    depth: u32,
    /// Whether the next value is the first one here, so that no comma comes before it.
    first: bool,
    /// Whether an array or object has just been opened.
    opened: bool,
}

impl Writer {
    pub(crate) fn new(take: spdk_json_write_cb, context: *mut c_void, flags: u32) -> Self {
        Self {
            take,
            context,
            formatted: flags & FLAG_FORMATTED != 0,
            piece: Vec::with_capacity(PIECE_LEN),
            failed: false,
            depth: 0,
            first: true,
            opened: false,
        }
    }

    /// Hands on what is left. Tells whether anything has failed.
    pub(crate) fn end(&mut self) -> Result<(), Failed> {
        let flushed = self.flush();
        if self.failed { Err(Failed) } else { flushed }
    }

    /// Forgets the text that was not handed on, and the failure.
    pub(crate) fn reset(&mut self) {
        self.piece.clear();
        self.failed = false;
        self.depth = 0;
        self.first = true;
        self.opened = false;
    }

    fn fail<T>(&mut self) -> Result<T, Failed> {
        self.failed = true;
        Err(Failed)
    }

    fn flush(&mut self) -> Result<(), Failed> {
        let taken = match self.take {
            // SAFETY: who began the writer promised that the function takes this context and
            // pieces of text, until the writer's end.
            Some(take) => unsafe {
                take(self.context, self.piece.as_ptr().cast(), self.piece.len())
            },
            None => -1,
        };
        self.piece.clear();
        if taken == 0 { Ok(()) } else { self.fail() }
    }

    fn emit(&mut self, mut text: &[u8]) -> Result<(), Failed> {
        if self.failed {
            return Err(Failed);
        }
        while text.len() > PIECE_LEN - self.piece.len() {
            let (now, later) = text.split_at(PIECE_LEN - self.piece.len());
            self.piece.extend_from_slice(now);
            self.flush()?;
            text = later;
        }
        self.piece.extend_from_slice(text);
        Ok(())
    }

    fn line(&mut self) -> Result<(), Failed> {
        if self.formatted {
            self.emit(b"\n")?;
            for _ in 0..self.depth {
                self.emit(b"  ")?;
            }
        }
        Ok(())
    }

    /// What stands before a value or a name.
    fn begin(&mut self) -> Result<(), Failed> {
        if self.opened {
            self.line()?;
        }
        if !self.first {
            self.emit(b",")?;
            self.line()?;
        }
        self.first = false;
        self.opened = false;
        Ok(())
    }

    /// Writes a value whose text is JSON already.
    pub(crate) fn raw(&mut self, text: &[u8]) -> Result<(), Failed> {
        self.begin()?;
        self.emit(text)
    }

    pub(crate) fn null(&mut self) -> Result<(), Failed> {
        self.raw(b"null")
    }

    pub(crate) fn bool(&mut self, value: bool) -> Result<(), Failed> {
        self.raw(if value { b"true" } else { b"false" })
    }

    pub(crate) fn display(&mut self, number: impl std::fmt::Display) -> Result<(), Failed> {
        self.raw(number.to_string().as_bytes())
    }

    /// Writes a string; fails if it is not UTF-8.
    pub(crate) fn string(&mut self, text: &[u8]) -> Result<(), Failed> {
        self.begin()?;
        self.quoted(text)
    }

    /// Writes a name, whose value is to follow.
    pub(crate) fn name(&mut self, name: &[u8]) -> Result<(), Failed> {
        self.begin()?;
        self.quoted(name)?;
        self.first = true;
        self.emit(b":")?;
        if self.formatted {
            self.emit(b" ")
        } else {
            Ok(())
        }
    }

    /// As SPDK escapes: all but printable ASCII.
    fn quoted(&mut self, text: &[u8]) -> Result<(), Failed> {
        let Ok(text) = std::str::from_utf8(text) else {
            return self.fail();
        };
        self.emit(b"\"")?;
        for character in text.chars() {
            let short = match character {
                '\u{8}' => 'b',
                '\u{c}' => 'f',
                '\n' => 'n',
                '\r' => 'r',
                '\t' => 't',
                '"' | '\\' => character,
                _ => '\0',
            };
            if short != '\0' {
                self.emit(&[b'\\', short as u8])?;
            } else if (' '..'\u{7f}').contains(&character) {
                self.emit(&[character as u8])?;
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    self.emit(format!("\\u{unit:04X}").as_bytes())?;
                }
            }
        }
        self.emit(b"\"")
    }

    fn open(&mut self, bracket: &[u8]) -> Result<(), Failed> {
        self.begin()?;
        self.first = true;
        self.opened = true;
        self.depth += 1;
        self.emit(bracket)
    }

    fn close(&mut self, bracket: &[u8]) -> Result<(), Failed> {
        self.first = false;
        let Some(depth) = self.depth.checked_sub(1) else {
            return self.fail();
        };
        self.depth = depth;
        if !self.opened {
            self.line()?;
        }
        self.opened = false;
        self.emit(bracket)
    }

    pub(crate) fn array_begin(&mut self) -> Result<(), Failed> {
        self.open(b"[")
    }

    pub(crate) fn array_end(&mut self) -> Result<(), Failed> {
        self.close(b"]")
    }

    pub(crate) fn object_begin(&mut self) -> Result<(), Failed> {
        self.open(b"{")
    }

    pub(crate) fn object_end(&mut self) -> Result<(), Failed> {
        self.close(b"}")
    }

    /// Writes a value and all that is in it.
    pub(crate) fn value(&mut self, value: &Value) -> Result<(), Failed> {
        match value {
            Value::Null => self.null(),
            Value::Bool(value) => self.bool(*value),
            Value::Number(number) => self.display(number),
            Value::String(text) => self.string(text.as_bytes()),
            Value::Array(elements) => {
                self.array_begin()?;
                elements
                    .iter()
                    .try_for_each(|element| self.value(element))?;
                self.array_end()
            }
            Value::Object(members) => {
                self.object_begin()?;
                for (name, value) in members {
                    self.name(name.as_bytes())?;
                    self.value(value)?;
                }
                self.object_end()
            }
        }
    }
}
