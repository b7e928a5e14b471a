//! A small JSON parser for tests: it makes the tokens that SPDK's would, without SPDK.
//!
//! Escapes are not decoded; instead a string may hold any character but its quote, which is `'` or
//! `"`. Malformed documents panic.

extern crate std;

use core::ffi::c_void;
use std::boxed::Box;
use std::vec::Vec;

use barespdk_sys::json as ffi;

use super::Value;

/// A parsed document: the tokens, and the text that they point into.
pub(crate) struct Document {
    text: Box<[u8]>,
    tokens: Vec<ffi::spdk_json_val>,
}

impl Document {
    pub(crate) fn new(text: &str) -> Self {
        Self::from_bytes(text.as_bytes())
    }

    pub(crate) fn from_bytes(text: &[u8]) -> Self {
        let mut document = Self {
            text: text.into(),
            tokens: Vec::new(),
        };
        let end = document.value_at(0);
        assert_eq!(end, document.text.len(), "text after the value");
        document
    }

    pub(crate) fn value(&self) -> Value<'_> {
        // SAFETY: `from_bytes` filled the tokens as SPDK would; they and the text are owned by the
        // document, which is borrowed.
        unsafe { Value::from_raw(self.as_ptr()) }.expect("not NULL")
    }

    pub(crate) fn as_ptr(&self) -> *const ffi::spdk_json_val {
        self.tokens.as_ptr()
    }

    /// For tests of what lying tokens do. Only `len` of nested containers and `r#type` may change.
    pub(crate) fn tokens_mut(&mut self) -> &mut [ffi::spdk_json_val] {
        &mut self.tokens
    }

    fn push(&mut self, kind: ffi::spdk_json_val_type, start: usize, len: usize) {
        let text: *const [u8] = &raw const *self.text;
        self.tokens.push(ffi::spdk_json_val {
            start: text
                .cast::<u8>()
                .wrapping_add(start)
                .cast_mut()
                .cast::<c_void>(),
            len: len as u32,
            r#type: kind,
        });
    }

    fn value_at(&mut self, at: usize) -> usize {
        match self.text[at] {
            b'n' => self.literal(at, ffi::SPDK_JSON_VAL_NULL, 4),
            b't' => self.literal(at, ffi::SPDK_JSON_VAL_TRUE, 4),
            b'f' => self.literal(at, ffi::SPDK_JSON_VAL_FALSE, 5),
            b'"' | b'\'' => self.string_at(at, ffi::SPDK_JSON_VAL_STRING),
            b'[' => self.container(at, ffi::SPDK_JSON_VAL_ARRAY_BEGIN, b']'),
            b'{' => self.container(at, ffi::SPDK_JSON_VAL_OBJECT_BEGIN, b'}'),
            _ => {
                let len = self.text[at..]
                    .iter()
                    .take_while(|byte| !b",]}".contains(byte))
                    .count();
                self.literal(at, ffi::SPDK_JSON_VAL_NUMBER, len)
            }
        }
    }

    fn literal(&mut self, at: usize, kind: ffi::spdk_json_val_type, len: usize) -> usize {
        self.push(kind, at, len);
        at + len
    }

    fn string_at(&mut self, at: usize, kind: ffi::spdk_json_val_type) -> usize {
        let quote = self.text[at];
        let is_end = |byte: &u8| *byte == quote;
        // A test string may hold the other quote, but none of its own.
        let len = self.text[at + 1..]
            .iter()
            .position(is_end)
            .expect("an unclosed string");
        self.push(kind, at + 1, len);
        at + len + 2
    }

    fn container(&mut self, at: usize, kind: ffi::spdk_json_val_type, close: u8) -> usize {
        let begin = self.tokens.len();
        self.push(kind, at, 0);
        let mut at = at + 1;
        while self.text[at] != close {
            if self.text[at] == b',' {
                at += 1;
            }
            if close == b'}' {
                at = self.string_at(at, ffi::SPDK_JSON_VAL_NAME);
                assert_eq!(self.text[at], b':');
                at += 1;
            }
            at = self.value_at(at);
        }
        self.tokens[begin].len = (self.tokens.len() - begin - 1) as u32;
        // The end is twice the begin in the C enum.
        self.push(kind << 1, at, 0);
        at + 1
    }
}
