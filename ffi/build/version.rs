//! The version of an SPDK, read from its headers.

use std::fmt;

/// A version as SPDK's `VERSION` file and `spdk/version.h` give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) patch: u32,
}

impl Version {
    /// The release whose ABI this crate is.
    pub(crate) const WANTED: Version = Version {
        major: 26,
        minor: 1,
        patch: 0,
    };

    /// Whether this is the wanted release. Patch releases keep the ABI.
    pub(crate) fn is_wanted(self) -> bool {
        (self.major, self.minor) == (Self::WANTED.major, Self::WANTED.minor)
    }

    /// Reads the text of `spdk/version.h`; the error says what is wrong with it.
    pub(crate) fn from_header(text: &str) -> Result<Version, String> {
        let number = |name: &str| {
            let value = text
                .lines()
                .find_map(|line| {
                    let mut words = line.split_whitespace();
                    (words.next() == Some("#define") && words.next() == Some(name))
                        .then(|| words.next().unwrap_or(""))
                })
                .ok_or_else(|| format!("it does not define {name}"))?;
            value
                .parse()
                .map_err(|_| format!("it defines {name} as {value:?}, not as a number"))
        };
        Ok(Version {
            major: number("SPDK_VERSION_MAJOR")?,
            minor: number("SPDK_VERSION_MINOR")?,
            patch: number("SPDK_VERSION_PATCH")?,
        })
    }

    /// Reads the text of a source tree's `VERSION` file, such as `26.01.0` or `26.05-pre`.
    pub(crate) fn from_version_file(text: &str) -> Option<Version> {
        let text = text.trim();
        let (numbers, _suffix) = text.split_once('-').unwrap_or((text, ""));
        let mut numbers = numbers.split('.').map(|number| number.parse().ok());
        let version = Version {
            major: numbers.next()??,
            minor: numbers.next()??,
            patch: numbers.next().unwrap_or(Some(0))?,
        };
        numbers.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{:02}", self.major, self.minor)?;
        match self.patch {
            0 => Ok(()),
            patch => write!(f, ".{patch}"),
        }
    }
}
