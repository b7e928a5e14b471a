//! UUIDs: the lasting names of devices.
//!
//! [`Uuid`] has the layout of `struct spdk_uuid` (`spdk/uuid.h`): 16 bytes in the order in which the
//! text shows them. Reading and writing the text is done here; only [`Uuid::random`] calls SPDK.

use core::fmt;
use core::str::FromStr;

use barespdk_sys::uuid as ffi;

const _: () = assert!(
    size_of::<Uuid>() == size_of::<ffi::spdk_uuid>()
        && align_of::<Uuid>() == align_of::<ffi::spdk_uuid>(),
    "Uuid is passed to SPDK by pointer"
);

/// A UUID. `Display` shows it in lower case with hyphens, as SPDK does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Uuid([u8; 16]);

/// The text is not a UUID: 36 characters, hexadecimal digits in groups of 8, 4, 4, 4 and 12 with
/// hyphens between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUuid;

impl fmt::Display for InvalidUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a UUID (8-4-4-4-12 hexadecimal digits)")
    }
}

impl core::error::Error for InvalidUuid {}

impl Uuid {
    /// All bits zero: SPDK's "no UUID".
    pub const NIL: Self = Self([0; 16]);

    /// Number of characters of the text form.
    pub const TEXT_LEN: usize = 36;

    /// Makes a UUID from its bytes, first byte shown first.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, first shown first.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether all bits are zero, which SPDK takes for "no UUID" (it then makes one up).
    pub fn is_nil(&self) -> bool {
        *self == Self::NIL
    }

    /// Reads the text form, upper or lower case.
    ///
    /// # Errors
    /// The text has another shape, or surrounding blanks or braces.
    pub fn parse(text: &str) -> Result<Self, InvalidUuid> {
        let text: &[u8; Self::TEXT_LEN] = text.as_bytes().try_into().map_err(|_| InvalidUuid)?;
        let mut bytes = [0; 16];
        let mut digits = 0;
        for (position, &character) in text.iter().enumerate() {
            if matches!(position, 8 | 13 | 18 | 23) {
                if character != b'-' {
                    return Err(InvalidUuid);
                }
                continue;
            }
            let digit = char::from(character).to_digit(16).ok_or(InvalidUuid)? as u8;
            // 36 characters without 4 hyphens are 32 digits: the index stays below 16.
            let byte = bytes.get_mut(digits / 2).ok_or(InvalidUuid)?;
            *byte = *byte << 4 | digit;
            digits += 1;
        }
        Ok(Self(bytes))
    }

    /// A new random UUID, from SPDK's generator (`spdk_uuid_generate`). Any thread.
    pub fn random() -> Self {
        let mut uuid = Self::NIL;
        // SAFETY: the pointer is to 16 writable bytes that the function fills; the layouts are
        // equal (asserted above) and every bit pattern is a Uuid.
        unsafe { ffi::spdk_uuid_generate(uuid.as_mut_ptr()) };
        uuid
    }

    /// For calls to SPDK that read a UUID. Valid as long as `self` is borrowed.
    pub const fn as_ptr(&self) -> *const ffi::spdk_uuid {
        (&raw const *self).cast()
    }

    /// For calls to SPDK that write a UUID. Valid as long as `self` is borrowed.
    pub const fn as_mut_ptr(&mut self) -> *mut ffi::spdk_uuid {
        (&raw mut *self).cast()
    }

    /// A copy for a struct of SPDK's.
    pub const fn to_raw(self) -> ffi::spdk_uuid {
        ffi::spdk_uuid {
            u: ffi::spdk_uuid__u { raw: self.0 },
        }
    }

    /// Copies a UUID of SPDK's.
    pub const fn from_raw(raw: &ffi::spdk_uuid) -> Self {
        // SAFETY: both types have the same size and alignment (asserted above) and all 16 bytes of
        // `struct spdk_uuid` are data, so that any value of it is a Uuid. The reference is valid.
        unsafe { (&raw const *raw).cast::<Self>().read() }
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = InvalidUuid;

    fn from_str(text: &str) -> Result<Self, InvalidUuid> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::string::ToString;

    const TEXT: &str = "01234567-89ab-cdef-0123-456789abcdef";

    #[test]
    fn text_and_bytes_agree() {
        let uuid = Uuid::parse(TEXT).unwrap();
        assert_eq!(
            uuid.as_bytes(),
            &[
                1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd,
                0xef
            ]
        );
        assert_eq!(uuid.to_string(), TEXT);
        assert_eq!(Uuid::parse(&TEXT.to_uppercase()), Ok(uuid));
        assert_eq!(TEXT.parse(), Ok(uuid));
    }

    #[test]
    fn other_shapes_are_refused() {
        for text in [
            "",
            "0123456789abcdef0123456789abcdef",
            "{1234567-89ab-cdef-0123-456789abcde}",
            "01234567-89ab-cdef-0123-456789abcdeg",
            "01234567-89ab-cdef-0123-456789abcdef ",
            "012345678-9ab-cdef-0123-456789abcdef",
            "01234567-89ab-cdef-0123-456789abcd\u{e9}",
            "0123456\0-89ab-cdef-0123-456789abcdef",
            "+1234567-89ab-cdef-0123-456789abcdef",
        ] {
            assert_eq!(Uuid::parse(text), Err(InvalidUuid), "{text:?}");
        }
    }

    #[test]
    fn nil() {
        assert!(Uuid::default().is_nil());
        assert!(!Uuid::parse(TEXT).unwrap().is_nil());
        assert_eq!(
            Uuid::NIL.to_string(),
            "00000000-0000-0000-0000-000000000000"
        );
    }

    #[cfg(not(loom))]
    proptest::proptest! {
        #[test]
        fn every_uuid_reads_back(bytes in proptest::array::uniform16(0_u8..)) {
            let uuid = Uuid::from_bytes(bytes);
            proptest::prop_assert_eq!(Uuid::parse(&uuid.to_string()), Ok(uuid));
            proptest::prop_assert_eq!(Uuid::from_raw(&uuid.to_raw()), uuid);
        }

        #[test]
        fn no_text_panics(text in "[-0-9a-fA-F]{34,38}|\\PC*") {
            let _ = Uuid::parse(&text);
        }
    }
}
