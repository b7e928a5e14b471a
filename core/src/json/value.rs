//! A view of parsed JSON: a cursor over SPDK's array of tokens.

use core::fmt;
use core::slice;

use barespdk_sys::json as ffi;

use super::decode::{FromValue, Mismatch};

/// What a value is, without its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number, integer or not.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
    /// A token that this crate does not know or that is no value; nothing can be read from it.
    Unknown,
}

/// One JSON value and, for arrays and objects, all that is in it. Cheap to copy.
///
/// Borrowed from the tokens and the text that SPDK's parser filled (`struct spdk_json_val`):
/// strings read from it live as long as those, `'a`, and must be copied to be kept longer.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    head: &'a ffi::spdk_json_val,
    /// The tokens inside an array or object, without its end; empty for other kinds.
    inner: &'a [ffi::spdk_json_val],
}

impl<'a> Value<'a> {
    /// Takes the value that `token` begins, or `None` if it is NULL, as SPDK passes "no parameters".
    ///
    /// # Safety
    /// If not NULL, `token` points into an array that `spdk_json_parse` filled, at the begin of a
    /// value, and neither the tokens nor the text they point to change or are freed during `'a`.
    pub unsafe fn from_raw(token: *const ffi::spdk_json_val) -> Option<Self> {
        // SAFETY: NULL or valid and unchanging for `'a`, by the caller's promise.
        let head = unsafe { token.as_ref() }?;
        let inner_len = match head.r#type {
            ffi::SPDK_JSON_VAL_ARRAY_BEGIN | ffi::SPDK_JSON_VAL_OBJECT_BEGIN => head.len as usize,
            _ => 0,
        };
        // SAFETY: SPDK puts `len` tokens after the one that begins an array or object. For other
        // kinds the slice is empty and may stand one past the last token.
        let inner = unsafe { slice::from_raw_parts(token.add(1), inner_len) };
        Some(Self { head, inner })
    }

    /// Takes the value at the begin of `tokens`, and what follows it. Checked against the slice, so
    /// that tokens whose counts lie give fewer values and never an access past the end.
    fn split(tokens: &'a [ffi::spdk_json_val]) -> Option<(Self, &'a [ffi::spdk_json_val])> {
        let (head, rest) = tokens.split_first()?;
        match head.r#type {
            ffi::SPDK_JSON_VAL_ARRAY_BEGIN | ffi::SPDK_JSON_VAL_OBJECT_BEGIN => {
                let (inner, rest) = rest.split_at_checked(head.len as usize)?;
                let (_end, rest) = rest.split_first()?;
                Some((Self { head, inner }, rest))
            }
            _ => Some((Self { head, inner: &[] }, rest)),
        }
    }

    /// What this value is.
    pub fn kind(self) -> Kind {
        match self.head.r#type {
            ffi::SPDK_JSON_VAL_NULL => Kind::Null,
            ffi::SPDK_JSON_VAL_TRUE | ffi::SPDK_JSON_VAL_FALSE => Kind::Bool,
            ffi::SPDK_JSON_VAL_NUMBER => Kind::Number,
            ffi::SPDK_JSON_VAL_STRING => Kind::String,
            ffi::SPDK_JSON_VAL_ARRAY_BEGIN => Kind::Array,
            ffi::SPDK_JSON_VAL_OBJECT_BEGIN => Kind::Object,
            _ => Kind::Unknown,
        }
    }

    /// Reads the value as a `T`: a string, an integer, a bool, an array of these, and so on.
    ///
    /// # Errors
    /// The value is of another kind or out of range; the error says what was expected and found.
    pub fn decode<T: FromValue<'a>>(self) -> Result<T, Mismatch<'a>> {
        T::from_value(self)
    }

    /// Whether this is `null`.
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// The boolean, if this is one.
    pub fn as_bool(self) -> Option<bool> {
        match self.head.r#type {
            ffi::SPDK_JSON_VAL_TRUE => Some(true),
            ffi::SPDK_JSON_VAL_FALSE => Some(false),
            _ => None,
        }
    }

    /// The decoded string, if this is one. It may hold NUL characters, which C strings cannot:
    /// names for SPDK are better read as a [`Name`](super::Name).
    pub fn as_str(self) -> Option<&'a str> {
        match self.kind() {
            Kind::String => core::str::from_utf8(self.text()).ok(),
            _ => None,
        }
    }

    /// The integer, if this is one that fits.
    pub fn as_u64(self) -> Option<u64> {
        self.as_integer()?.try_into().ok()
    }

    /// The integer, if this is one that fits.
    pub fn as_u32(self) -> Option<u32> {
        self.as_integer()?.try_into().ok()
    }

    /// The integer, if this is one that fits.
    pub fn as_i64(self) -> Option<i64> {
        self.as_integer()?.try_into().ok()
    }

    pub(super) fn as_integer(self) -> Option<i128> {
        match self.kind() {
            Kind::Number => super::number::parse_integer(self.text()),
            _ => None,
        }
    }

    /// The values in an array, if this is one.
    pub fn elements(self) -> Option<Elements<'a>> {
        (self.kind() == Kind::Array).then_some(Elements { rest: self.inner })
    }

    /// The members of an object, if this is one, in the order of the text. The same name can come
    /// more than once.
    pub fn members(self) -> Option<Members<'a>> {
        (self.kind() == Kind::Object).then_some(Members { rest: self.inner })
    }

    /// The text that a string, name or number token points to; empty for other kinds.
    pub(super) fn text(self) -> &'a [u8] {
        token_text(self.head)
    }
}

