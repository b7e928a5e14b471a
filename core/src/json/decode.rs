//! The Rust types that a JSON value can be read as.

use alloc::borrow::ToOwned;
use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use super::value::Value;
use crate::uuid::Uuid;

/// A type that a JSON value can be read as.
pub trait FromValue<'a>: Sized {
    /// Writes what is expected, to stand after "expected": `a string`.
    ///
    /// # Errors
    /// Those of the formatter alone.
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// Reads the value.
    ///
    /// # Errors
    /// The value is of another kind or out of range: `Mismatch::new::<Self>(value)`.
    fn from_value(value: Value<'a>) -> Result<Self, Mismatch<'a>>;
}

/// A value is not what was expected. `Display`: `expected a string, found 5`.
#[derive(Clone, Copy)]
pub struct Mismatch<'a> {
    expected: fn(&mut fmt::Formatter<'_>) -> fmt::Result,
    found: Value<'a>,
    index: Option<usize>,
}

impl<'a> Mismatch<'a> {
    /// `found` is not a `T`.
    pub fn new<T: FromValue<'a>>(found: Value<'a>) -> Self {
        Self {
            expected: T::expected,
            found,
            index: None,
        }
    }

    /// Which element of an array was wrong, counted from 0, if it was one.
    pub fn index(&self) -> Option<usize> {
        self.index
    }
}

impl fmt::Display for Mismatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected ")?;
        (self.expected)(f)?;
        write!(f, ", found {}", self.found)
    }
}

impl fmt::Debug for Mismatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Any value, for parameters that a handler takes apart itself.
impl<'a> FromValue<'a> for Value<'a> {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn from_value(value: Value<'a>) -> Result<Self, Mismatch<'a>> {
        Ok(value)
    }
}

impl<'a> FromValue<'a> for bool {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn from_value(value: Value<'a>) -> Result<Self, Mismatch<'a>> {
        value.as_bool().ok_or_else(|| Mismatch::new::<Self>(value))
    }
}

impl<'a> FromValue<'a> for &'a str {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn from_value(value: Value<'a>) -> Result<Self, Mismatch<'a>> {
        value.as_str().ok_or_else(|| Mismatch::new::<Self>(value))
    }
}

impl<'a> FromValue<'a> for String {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        <&str>::expected(f)
    }

    fn from_value(value: Value<'a>) -> Result<Self, Mismatch<'a>> {
        <&str>::from_value(value).map(ToOwned::to_owned)
    }
}

/// The text form, in upper or lower case. The nil UUID is accepted; see [`Uuid::is_nil`].
impl<'a> FromValue<'a> for Uuid {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a UUID such as \"01234567-89ab-cdef-0123-456789abcdef\"")
    }

    fn from_value(value: Value<'a>) -> Result<Self, Mismatch<'a>> {
        let text = value.as_str().ok_or_else(|| Mismatch::new::<Self>(value))?;
        Self::parse(text).map_err(|_| Mismatch::new::<Self>(value))
    }
}

macro_rules! integers {
    ($($int:ident)*) => {$(
        impl<'a> FromValue<'a> for $int {
            fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an integer from {} to {}", $int::MIN, $int::MAX)
            }

            fn from_value(value: Value<'a>) -> Result<Self, Mismatch<'a>> {
                value
                    .as_integer()
                    .and_then(|integer| integer.try_into().ok())
                    .ok_or_else(|| Mismatch::new::<Self>(value))
            }
        }
    )*};
}

integers! { u8 u16 u32 u64 usize i8 i16 i32 i64 }

/// An array, each element read as a `T`.
impl<'a, T: FromValue<'a>> FromValue<'a> for Vec<T> {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array, each element ")?;
        T::expected(f)
    }

    fn from_value(value: Value<'a>) -> Result<Self, Mismatch<'a>> {
        let elements = value
            .elements()
            .ok_or_else(|| Mismatch::new::<Self>(value))?;
        elements
            .enumerate()
            .map(|(index, element)| {
                T::from_value(element).map_err(|mismatch| Mismatch {
                    index: Some(index),
                    ..mismatch
                })
            })
            .collect()
    }
}

/// A name for SPDK: a string of 1 to `MAX_LEN` bytes (without a terminator), none of them NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name<'a, const MAX_LEN: usize>(&'a str);

impl<'a, const MAX_LEN: usize> Name<'a, MAX_LEN> {
    /// Checks a name.
    pub fn new(text: &'a str) -> Option<Self> {
        (!text.is_empty() && text.len() <= MAX_LEN && !text.contains('\0')).then_some(Self(text))
    }

