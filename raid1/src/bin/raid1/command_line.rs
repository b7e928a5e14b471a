//! The options of the one command, taken out of the arguments; the rest are SPDK's.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use crate::mirror_spec::MirrorSpec;
use crate::nbd_address::NbdAddress;
use crate::size_argument as size;

/// What new legs have if `--size` is not given, in bytes.
pub(crate) const SIZE_DEFAULT: u64 = 1 << 30;
const BLOCK_SIZE_DEFAULT: u32 = 4096;

/// The arguments, read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CommandLine {
    pub(crate) mirrors: Vec<MirrorSpec>,
    /// Size of new files, in bytes; if it was given.
    pub(crate) size: Option<u64>,
    /// Of new mirrors, in bytes; if it was given.
    pub(crate) block_size: Option<u32>,
    /// Whether files may be overwritten that have something else on them.
    pub(crate) force: bool,
    /// Where to export the mirrors.
    pub(crate) exports: Vec<NbdAddress>,
    /// Serve the RPCs of SPDK's own module.
    pub(crate) has_bdev_raid_rpc: bool,
    pub(crate) wants_help: bool,
    /// The program's name and the arguments for SPDK.
    pub(crate) rest: Vec<Vec<u8>>,
}

impl CommandLine {
    /// Takes our options out of the arguments, the first of which is the program's name. Values
    /// follow as the next argument or behind `=`.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut line = Self {
            mirrors: Vec::new(),
            size: None,
            block_size: None,
            force: false,
            exports: Vec::new(),
            has_bdev_raid_rpc: false,
            wants_help: false,
            rest: Vec::new(),
        };
        let mut arguments = arguments.into_iter();
        line.rest.extend(arguments.next().map(OsString::into_vec));
        while let Some(argument) = arguments.next() {
            let text = argument.to_string_lossy().into_owned();
            let (option, attached) = match text.split_once('=') {
                Some((option, value)) => (option, Some(value.to_owned())),
                None => (text.as_str(), None),
            };
            let mut value = || value_of(option, attached.clone(), &mut arguments);
            let named = |error: String| format!("{option}: {error}");
            match option {
                "--mirror" => {
                    let mirror = MirrorSpec::parse(&value()?).map_err(named)?;
                    line.mirrors.push(mirror);
                }
                "--nbd" => {
                    let export = NbdAddress::parse(&value()?).map_err(named)?;
                    line.exports.push(export);
                }
                "--size" => once(
                    option,
                    &mut line.size,
                    size::parse(&value()?).map_err(named)?,
                )?,
                "--block-size" => {
                    let size = parse_block_size(&value()?).map_err(named)?;
                    once(option, &mut line.block_size, size)?;
                }
                "--bdev-raid-rpc" if attached.is_none() => line.has_bdev_raid_rpc = true,
                "--force" if attached.is_none() => line.force = true,
                "-h" | "--help" => line.wants_help = true,
                _ => line.rest.push(argument.into_vec()),
            }
        }
        line.check()
    }

    /// Checks what options say together.
    fn check(self) -> Result<Self, String> {
        let given = [
            ("--size", self.size.is_some()),
            ("--block-size", self.block_size.is_some()),
            ("--force", self.force),
            ("--nbd", !self.exports.is_empty()),
        ];
        if let Some((option, _)) = given.iter().find(|(_, is_given)| *is_given)
            && self.mirrors.is_empty()
            && !self.wants_help
        {
            return Err(format!(
                "{option}: there is no --mirror that it could be for"
            ));
        }
        if let Some(size) = self.size
            && (size == 0 || !size.is_multiple_of(self.new_block_size().into()))
        {
            return Err(format!(
                "--size: expected a multiple of {} bytes, a block, found {size} bytes",
                self.new_block_size()
            ));
        }
        for (index, mirror) in self.mirrors.iter().enumerate() {
            let others = self.mirrors.get(..index).unwrap_or_default();
            if others.iter().any(|other| other.name == mirror.name) {
                return Err(format!("--mirror: '{}' is given twice", mirror.name));
            }
        }
        for (index, export) in self.exports.iter().enumerate() {
            if self
                .exports
                .get(..index)
                .is_some_and(|others| others.contains(export))
            {
                return Err(format!("--nbd: '{export}' is given twice"));
            }
        }
        Ok(self)
    }

    /// Of mirrors that are made, in bytes.
    pub(crate) fn new_block_size(&self) -> u32 {
        self.block_size.unwrap_or(BLOCK_SIZE_DEFAULT)
    }

    /// The value of an option of SPDK, if it was given, to tell the user of it.
    pub(crate) fn value_of_rest(&self, short: &str, long: &str) -> Option<String> {
        let mut rest = self.rest.iter().skip(1);
        let mut found = None;
        while let Some(argument) = rest.next() {
            let argument = String::from_utf8_lossy(argument);
            if argument == short || argument == long {
                found = rest
                    .next()
                    .map(|value| String::from_utf8_lossy(value).into_owned());
            } else if let Some(value) = argument
                .strip_prefix(long)
                .and_then(|value| value.strip_prefix('='))
                .or_else(|| argument.strip_prefix(short))
            {
                found = Some(value.to_owned());
            }
        }
        found
    }
}

