//! Little-endian fields, one after the other.

use barespdk::uuid::Uuid;

use super::error::FormatError;
use super::name::Name;

/// Takes fields off the front.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            position: 0,
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], FormatError> {
        let end = self.position + N;
        let Some((field, rest)) = self.rest.split_first_chunk() else {
            return Err(FormatError::TooShort {
                len: self.position + self.rest.len(),
                need: end,
            });
        };
        (self.rest, self.position) = (rest, end);
        Ok(field)
    }

    pub(super) fn u8(&mut self) -> Result<u8, FormatError> {
        self.array().map(|[byte]| *byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, FormatError> {
        self.array().copied().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().copied().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().copied().map(u64::from_le_bytes)
    }

    pub(super) fn uuid(&mut self) -> Result<Uuid, FormatError> {
        self.array().copied().map(Uuid::from_bytes)
    }

    /// A name; `field` is for the error.
    pub(super) fn name(&mut self, field: &'static str) -> Result<Name, FormatError> {
        Name::parse(self.array()?, field)
    }

    /// Bytes that are kept for later versions, and 0 in this one.
    pub(super) fn reserved<const N: usize>(&mut self) -> Result<(), FormatError> {
        let start = self.position;
        match self.array::<N>()?.iter().position(|byte| *byte != 0) {
            None => Ok(()),
            Some(index) => Err(FormatError::Reserved {
                offset: start + index,
            }),
        }
    }
}

/// Puts fields one after the other.
pub(super) struct Writer<'a> {
    rest: &'a mut [u8],
    position: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(bytes: &'a mut [u8]) -> Self {
        Self {
            rest: bytes,
            position: 0,
        }
    }

    pub(super) fn bytes(&mut self, field: &[u8]) -> Result<(), FormatError> {
        let end = self.position + field.len();
        let rest = core::mem::take(&mut self.rest);
        let len = self.position + rest.len();
        let Some((room, rest)) = rest.split_at_mut_checked(field.len()) else {
            return Err(FormatError::TooShort { len, need: end });
        };
        room.copy_from_slice(field);
        (self.rest, self.position) = (rest, end);
        Ok(())
    }

    pub(super) fn u8(&mut self, field: u8) -> Result<(), FormatError> {
        self.bytes(&[field])
    }

    pub(super) fn u16(&mut self, field: u16) -> Result<(), FormatError> {
        self.bytes(&field.to_le_bytes())
    }

    pub(super) fn u32(&mut self, field: u32) -> Result<(), FormatError> {
        self.bytes(&field.to_le_bytes())
    }

    pub(super) fn u64(&mut self, field: u64) -> Result<(), FormatError> {
        self.bytes(&field.to_le_bytes())
    }

    pub(super) fn uuid(&mut self, field: Uuid) -> Result<(), FormatError> {
        self.bytes(field.as_bytes())
    }

    pub(super) fn name(&mut self, field: &Name) -> Result<(), FormatError> {
        self.bytes(field.as_bytes())
    }

    pub(super) fn reserved<const N: usize>(&mut self) -> Result<(), FormatError> {
        self.bytes(&[0; N])
    }

    /// The rest becomes 0.
    pub(super) fn finish(self) {
        self.rest.fill(0);
    }
}
