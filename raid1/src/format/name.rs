//! Names as they are kept on a leg.

use core::fmt;

use super::error::FormatError;

/// Bytes that a name takes, with at least one NUL.
const SIZE: usize = 64;

/// A name of at most [`Name::LEN_MAX`] bytes of UTF-8 without NUL; may be empty.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    len: u8,
    // 0 from `len` on, so that names are equal if their bytes are.
    bytes: [u8; SIZE],
}

impl Name {
    /// The most bytes of a name: one less than it takes on a leg, for the NUL.
    pub(crate) const LEN_MAX: usize = SIZE - 1;

    /// A name as a whole.
    ///
    /// # Errors
    /// It is too long, or has a NUL.
    pub(crate) fn new(name: &str) -> Result<Self, FormatError> {
        let cut = Self::cut(name);
        if cut.as_str() == name {
            return Ok(cut);
        }
        Err(FormatError::Name {
            field: "name",
            why: "it has more than 63 bytes, or a NUL",
        })
    }

    /// As much of a name as there is room for: for messages.
    pub(crate) fn cut(name: &str) -> Self {
        let end = name.find('\0').unwrap_or(name.len()).min(Self::LEN_MAX);
        let end = (0..=end)
            .rev()
            .find(|end| name.is_char_boundary(*end))
            .unwrap_or(0);
        let mut cut = Self::default();
        cut.bytes
            .iter_mut()
            .zip(name.bytes().take(end))
            .for_each(|(to, from)| *to = from);
        // At most LEN_MAX.
        cut.len = end as u8;
        cut
    }

    pub(super) fn parse(bytes: &[u8; SIZE], field: &'static str) -> Result<Self, FormatError> {
        let refused = |why| FormatError::Name { field, why };
        let len = bytes.iter().position(|byte| *byte == 0);
        let len = len.ok_or(refused("no NUL ends it"))?;
        let (name, end) = bytes.split_at_checked(len).unwrap_or_default();
        if end.iter().any(|byte| *byte != 0) {
            return Err(refused("something follows its NUL"));
        }
        let name = core::str::from_utf8(name).map_err(|_| refused("it is not UTF-8"))?;
        Ok(Self::cut(name))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn as_str(&self) -> &str {
        let name = self.as_bytes().get(..self.len.into()).unwrap_or_default();
        // Made of a `str`, cut between characters.
        core::str::from_utf8(name).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Default for Name {
    fn default() -> Self {
        Self {
            len: 0,
            bytes: [0; SIZE],
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_name_is_whole_or_refused() {
        let longest = "é".repeat(31) + "x";
        for name in ["", "m0", longest.as_str()] {
            assert_eq!(Name::new(name).unwrap().as_str(), name);
        }
        for name in ["a\0b", "\0", &"x".repeat(64), &(longest + "y")] {
            assert!(Name::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_cut_is_between_characters() {
        assert_eq!(Name::cut("a\0b").as_str(), "a");
        assert_eq!(Name::cut(&"é".repeat(40)).as_str(), "é".repeat(31));
    }

    #[test]
    fn other_names_are_refused() {
        let refused = |bytes: &[u8], why: &str| {
            let mut field = [0; 64];
            for (to, from) in field.iter_mut().zip(bytes) {
                *to = *from;
            }
            let error = Name::parse(&field, "f").unwrap_err();
            assert!(error.to_string().contains(why));
        };
        refused(&[b'x'; 64], "no NUL");
        refused(b"a\0b", "follows");
        refused(b"\xff", "UTF-8");
    }
}
