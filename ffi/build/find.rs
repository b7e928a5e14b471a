//! Where the SPDK is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::Error;
use super::pc::Pc;
use super::version::Version;

/// An SPDK of the wanted version.
#[derive(Debug)]
pub(crate) struct Spdk {
    pub(crate) version: Version,
    /// Holds `spdk/*.h`.
    pub(crate) include_dir: PathBuf,
    /// Holds the `.pc` files.
    pub(crate) pc_dir: PathBuf,
    /// Where libraries are looked for first, before the directories that the `.pc` files name: a tree
    /// that was moved keeps the old ones there.
    pub(crate) lib_dirs: Vec<PathBuf>,
}

impl Spdk {
    /// The SPDK in `spdk_dir`, or the one that the command `pkg_config` knows.
    pub(crate) fn find(spdk_dir: Option<&Path>, pkg_config: &str) -> Result<Spdk, Error> {
        match spdk_dir {
            Some(dir) if dir.is_relative() => Err(Error::RelativeDir(dir.to_owned())),
            Some(dir) => Self::in_dir(dir),
            None => Self::ask(pkg_config),
        }
    }

    /// The SPDK in a built source tree or an install prefix.
    fn in_dir(dir: &Path) -> Result<Spdk, Error> {
        let include_dir = dir.join("include");
        let header = include_dir.join("spdk/version.h");
        let version_file = dir.join("VERSION");
        let version = if header.is_file() {
            wanted_version(&header)?
        } else if let Some(version) = fs::read_to_string(&version_file)
            .ok()
            .and_then(|text| Version::from_version_file(&text))
        {
            // The source of an SPDK, of whatever version, whose header is not generated yet.
            wanted(version, &version_file)?;
            return Err(Error::NotBuilt {
                dir: dir.to_owned(),
                version,
                looked_for: vec![header],
            });
        } else {
            let looked_for = vec![header, version_file];
            return Err(Error::NoSpdkInDir {
                dir: dir.to_owned(),
                looked_for,
            });
        };

        let mut lib_dirs = vec![dir.join("build/lib"), dir.join("lib"), dir.join("lib64")];
        lib_dirs.extend(multiarch(&dir.join("lib")));
        let holds_pc = |lib_dir: &&PathBuf| lib_dir.join("pkgconfig/spdk_event.pc").is_file();
        let Some(lib_dir) = lib_dirs.iter().find(holds_pc) else {
            let looked_for = lib_dirs
                .iter()
                .map(|lib_dir| lib_dir.join("pkgconfig/spdk_event.pc"))
                .collect();
            return Err(Error::NotBuilt {
                dir: dir.to_owned(),
                version,
                looked_for,
            });
        };
        let pc_dir = lib_dir.join("pkgconfig");
        // A built tree keeps its submodules' libraries where they were built.
        let submodules = ["dpdk/build/lib", "isa-l/.libs", "isa-l-crypto/.libs"];
        let lib_dirs = [lib_dir.clone()]
            .into_iter()
            .chain(submodules.map(|submodule| dir.join(submodule)))
            .filter(|dir| dir.is_dir())
            .collect();
        Ok(Spdk {
            version,
            include_dir,
            pc_dir,
            lib_dirs,
        })
    }

    /// The SPDK that pkg-config knows.
    fn ask(pkg_config: &str) -> Result<Spdk, Error> {
        let arguments = ["--variable=pcfiledir", "--print-errors", "spdk_event"];
        let output = Command::new(pkg_config)
            .args(arguments)
            .output()
            .map_err(|error| Error::NoPkgConfig {
                command: pkg_config.to_owned(),
                reason: error.to_string(),
            })?;
        let pc_dir = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() || pc_dir.is_empty() {
            let reason = String::from_utf8_lossy(&output.stderr)
                .trim()
                .replace('\n', "; ");
            return Err(Error::UnknownToPkgConfig {
                command: pkg_config.to_owned(),
                reason,
            });
        }
        let pc_dir = PathBuf::from(pc_dir);
        let pc = read_pc(&pc_dir.join("spdk_event.pc"))?;
        let include_dir = PathBuf::from(pc.include_dirs().next().unwrap_or("/usr/include"));
        let version = wanted_version(&include_dir.join("spdk/version.h"))?;
        let lib_dirs = pc_dir.parent().map(Path::to_owned).into_iter().collect();
        Ok(Spdk {
            version,
            include_dir,
            pc_dir,
            lib_dirs,
        })
    }
}

/// Reads a `.pc` file.
pub(crate) fn read_pc(path: &Path) -> Result<Pc, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Pc::parse(&text)),
        Err(error) => Err(Error::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        }),
    }
}

fn wanted_version(header: &Path) -> Result<Version, Error> {
    let unknown = |reason| Error::VersionUnknown {
        path: header.to_owned(),
        reason,
    };
    let text = fs::read_to_string(header).map_err(|error| unknown(error.to_string()))?;
    let version = Version::from_header(&text).map_err(unknown)?;
    wanted(version, header)?;
    Ok(version)
}

fn wanted(found: Version, path: &Path) -> Result<(), Error> {
    match found.is_wanted() {
        true => Ok(()),
        false => Err(Error::WrongVersion {
            found,
            path: path.to_owned(),
        }),
    }
}

/// Directories such as `lib/x86_64-linux-gnu`.
fn multiarch(lib: &Path) -> Vec<PathBuf> {
    let mut dirs: Vec<_> = fs::read_dir(lib)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("pkgconfig").is_dir())
        .collect();
    dirs.sort();
    dirs
}
