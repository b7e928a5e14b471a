//! What to tell the linker of an executable.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::find::{Spdk, read_pc};
use super::pc::Pc;

/// How to link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Static,
    Shared,
}

impl Mode {
    /// Reads the value of `SPDK_LINK`.
    pub(crate) fn parse(value: Option<&str>) -> Result<Mode, Error> {
        match value {
            None | Some("" | "static") => Ok(Mode::Static),
            Some("shared") => Ok(Mode::Shared),
            Some(value) => Err(Error::LinkMode(value.to_owned())),
        }
    }
}

/// The linker's arguments and what they depend on.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) arguments: Vec<String>,
    /// Library files of SPDK, DPDK and what was built with them.
    pub(crate) files: Vec<PathBuf>,
    /// System libraries that are in none of the usual places.
    pub(crate) doubtful: Vec<String>,
}

impl Link {
    /// Links everything that an SPDK application needs and every module that this SPDK has: they
    /// register themselves in constructors, so nothing refers to them.
    pub(crate) fn with(spdk: &Spdk, mode: Mode) -> Result<Link, Error> {
        let (whole, system) = libraries(spdk)?;
        let mut lib_dirs = lib_dirs(spdk, whole.iter().map(|(_, pc)| pc).chain([&system]));
        if mode == Mode::Shared {
            // DPDK loads its drivers from the directory that it was configured with, wherever its
            // libraries were installed since. If that is still there, the libraries beside it must
            // be the ones to run, or the drivers are loaded twice and DPDK panics.
            if let Some(eal) = find_library("rte_eal", &lib_dirs, mode)
                && let Ok(eal) = fs::read(eal)
                && let Some(dir) = driver_dir(&eal)
                && let Some(dir) = dir.ancestors().nth(2)
                && find_library("rte_eal", &[dir.to_owned()], mode).is_some()
            {
                lib_dirs.retain(|other| other != dir);
                lib_dirs.insert(0, dir.to_owned());
            }
        }

        let mut files = Vec::new();
        let mut seen = BTreeSet::new();
        for (needed_by, pc) in &whole {
            for name in pc
                .libs
                .iter()
                .filter_map(|argument| argument.strip_prefix("-l"))
            {
                if seen.insert(name) {
                    files.push(library(name, needed_by, &lib_dirs, mode)?);
                }
            }
        }

        // Of the libraries that SPDK's need, those that were built with it (ISA-L) are taken from
        // there, by their paths too, and the linker finds the others.
        let mut beside = Vec::new();
        let mut others = Vec::new();
        let mut doubtful = Vec::new();
        for argument in system
            .libs
            .iter()
            .filter(|argument| !argument.starts_with("-L"))
        {
            let Some(name) = argument.strip_prefix("-l") else {
                others.push(argument.clone());
                continue;
            };
            match find_library(name, &lib_dirs, mode) {
                Some(path) => beside.push(path),
                None => {
                    others.push(argument.clone());
                    if !in_usual_places(name) {
                        doubtful.push(name.to_owned());
                    }
                }
            }
        }

        let whole_paths = files.iter().map(|path| path.display().to_string());
        let beside_paths = beside.iter().map(|path| path.display().to_string());
        let arguments = match mode {
            Mode::Static => ["-Wl,--whole-archive".to_owned()]
                .into_iter()
                .chain(whole_paths)
                .chain(["-Wl,--no-whole-archive".to_owned()])
                .chain(beside_paths)
                .chain(others)
                .collect(),
            // SPDK's libraries leave it to the application to load ISA-L: as needed by the
            // application alone, it would be dropped.
            Mode::Shared => ["-Wl,--push-state,--no-as-needed".to_owned()]
                .into_iter()
                .chain(whole_paths)
                .chain(beside_paths)
                .chain(["-Wl,--pop-state".to_owned()])
                .chain(
                    lib_dirs
                        .iter()
                        .map(|dir| format!("-Wl,-rpath,{}", dir.display())),
                )
                .chain(others)
                .collect(),
        };
        files.extend(beside);
        Ok(Link {
            arguments,
            files,
            doubtful,
        })
    }
}

