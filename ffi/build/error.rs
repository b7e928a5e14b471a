//! Why SPDK cannot be linked, and what to do about it.

use std::fmt;
use std::path::PathBuf;

use super::version::Version;

/// The reason why there are no link arguments. Its text goes to who builds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// `SPDK_LINK` is neither of its values.
    LinkMode(String),
    /// `SPDK_DIR` is relative: to what, is not clear, as Cargo runs build scripts elsewhere.
    RelativeDir(PathBuf),
    /// `SPDK_DIR` holds no SPDK.
    NoSpdkInDir {
        dir: PathBuf,
        looked_for: Vec<PathBuf>,
    },
    /// `SPDK_DIR` is not set and the command `pkg-config` cannot be run.
    NoPkgConfig { command: String, reason: String },
    /// `SPDK_DIR` is not set and pkg-config does not know SPDK.
    UnknownToPkgConfig { command: String, reason: String },
    /// The SPDK found is a source tree that was never built, or headers alone.
    NotBuilt {
        dir: PathBuf,
        version: Version,
        looked_for: Vec<PathBuf>,
    },
    /// A header that should tell the version does not.
    VersionUnknown { path: PathBuf, reason: String },
    /// The SPDK found is another release.
    WrongVersion { found: Version, path: PathBuf },
    /// A library or a `.pc` file is not where the SPDK found should have it.
    Missing {
        file: String,
        needed_by: String,
        looked_in: Vec<PathBuf>,
        shared: bool,
    },
    /// A file is there but cannot be read.
    Unreadable { path: PathBuf, reason: String },
}

const HOW_TO: &str = "Set SPDK_DIR to a built SPDK v26.01 source tree or to its install prefix, \
    or let pkg-config find its spdk_event.pc (PKG_CONFIG_PATH). \
    Without the feature `spdk` nothing is linked and no SPDK is needed.";

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::LinkMode(value) => writeln!(
                f,
                "SPDK_LINK is {value:?}, but must be \"static\" (the default) or \"shared\""
            ),
            Error::RelativeDir(dir) => {
                writeln!(
                    f,
                    "SPDK_DIR={} is a relative path; it must be absolute",
                    dir.display()
                )
            }
            Error::NoSpdkInDir { dir, looked_for } => {
                writeln!(f, "no SPDK in SPDK_DIR={}; looked for:", dir.display())?;
                list(f, looked_for)
            }
            Error::NoPkgConfig { command, reason } => writeln!(
                f,
                "no SPDK found: SPDK_DIR is not set, and `{command}` does not run: {reason}"
            ),
            Error::UnknownToPkgConfig { command, reason } => writeln!(
                f,
                "no SPDK found: SPDK_DIR is not set, and `{command}` does not know spdk_event: \
                 {reason}"
            ),
            Error::NotBuilt {
                dir,
                version,
                looked_for,
            } => {
                writeln!(
                    f,
                    "the SPDK {version} in {} is not built; looked for:",
                    dir.display()
                )?;
                list(f, looked_for)
            }
            Error::VersionUnknown { path, reason } => {
                writeln!(
                    f,
                    "{} does not tell SPDK's version: {reason}",
                    path.display()
                )
            }
            Error::WrongVersion { found, path } => writeln!(
                f,
                "found SPDK {found}, but wanted {}: this crate is the ABI of that release alone \
                 (the version stands in {})",
                Version::WANTED,
                path.display()
            ),
            Error::Missing {
                file,
                needed_by,
                looked_in,
                shared,
            } => {
                writeln!(f, "{file}, needed by {needed_by}, is missing; looked in:")?;
                list(f, looked_in)?;
                if *shared {
                    writeln!(
                        f,
                        "SPDK_LINK=shared needs an SPDK that was configured --with-shared"
                    )?;
                }
                Ok(())
            }
            Error::Unreadable { path, reason } => {
                writeln!(f, "{} cannot be read: {reason}", path.display())
            }
        }?;
        match self {
            Error::LinkMode(_) => Ok(()),
            _ => f.write_str(HOW_TO),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, paths: &[PathBuf]) -> fmt::Result {
    paths
        .iter()
        .try_for_each(|path| writeln!(f, "  {}", path.display()))
}
