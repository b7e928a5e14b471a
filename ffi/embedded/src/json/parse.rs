//! From text to tokens, by SPDK's rules: strict JSON, comments where they are allowed, 64 levels.

use std::ffi::c_uint;

use barespdk_sys::{
    SPDK_JSON_VAL_ARRAY_BEGIN, SPDK_JSON_VAL_ARRAY_END, SPDK_JSON_VAL_FALSE, SPDK_JSON_VAL_NAME,
    SPDK_JSON_VAL_NULL, SPDK_JSON_VAL_NUMBER, SPDK_JSON_VAL_OBJECT_BEGIN, SPDK_JSON_VAL_OBJECT_END,
    SPDK_JSON_VAL_STRING, SPDK_JSON_VAL_TRUE,
};

/// Levels of arrays and objects.
const DEPTH_MAX: usize = 64;

/// One token: a value, a name, or the end of an array or object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: c_uint,
    /// Where it begins in the text; of strings and names behind the quote.
    pub(crate) start: usize,
    /// Bytes of text, between the quotes; of arrays and objects the tokens up to the end.
    pub(crate) len: usize,
}

/// One value and all that is in it.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) tokens: Vec<Token>,
    /// Where the text goes on after it and the blanks behind it.
    pub(crate) end: usize,
}

/// Why there is no document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The text ends too early; more may make it good.
    Incomplete,
    /// No text that follows can make it good.
    Invalid,
    /// More than 64 arrays and objects in one another.
    TooDeep,
}

/// A failure and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) failure: Failure,
    pub(crate) at: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Value,
    /// A comma, or the end.
    Separator,
    Name,
    Colon,
    Done,
}

/// Takes the first value of the text apart.
pub(crate) fn scan(text: &[u8], comments: bool) -> Result<Document, Fault> {
    let mut scanner = Scanner {
        text,
        at: 0,
        tokens: Vec::new(),
        open: Vec::new(),
        state: State::Value,
        after_comma: false,
    };
    while scanner.state != State::Done {
        scanner.step(comments).map_err(|failure| Fault {
            failure,
            at: scanner.at,
        })?;
    }
    let blanks = text[scanner.at..]
        .iter()
        .take_while(|byte| is_blank(**byte));
    Ok(Document {
        end: scanner.at + blanks.count(),
        tokens: scanner.tokens,
    })
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    tokens: Vec<Token>,
    /// The tokens that began the arrays and objects we are in.
    open: Vec<usize>,
    state: State,
    after_comma: bool,
}

impl Scanner<'_> {
    fn step(&mut self, comments: bool) -> Result<(), Failure> {
        let rest = &self.text[self.at..];
        let first = *rest.first().ok_or(Failure::Incomplete)?;
        let state = self.state;
        match first {
            _ if is_blank(first) => self.at += 1,
            b't' | b'f' | b'n' if state == State::Value => {
                let (kind, literal) = match first {
                    b't' => (SPDK_JSON_VAL_TRUE, &b"true"[..]),
                    b'f' => (SPDK_JSON_VAL_FALSE, &b"false"[..]),
                    _ => (SPDK_JSON_VAL_NULL, &b"null"[..]),
                };
                let len = rest.len().min(literal.len());
                if rest[..len] != literal[..len] {
                    return Err(Failure::Invalid);
                }
                if len < literal.len() {
                    return Err(Failure::Incomplete);
                }
                self.push_value(kind, self.at, len);
                self.at += len;
            }
            b'"' if matches!(state, State::Value | State::Name) => {
                let len = string_len(rest)?;
                let start = self.at + 1;
                self.at += len + 2;
                if state == State::Name {
                    self.push(SPDK_JSON_VAL_NAME, start, len);
                    self.state = State::Colon;
                } else {
                    self.push_value(SPDK_JSON_VAL_STRING, start, len);
                }
            }
            b'-' | b'0'..=b'9' if state == State::Value => {
                let len = number_len(rest)?;
                self.push_value(SPDK_JSON_VAL_NUMBER, self.at, len);
                self.at += len;
            }
            b'{' | b'[' if state == State::Value => {
                if self.open.len() == DEPTH_MAX {
                    return Err(Failure::TooDeep);
                }
                let (kind, next) = match first {
                    b'{' => (SPDK_JSON_VAL_OBJECT_BEGIN, State::Name),
                    _ => (SPDK_JSON_VAL_ARRAY_BEGIN, State::Value),
                };
                self.open.push(self.tokens.len());
                self.push(kind, self.at, 1);
                self.state = next;
                self.at += 1;
            }
            b'}' | b']' => self.close(first)?,
            b',' if state == State::Separator => {
                let begin = self.open.last().map(|begin| self.tokens[*begin].kind);
                self.state = match begin {
                    Some(SPDK_JSON_VAL_ARRAY_BEGIN) => State::Value,
                    _ => State::Name,
                };
                self.after_comma = true;
                self.at += 1;
            }
            b':' if state == State::Colon => {
                self.state = State::Value;
                self.at += 1;
            }
            b'/' if comments => self.at += comment_len(rest)?,
            _ => return Err(Failure::Invalid),
        }
        Ok(())
    }

    fn push(&mut self, kind: c_uint, start: usize, len: usize) {
        self.tokens.push(Token { kind, start, len });
        self.after_comma = false;
    }

    fn push_value(&mut self, kind: c_uint, start: usize, len: usize) {
        self.push(kind, start, len);
        self.state = self.after_value();
    }

    fn after_value(&self) -> State {
        if self.open.is_empty() {
            State::Done
        } else {
            State::Separator
        }
    }

    fn close(&mut self, bracket: u8) -> Result<(), Failure> {
        let (begin_kind, end_kind, empty) = match bracket {
            b'}' => (
                SPDK_JSON_VAL_OBJECT_BEGIN,
                SPDK_JSON_VAL_OBJECT_END,
                State::Name,
            ),
            _ => (
                SPDK_JSON_VAL_ARRAY_BEGIN,
                SPDK_JSON_VAL_ARRAY_END,
                State::Value,
            ),
        };
        let begin = *self.open.last().ok_or(Failure::Invalid)?;
        let in_place = self.state == State::Separator || self.state == empty;
        // A value that is to follow a name is no place for the end of an array.
        let in_array = self.tokens[begin].kind == begin_kind;
        if self.after_comma || !in_place || !in_array {
            return Err(Failure::Invalid);
        }
        self.open.pop();
        self.tokens[begin].len = self.tokens.len() - begin - 1;
        self.push(end_kind, self.at, 1);
        self.state = self.after_value();
        self.at += 1;
        Ok(())
    }
}