fn token_text(token: &ffi::spdk_json_val) -> &[u8] {
    let has_text = matches!(
        token.r#type,
        ffi::SPDK_JSON_VAL_STRING | ffi::SPDK_JSON_VAL_NAME | ffi::SPDK_JSON_VAL_NUMBER
    );
    if !has_text || token.start.is_null() {
        return &[];
    }
    // SAFETY: `Value::from_raw`'s caller promised tokens of `spdk_json_parse`: for these three kinds
    // `start` points to `len` bytes of text, which outlive the reference to the token.
    unsafe { slice::from_raw_parts(token.start.cast(), token.len as usize) }
}

/// The values in an array. See [`Value::elements`].
#[derive(Clone)]
pub struct Elements<'a> {
    rest: &'a [ffi::spdk_json_val],
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let (value, rest) = Value::split(core::mem::take(&mut self.rest))?;
        self.rest = rest;
        Some(value)
    }
}

/// The members of an object, each a name and a value. See [`Value::members`].
#[derive(Clone)]
pub struct Members<'a> {
    rest: &'a [ffi::spdk_json_val],
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<(&'a str, Value<'a>)> {
        let (name, rest) = core::mem::take(&mut self.rest).split_first()?;
        let (value, rest) = Value::split(rest)?;
        self.rest = rest;
        // SPDK's parser lets no other than UTF-8 pass. Should it, the name equals none that anyone
        // looks for, and is reported as unknown.
        let name = core::str::from_utf8(token_text(name)).unwrap_or("\u{fffd}");
        Some((name, value))
    }
}

/// How much of a string or number is shown in messages, in characters.
const SHOWN_LEN_MAX: usize = 64;