fn value_of(
    option: &str,
    attached: Option<String>,
    arguments: &mut impl Iterator<Item = OsString>,
) -> Result<String, String> {
    let value = attached.or_else(|| arguments.next()?.into_string().ok());
    value.ok_or_else(|| format!("{option}: expected a value of UTF-8 after it"))
}

fn once<T>(option: &str, place: &mut Option<T>, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{option}: given twice")),
    }
}

fn parse_block_size(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(size @ (512 | 4096)) => Ok(size),
        _ => Err(format!("expected 512 or 4096, in bytes, found '{text}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<CommandLine, String> {
        let arguments = [&["raid1"], arguments].concat();
        CommandLine::parse(arguments.into_iter().map(OsString::from))
    }

    #[test]
    fn ours_are_taken_and_the_rest_is_left() {
        let line = parse(&[
            "-m",
            "0x3",
            "--mirror",
            "m=/a,/b",
            "--mirror=n=/c,/d",
            "--size=2GiB",
            "--no-huge",
            "--nbd",
            "unix:/s",
            "--nbd=tcp:localhost:1",
            "--block-size",
            "512",
            "-s",
            "1024",
        ])
        .unwrap();
        let names: Vec<_> = line
            .mirrors
            .iter()
            .map(|mirror| mirror.name.as_str())
            .collect();
        assert_eq!(names, ["m", "n"]);
        assert_eq!((line.size, line.block_size), (Some(2 << 30), Some(512)));
        assert_eq!(line.exports.len(), 2);
        let rest = ["raid1", "-m", "0x3", "--no-huge", "-s", "1024"];
        assert_eq!(line.rest, rest.map(|text| text.as_bytes().to_vec()));
        assert!(!line.wants_help);
    }

    #[test]
    fn without_ours_all_is_left() {
        let line = parse(&["-c", "x.json", "-h"]).unwrap();
        assert!(line.mirrors.is_empty() && line.wants_help);
        assert_eq!(line.rest.len(), 3);
        assert_eq!((line.new_block_size(), line.force), (4096, false));
        assert!(parse(&["--mirror=m=/a,/b", "--force"]).unwrap().force);
    }

    #[test]
    fn values_of_the_rest() {
        for (arguments, value) in [
            (&["-r", "/s"][..], Some("/s")),
            (&["-r/s"], Some("/s")),
            (&["--rpc-socket", "/s"], Some("/s")),
            (&["--rpc-socket=/s"], Some("/s")),
            (&["-m", "1"], None),
        ] {
            let line = parse(arguments).unwrap();
            let found = line.value_of_rest("-r", "--rpc-socket");
            assert_eq!(found.as_deref(), value, "{arguments:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_option() {
        for (arguments, message) in [
            (&["--mirror"][..], "--mirror: expected a value"),
            (
                &["--mirror", "m"],
                "--mirror: expected NAME=FILE,FILE, found 'm'",
            ),
            (
                &["--mirror=m=/a,/b", "--mirror=m=/c,/d"],
                "--mirror: 'm' is given twice",
            ),
            (&["--size", "1G"], "--size: there is no --mirror"),
            (&["--nbd", "unix:/s"], "--nbd: there is no --mirror"),
            (&["--block-size=512"], "--block-size: there is no --mirror"),
            (&["--force"], "--force: there is no --mirror"),
            (
                &["--mirror=m=/a,/b", "--size=x"],
                "--size: expected a size such as",
            ),
            (
                &["--mirror=m=/a,/b", "--size=0"],
                "--size: expected a multiple of 4096",
            ),
            (&["--mirror=m=/a,/b", "--size=1000"], "found 1000 bytes"),
            (
                &["--mirror=m=/a,/b", "--size=1G", "--size=1G"],
                "--size: given twice",
            ),
            (
                &["--mirror=m=/a,/b", "--block-size=4k"],
                "--block-size: expected 512 or 4096",
            ),
            (
                &["--mirror=m=/a,/b", "--nbd=x"],
                "--nbd: expected unix:PATH",
            ),
            (
                &["--mirror=m=/a,/b", "--nbd=unix:/s", "--nbd=unix:/s"],
                "'unix:/s' is given twice",
            ),
        ] {
            let error = parse(arguments).unwrap_err();
            assert!(error.contains(message), "{arguments:?}: {error}");
        }
    }
}
