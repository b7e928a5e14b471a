//! What one life of a run leaves to the next: the disks, and what may be read of them.
//!
//! A life is a process. The next one takes its place, and finds all of this on its standard input, where
//! the first one found the steps to take.

use std::fs::{self, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{self, Command, Stdio};

use crate::apart::Apart;
use crate::checker::Checker;
use crate::disk::Disk;

/// What stands before all else: no list of steps begins so.
const MAGIC: &[u8] = b"raid1-sim life\n";

/// What a life leaves.
pub(crate) struct Passed {
    /// The life to come: the first is 0.
    pub(crate) life: usize,
    /// The steps to take, as the first life was told.
    pub(crate) asked: String,
    /// Requests that the legs have had.
    pub(crate) requests: u64,
    /// Whether somebody was told that there is a mirror.
    pub(crate) is_created: bool,
    pub(crate) disks: Vec<Disk>,
    pub(crate) checker: Checker,
    pub(crate) apart: Option<Apart>,
}

impl Passed {
    /// Reads what a life left; `None` if `text` is not of one.
    pub(crate) fn parse(text: &[u8]) -> Option<io::Result<Self>> {
        let rest = text.strip_prefix(MAGIC)?;
        Some(Self::load(&mut Reader::new(rest)))
    }

    fn load(from: &mut Reader<'_>) -> io::Result<Self> {
        let life = from.number()? as usize;
        let len = from.number()? as usize;
        Ok(Self {
            life,
            asked: String::from_utf8_lossy(from.bytes(len)?).into_owned(),
            requests: from.number()?,
            is_created: from.flag()?,
            disks: (0..from.number()?)
                .map(|_| Disk::load(from))
                .collect::<io::Result<_>>()?,
            checker: Checker::load(from)?,
            apart: match from.flag()? {
                true => Some(Apart::load(from)?),
                false => None,
            },
        })
    }

    fn save(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.bytes(MAGIC);
        to.number(self.life as u64);
        to.number(self.asked.len() as u64);
        to.bytes(self.asked.as_bytes());
        to.number(self.requests);
        to.flag(self.is_created);
        to.number(self.disks.len() as u64);
        self.disks.iter().for_each(|disk| disk.save(&mut to));
        self.checker.save(&mut to);
        to.flag(self.apart.is_some());
        if let Some(apart) = &self.apart {
            apart.save(&mut to);
        }
        to.into_bytes()
    }

    /// Begins the next life, in the place of this process.
    pub(crate) fn begin(&self) -> io::Error {
        match self.replace() {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    fn replace(&self) -> io::Result<std::convert::Infallible> {
        let path = std::env::temp_dir().join(format!("raid1-sim.{}", process::id()));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)?;
        // Nothing is left behind, however this run ends.
        fs::remove_file(&path)?;
        file.write_all(&self.save())?;
        file.rewind()?;
        let error = Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .stdin(Stdio::from(file))
            .exec();
        Err(error)
    }
}

/// Writes numbers and bytes, one after the other.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    pub(crate) fn flag(&mut self, flag: bool) {
        self.bytes.push(flag.into());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads what a [`Writer`] wrote.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn number(&mut self) -> io::Result<u64> {
        let bytes = self.bytes(size_of::<u64>())?;
        Ok(u64::from_le_bytes(bytes.try_into().unwrap_or_default()))
    }

    pub(crate) fn flag(&mut self) -> io::Result<bool> {
        Ok(self.bytes(1)? != [0])
    }

    pub(crate) fn bytes(&mut self, len: usize) -> io::Result<&'a [u8]> {
        let too_short = || io::Error::new(io::ErrorKind::UnexpectedEof, "a life left too little");
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or_else(too_short)?;
        self.rest = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_gets_what_the_last_one_left() {
        let passed = Passed {
            life: 2,
            asked: "1 2 3".to_owned(),
            requests: 77,
            is_created: true,
            disks: vec![Disk::new(4), Disk::new(4)],
            checker: Checker::new(3),
            apart: Some(Apart {
                sides: [vec![2, 0], vec![1]],
                other: Checker::new(5),
            }),
        };
        let saved = passed.save();
        let found = Passed::parse(&saved).unwrap().unwrap();
        assert_eq!((found.life, found.asked.as_str()), (2, "1 2 3"));
        assert_eq!((found.requests, found.is_created), (77, true));
        assert_eq!(found.disks, passed.disks);
        assert_eq!(found.checker, passed.checker);
        let (found, passed) = (found.apart.unwrap(), passed.apart.unwrap());
        assert_eq!((found.sides, found.other), (passed.sides, passed.other));
        assert!(Passed::parse(b"1 2 3").is_none());
        assert!(Passed::parse(&saved[..60]).unwrap().is_err());
    }
}