    /// The name, as long-lived as what it was read from.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// A copy for C.
    pub fn to_c_string(self) -> CString {
        // Without NUL by construction, so that the default stands for a case that cannot be.
        CString::new(self.0).unwrap_or_default()
    }
}

impl<const MAX_LEN: usize> Deref for Name<'_, MAX_LEN> {
    type Target = str;

    fn deref(&self) -> &str {
        self.0
    }
}

impl<const MAX_LEN: usize> fmt::Display for Name<'_, MAX_LEN> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl<'a, const MAX_LEN: usize> FromValue<'a> for Name<'a, MAX_LEN> {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a name of 1 to {MAX_LEN} bytes without NUL")
    }

    fn from_value(value: Value<'a>) -> Result<Self, Mismatch<'a>> {
        value
            .as_str()
            .and_then(Self::new)
            .ok_or_else(|| Mismatch::new::<Self>(value))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::super::tokenizer::Document;
    use super::*;
    use std::string::ToString;

    #[track_caller]
    fn mismatch<T: for<'a> FromValue<'a>>(text: &str, message: &str) {
        let document = Document::new(text);
        match document.value().decode::<T>() {
            Ok(_) => panic!("{text} was accepted"),
            Err(mismatch) => assert_eq!(mismatch.to_string(), message),
        }
    }

    #[test]
    fn integers_name_their_range() {
        assert_eq!(Document::new("255").value().decode::<u8>().unwrap(), 255);
        mismatch::<u8>("256", "expected an integer from 0 to 255, found 256");
        mismatch::<u8>("-1", "expected an integer from 0 to 255, found -1");
        mismatch::<i8>("'5'", "expected an integer from -128 to 127, found \"5\"");
        mismatch::<u16>("1.5", "expected an integer from 0 to 65535, found 1.5");
        mismatch::<u64>(
            "18446744073709551616",
            "expected an integer from 0 to 18446744073709551615, found 18446744073709551616",
        );
    }

    #[test]
    fn bools_and_strings() {
        mismatch::<bool>("1", "expected true or false, found 1");
        mismatch::<bool>("null", "expected true or false, found null");
        mismatch::<String>("[1]", "expected a string, found an array of 1 value");
        assert_eq!(Document::new("'x'").value().decode::<&str>().unwrap(), "x");
    }

    #[test]
    fn uuids() {
        let text = "01234567-89ab-cdef-0123-456789abcdef";
        let document = Document::new("'01234567-89AB-CDEF-0123-456789abcdef'");
        assert_eq!(document.value().decode::<Uuid>().unwrap().to_string(), text);
        mismatch::<Uuid>(
            "'xyz'",
            &std::format!("expected a UUID such as \"{text}\", found \"xyz\""),
        );
    }

    #[test]
    fn arrays_say_which_element_is_wrong() {
        let document = Document::new("['a','b']");
        assert_eq!(document.value().decode::<Vec<&str>>().unwrap(), ["a", "b"]);
        assert!(
            Document::new("[]")
                .value()
                .decode::<Vec<u8>>()
                .unwrap()
                .is_empty()
        );

        let document = Document::new("['a',5]");
        let mismatch_of_element = document.value().decode::<Vec<&str>>().unwrap_err();
        assert_eq!(mismatch_of_element.index(), Some(1));
        assert_eq!(
            mismatch_of_element.to_string(),
            "expected a string, found 5"
        );
        mismatch::<Vec<String>>(
            "'a'",
            "expected an array, each element a string, found \"a\"",
        );
    }

    #[test]
    fn names() {
        let document = Document::new("'Nvme0n1'");
        let name = document.value().decode::<Name<'_, 7>>().unwrap();
        assert_eq!(name.as_str(), "Nvme0n1");
        assert_eq!(name.to_c_string().as_c_str(), c"Nvme0n1");
        for text in ["''", "'a\0b'", "'12345678'", "5"] {
            let document = Document::new(text);
            let message = document
                .value()
                .decode::<Name<'_, 7>>()
                .unwrap_err()
                .to_string();
            assert!(message.starts_with("expected a name of 1 to 7 bytes without NUL, found "));
        }
        assert!(
            Document::new("'\u{e9}\u{e9}'")
                .value()
                .decode::<Name<'_, 3>>()
                .is_err()
        );
    }
}