/// A description for error messages: short values as JSON, long ones cut, arrays and objects by
/// their size.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            Kind::Null => f.write_str("null"),
            Kind::Bool => write!(f, "{}", self.as_bool() == Some(true)),
            Kind::Number => match core::str::from_utf8(self.text()) {
                Ok(text) => write!(f, "{}", Shown(text)),
                Err(_) => f.write_str("a malformed number"),
            },
            Kind::String => match self.as_str() {
                Some(text) => write!(f, "\"{}\"", Shown(text)),
                None => f.write_str("a string that is not UTF-8"),
            },
            Kind::Array => match self.elements().map_or(0, Elements::count) {
                1 => f.write_str("an array of 1 value"),
                count => write!(f, "an array of {count} values"),
            },
            Kind::Object => match self.members().map_or(0, Members::count) {
                1 => f.write_str("an object of 1 member"),
                count => write!(f, "an object of {count} members"),
            },
            Kind::Unknown => f.write_str("no value"),
        }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text from outside, for messages: control characters escaped, cut after [`SHOWN_LEN_MAX`].
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(SHOWN_LEN_MAX) {
            if character.is_control() || matches!(character, '"' | '\\') {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        if characters.next().is_some() {
            f.write_str("...")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::super::tokenizer::Document;
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    #[test]
    fn null_pointer_is_no_value() {
        // SAFETY: NULL is allowed.
        assert!(unsafe { Value::from_raw(core::ptr::null()) }.is_none());
    }

    #[test]
    fn scalars() {
        assert!(Document::new("null").value().is_null());
        assert_eq!(Document::new("true").value().as_bool(), Some(true));
        assert_eq!(Document::new("false").value().as_bool(), Some(false));
        assert_eq!(Document::new("0").value().as_bool(), None);
        let number = Document::new("4294967296");
        assert_eq!(number.value().as_u64(), Some(1 << 32));
        assert_eq!(number.value().as_u32(), None);
        assert_eq!(Document::new("-1").value().as_i64(), Some(-1));
        assert_eq!(Document::new("-1").value().as_u64(), None);
        assert_eq!(Document::new("\"5\"").value().as_u64(), None);
        assert_eq!(Document::new("5").value().as_str(), None);
    }

    #[test]
    fn strings_keep_embedded_nul_and_must_be_utf8() {
        assert_eq!(Document::new("\"a\u{0}b\"").value().as_str(), Some("a\0b"));
        assert_eq!(Document::new("\"\"").value().as_str(), Some(""));
        let broken = Document::from_bytes(b"\"a\xffb\"");
        assert_eq!(broken.value().as_str(), None);
        assert_eq!(broken.value().to_string(), "a string that is not UTF-8");
    }

    #[test]
    fn nested_values_are_skipped_as_a_whole() {
        let document = Document::new("{'a':[1,[2,{'x':[]}]],'b':{'c':3},'a':4}");
        let members: Vec<_> = document.value().members().unwrap().collect();
        let names: Vec<_> = members.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["a", "b", "a"]);
        let array: Vec<_> = members[0].1.elements().unwrap().collect();
        assert_eq!(array.len(), 2);
        assert_eq!(array[0].as_u32(), Some(1));
        assert_eq!(array[1].elements().unwrap().count(), 2);
        assert_eq!(members[2].1.as_u32(), Some(4));
        assert!(document.value().elements().is_none());
    }

    #[test]
    fn counts_that_lie_end_the_iteration() {
        let mut document = Document::new("{'a':[1,2],'b':3}");
        // The inner array claims more tokens than the object has.
        document.tokens_mut()[2].len = 1000;
        assert_eq!(document.value().members().unwrap().count(), 0);

        let mut document = Document::new("[1,2]");
        document.tokens_mut()[1].r#type = 77;
        let values: Vec<_> = document.value().elements().unwrap().collect();
        assert_eq!(values[0].kind(), Kind::Unknown);
        assert_eq!(values[0].text(), b"");
    }

    #[test]
    fn descriptions_are_short() {
        for (text, shown) in [
            ("null", "null"),
            ("true", "true"),
            ("-12", "-12"),
            ("'a\nb\"'", "\"a\\nb\\\"\""),
            ("[]", "an array of 0 values"),
            ("[1,2,[3]]", "an array of 3 values"),
            ("{'a':1}", "an object of 1 member"),
        ] {
            assert_eq!(Document::new(text).value().to_string(), shown);
        }
        let long = std::format!("'{}'", "\u{e9}".repeat(100));
        let shown = Document::new(&long).value().to_string();
        assert_eq!(shown, std::format!("\"{}...\"", "\u{e9}".repeat(64)));
    }

    /// Reads everything that can be read.
    #[cfg(not(loom))]
    fn walk(value: Value<'_>, depth: usize) {
        let _ = (
            value.to_string(),
            value.as_str(),
            value.as_i64(),
            value.as_bool(),
        );
        if depth < 20 {
            value
                .elements()
                .into_iter()
                .flatten()
                .for_each(|value| walk(value, depth + 1));
            value
                .members()
                .into_iter()
                .flatten()
                .for_each(|(_, value)| walk(value, depth + 1));
        }
    }

    #[cfg(not(loom))]
    proptest::proptest! {
        /// The outermost count must hold, as the contract of `from_raw` says; within it, anything.
        #[test]
        fn tokens_that_lie_never_panic(
            lies in proptest::collection::vec((1..20_usize, 0..2000_u32, 0..12_u32), 0..8),
        ) {
            let mut document = Document::new("{'a':[1,[2,{'x':[]}],{}],'b':{'c':-3e1},'a':'text'}");
            for (index, len, kind) in lies {
                let Some(token) = document.tokens_mut().get_mut(index) else { continue };
                let is_text = |kind| {
                    [ffi::SPDK_JSON_VAL_STRING, ffi::SPDK_JSON_VAL_NAME, ffi::SPDK_JSON_VAL_NUMBER]
                        .contains(&kind)
                };
                // Only texts have lengths in bytes, which must hold.
                let kind = 1 << kind;
                if !is_text(token.r#type) && !is_text(kind) {
                    (token.len, token.r#type) = (len, kind);
                } else if is_text(token.r#type) && is_text(kind) {
                    token.r#type = kind;
                }
            }
            walk(document.value(), 0);
        }
    }
}