/// Bytes between the quotes of the string that the text begins with.
fn string_len(text: &[u8]) -> Result<usize, Failure> {
    let mut at = 1;
    loop {
        match text.get(at) {
            None => {
                // What is wrong already does not get better by more text.
                return match std::str::from_utf8(&text[1..]) {
                    Err(error) if error.error_len().is_some() => Err(Failure::Invalid),
                    _ => Err(Failure::Incomplete),
                };
            }
            Some(b'"') => break,
            Some(b'\\') => at += escape(&text[at..])?.1,
            Some(0..=0x1f) => return Err(Failure::Invalid),
            Some(_) => at += 1,
        }
    }
    match std::str::from_utf8(&text[1..at]) {
        Ok(_) => Ok(at - 1),
        Err(_) => Err(Failure::Invalid),
    }
}

/// The character that an escape stands for, and how long the escape is.
fn escape(text: &[u8]) -> Result<(char, usize), Failure> {
    let short = match text.get(1).ok_or(Failure::Incomplete)? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'/' => '/',
        b'"' => '"',
        b'\\' => '\\',
        b'u' => return unicode_escape(text),
        _ => return Err(Failure::Invalid),
    };
    Ok((short, 2))
}

fn unicode_escape(text: &[u8]) -> Result<(char, usize), Failure> {
    let first = code_unit(text)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Ok((character, 6));
    }
    // The first half of a pair, or a second one without it, which `decode_utf16` refuses.
    if !(0xD800..0xDC00).contains(&first) {
        return Err(Failure::Invalid);
    }
    let second = code_unit(&text[6..])?;
    match char::decode_utf16([first, second]).next() {
        Some(Ok(character)) => Ok((character, 12)),
        _ => Err(Failure::Invalid),
    }
}

/// The number of a `\uXXXX`.
fn code_unit(text: &[u8]) -> Result<u16, Failure> {
    let mut unit = 0_u16;
    for index in 0..6 {
        let byte = *text.get(index).ok_or(Failure::Incomplete)?;
        match (index, byte) {
            (0, b'\\') | (1, b'u') => (),
            (0 | 1, _) => return Err(Failure::Invalid),
            _ => {
                let digit = char::from(byte).to_digit(16).ok_or(Failure::Invalid)?;
                unit = unit << 4 | digit as u16;
            }
        }
    }
    Ok(unit)
}

/// The text of a string without its escapes. `text` has been scanned.
pub(super) fn unescape(text: &[u8]) -> String {
    let mut plain = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => {
                let Ok((character, len)) = escape(&text[at..]) else {
                    break;
                };
                plain.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                at += len;
            }
            _ => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Bytes of the number that the text begins with. A number at the very end counts as complete.
fn number_len(text: &[u8]) -> Result<usize, Failure> {
    let digits = |from: usize| {
        let run = text[from.min(text.len())..].iter();
        run.take_while(|byte| byte.is_ascii_digit()).count()
    };
    let needed = |from: usize| match (digits(from), text.len() > from) {
        (0, true) => Err(Failure::Invalid),
        (0, false) => Err(Failure::Incomplete),
        (count, _) => Ok(from + count),
    };
    let mut at = usize::from(text[0] == b'-');
    at = match text.get(at) {
        Some(b'0') => at + 1,
        _ => needed(at)?,
    };
    if text.get(at) == Some(&b'.') {
        at = needed(at + 1)?;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        at = needed(at + 1 + sign)?;
    }
    Ok(at)
}

/// Bytes of the comment that the text begins with, if it is one.
fn comment_len(text: &[u8]) -> Result<usize, Failure> {
    let end = match text.get(1).ok_or(Failure::Incomplete)? {
        b'*' => {
            let close = text[2..].windows(2).position(|pair| pair == b"*/");
            close.map(|at| at + 4)
        }
        b'/' => text.iter().position(|byte| matches!(byte, b'\r' | b'\n')),
        _ => return Err(Failure::Invalid),
    };
    end.ok_or(Failure::Incomplete)
}