/// Where to look for libraries, without those that do not exist.
fn lib_dirs<'a>(spdk: &Spdk, pcs: impl Iterator<Item = &'a Pc>) -> Vec<PathBuf> {
    let named = pcs
        .flat_map(Pc::lib_dirs)
        .map(PathBuf::from)
        .filter(|dir| dir.is_dir());
    let mut dirs = Vec::new();
    for dir in spdk.lib_dirs.iter().cloned().chain(named) {
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    dirs
}

/// The directory of drivers that DPDK's library `librte_eal.so` has built in, such as
/// `/usr/lib/dpdk/pmds-24.0`.
pub(crate) fn driver_dir(eal: &[u8]) -> Option<PathBuf> {
    const PART: &[u8] = b"/dpdk/pmds-";
    let strings = eal.split(|&byte| byte == 0);
    let mut dirs = strings.filter(|string| string.windows(PART.len()).any(|part| part == PART));
    let dir = dirs.find(|dir| dir.starts_with(b"/"))?;
    Some(PathBuf::from(str::from_utf8(dir).ok()?))
}

fn file_name(name: &str, mode: Mode) -> String {
    match mode {
        Mode::Static => format!("lib{name}.a"),
        Mode::Shared => format!("lib{name}.so"),
    }
}

fn find_library(name: &str, lib_dirs: &[PathBuf], mode: Mode) -> Option<PathBuf> {
    let file = file_name(name, mode);
    lib_dirs
        .iter()
        .map(|dir| dir.join(&file))
        .find(|path| path.is_file())
}

/// The file of a library of SPDK or DPDK: linked by its path, so that no other one is taken.
fn library(
    name: &str,
    needed_by: &str,
    lib_dirs: &[PathBuf],
    mode: Mode,
) -> Result<PathBuf, Error> {
    find_library(name, lib_dirs, mode).ok_or_else(|| Error::Missing {
        file: file_name(name, mode),
        needed_by: format!("{needed_by}.pc"),
        looked_in: lib_dirs.to_vec(),
        shared: mode == Mode::Shared,
    })
}

/// A `.pc` file's name and contents.
type Named = (String, Pc);

/// The `.pc` files of the libraries to link as a whole, those that need others first; and
/// the one that names the system's.
fn libraries(spdk: &Spdk) -> Result<(Vec<Named>, Pc), Error> {
    let mut roots: Vec<String> = fs::read_dir(&spdk.pc_dir)
        .map_err(|error| Error::Unreadable {
            path: spdk.pc_dir.clone(),
            reason: error.to_string(),
        })?
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".pc")?.to_owned()))
        .filter(|name| is_root(name))
        .collect();
    // In the order of the directory the arguments, and so the executable, would differ by machine.
    roots.sort();

    let mut whole: Vec<Named> = Vec::new();
    let mut wanted: Vec<(String, String)> = roots
        .into_iter()
        .rev()
        .map(|name| (name, "the SPDK application".to_owned()))
        .collect();
    while let Some((name, needed_by)) = wanted.pop() {
        if whole.iter().any(|(known, _)| *known == name) {
            continue;
        }
        let pc = required_pc(spdk, &name, &needed_by)?;
        wanted.extend(
            pc.requires
                .iter()
                .rev()
                .map(|other| (other.clone(), format!("{name}.pc"))),
        );
        whole.push((name, pc));
    }
    let system = required_pc(spdk, "spdk_syslibs", "the SPDK application")?;
    Ok((whole, system))
}

fn required_pc(spdk: &Spdk, name: &str, needed_by: &str) -> Result<Pc, Error> {
    let path = spdk.pc_dir.join(format!("{name}.pc"));
    if !path.is_file() {
        return Err(Error::Missing {
            file: format!("{name}.pc"),
            needed_by: needed_by.to_owned(),
            looked_in: vec![spdk.pc_dir.clone()],
            shared: false,
        });
    }
    read_pc(&path)
}

/// Whether a library is part of every application: the framework with its subsystems, the
/// environment, and the modules. What they require comes along.
fn is_root(name: &str) -> bool {
    const PREFIXES: [&str; 9] = [
        "spdk_event",
        "spdk_env_",
        "spdk_bdev_",
        "spdk_accel_",
        "spdk_sock_",
        "spdk_scheduler_",
        "spdk_keyring_",
        "spdk_fsdev_",
        "spdk_vfu_",
    ];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether the linker is likely to find a system library. Not knowing is no reason to fail.
fn in_usual_places(name: &str) -> bool {
    let usual = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from);
    let multiarch = ["/lib", "/usr/lib"].into_iter().flat_map(|dir| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.to_string_lossy().contains("-linux-"))
    });
    usual
        .into_iter()
        .chain(multiarch)
        .any(|dir: PathBuf| has_library(&dir, name))
}

fn has_library(dir: &Path, name: &str) -> bool {
    ["so", "a"]
        .iter()
        .any(|extension| dir.join(format!("lib{name}.{extension}")).exists())
}
