//! UUIDs as text, and those that follow from others.

use std::fmt;
use std::str::FromStr;

use barespdk_sys::{spdk_uuid, spdk_uuid__u};
use serde::{Deserialize, Deserializer, de};

mod sha1;

/// A UUID.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Uuid([u8; 16]);

impl Uuid {
    /// From its digits as a number.
    pub(super) const fn from_u128(digits: u128) -> Self {
        Self(digits.to_be_bytes())
    }

    /// Its bytes.
    pub(super) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether it stands for none.
    pub(super) fn is_null(self) -> bool {
        self == Self::default()
    }

    /// The UUID that follows from a name in a name space: version 5, by SHA-1.
    pub(super) fn from_name(namespace: Self, name: &[u8]) -> Self {
        let digest = sha1::digest(&[&namespace.0, name]);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        bytes[6] = bytes[6] & 0x0f | 0x50;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }
}

impl From<spdk_uuid> for Uuid {
    fn from(uuid: spdk_uuid) -> Self {
        // SAFETY: the one member of the union, and any bytes are a value of it.
        Self(unsafe { uuid.u.raw })
    }
}

impl From<Uuid> for spdk_uuid {
    fn from(uuid: Uuid) -> Self {
        Self {
            u: spdk_uuid__u { raw: uuid.0 },
        }
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

impl FromStr for Uuid {
    type Err = &'static str;

    /// With its four hyphens, or without any.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "not a UUID";
        let text = text.as_bytes();
        let hyphens = match text.len() {
            32 => false,
            36 => true,
            _ => return Err(WRONG),
        };
        let mut bytes = [0; 16];
        let mut digits = 0;
        for (index, &digit) in text.iter().enumerate() {
            if hyphens && matches!(index, 8 | 13 | 18 | 23) {
                if digit != b'-' {
                    return Err(WRONG);
                }
                continue;
            }
            let value = char::from(digit).to_digit(16).ok_or(WRONG)? as u8;
            bytes[digits / 2] = bytes[digits / 2] << 4 | value;
            digits += 1;
        }
        Ok(Self(bytes))
    }
}

impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_both_ways() {
        let text = "7e25812e-c8c0-4d3f-8599-16d790555b85";
        let uuid: Uuid = text.parse().unwrap();
        assert_eq!(uuid.to_string(), text);
        assert_eq!(text.replace('-', "").parse(), Ok(uuid));
        assert_eq!(text.to_uppercase().parse(), Ok(uuid));
        assert!(!uuid.is_null());
    }

    #[test]
    fn wrong_text_is_refused() {
        for text in [
            "",
            "7e25812e",
            "7e25812e-c8c0-4d3f-8599-16d790555b8",
            "7e25812e-c8c0-4d3f-8599-16d790555b8g",
            "7e25812e-c8c04-d3f-8599-16d790555b85",
            "7e25812ec8c04d3f859916d790555b8é",
        ] {
            assert!(text.parse::<Uuid>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_follow_rfc_9562() {
        let dns: Uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8".parse().unwrap();
        assert_eq!(
            Uuid::from_name(dns, b"www.example.com").to_string(),
            "2ed6657d-e927-568b-95e1-2665a8aea6a2"
        );
    }
}
