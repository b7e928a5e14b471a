//! Sets of CPU cores: where an SPDK thread may run.
//!
//! [`Cpuset`] holds a `struct spdk_cpuset` (`spdk/cpuset.h`). Its bits are read and written here, so
//! that a core number out of range is an error and never an access past the end.

use core::fmt;

use barespdk_sys::{cpuset as ffi, env};

/// A set of CPU cores, numbered from 0 to [`Cpuset::CAPACITY`] - 1.
#[derive(Clone)]
#[repr(transparent)]
pub struct Cpuset(ffi::spdk_cpuset);

/// Why a set of cores could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpusetError {
    /// A core number that no set can hold; it is given back.
    OutOfRange(u32),
    /// The text is neither a hexadecimal mask nor a list in brackets.
    Syntax,
    /// A range in a list runs backwards, such as `[4-2]`.
    BackwardRange(u32, u32),
}

impl fmt::Display for CpusetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange(core) => {
                write!(
                    f,
                    "core {core} is out of range (0 to {})",
                    Cpuset::CAPACITY - 1
                )
            }
            Self::Syntax => f.write_str(
                "neither a hexadecimal core mask (0x3) nor a list of cores in brackets ([0,2-4])",
            ),
            Self::BackwardRange(from, to) => write!(f, "range of cores {from}-{to} runs backwards"),
        }
    }
}

impl core::error::Error for CpusetError {}

impl Cpuset {
    /// How many cores a set can tell apart.
    pub const CAPACITY: u32 = ffi::SPDK_CPUSET_SIZE;

    /// The set without any core.
    pub const fn empty() -> Self {
        // SAFETY: `struct spdk_cpuset` consists of arrays of integers alone, for which all zero
        // bits are a value: no core, and an empty text.
        Self(unsafe { core::mem::zeroed() })
    }

    /// The set of the given cores; naming one twice is harmless.
    ///
    /// # Errors
    /// [`CpusetError::OutOfRange`] with the first core that is not below [`Cpuset::CAPACITY`].
    pub fn from_cores(cores: impl IntoIterator<Item = u32>) -> Result<Self, CpusetError> {
        let mut set = Self::empty();
        for core in cores {
            set.set(core)?;
        }
        Ok(set)
    }

    /// The cores that this application runs on; empty before it has started. Any thread.
    pub fn of_application() -> Self {
        let mut set = Self::empty();
        // SAFETY: these take no pointers; they read a table that is written only while the
        // application starts.
        let (count, mut core) = unsafe {
            (
                env::spdk_env_get_core_count(),
                env::spdk_env_get_first_core(),
            )
        };
        // Counted, because before the start the table of cores holds no cores but its defaults.
        for _ in 0..count {
            if set.set(core).is_err() {
                break;
            }
            // SAFETY: as above; any number is a valid argument.
            core = unsafe { env::spdk_env_get_next_core(core) };
        }
        set
    }

    /// Adds a core.
    ///
    /// # Errors
    /// [`CpusetError::OutOfRange`] if `core` is not below [`Cpuset::CAPACITY`].
    pub fn set(&mut self, core: u32) -> Result<(), CpusetError> {
        *self.byte_mut(core)? |= 1 << (core % 8);
        Ok(())
    }

    /// Takes a core out.
    ///
    /// # Errors
    /// [`CpusetError::OutOfRange`] if `core` is not below [`Cpuset::CAPACITY`].
    pub fn clear(&mut self, core: u32) -> Result<(), CpusetError> {
        *self.byte_mut(core)? &= !(1 << (core % 8));
        Ok(())
    }

    /// Whether the core is in the set; a core out of range is in none.
    pub fn contains(&self, core: u32) -> bool {
        self.0
            .cpus
            .get((core / 8) as usize)
            .is_some_and(|byte| byte & 1 << (core % 8) != 0)
    }

    /// How many cores are in the set.
    pub fn count(&self) -> u32 {
        self.0.cpus.iter().map(|byte| byte.count_ones()).sum()
    }

    /// Whether no core is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.cpus.iter().all(|byte| *byte == 0)
    }

    /// The cores of the set, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..Self::CAPACITY).filter(|core| self.contains(*core))
    }

    /// Reads a set as SPDK's `-m` takes it: a hexadecimal mask with or without `0x` (commas are
    /// skipped, as Linux writes them), or a list in brackets such as `[0,2-4]`.
    ///
    /// Stricter than `spdk_cpuset_parse`, which drops bits beyond its capacity in silence.
    ///
    /// # Errors
    /// See [`CpusetError`].
    pub fn parse(text: &str) -> Result<Self, CpusetError> {
        let text = text.trim_matches([' ', '\t']);
        match text.strip_prefix('[') {
            Some(list) => Self::parse_list(list.strip_suffix(']').ok_or(CpusetError::Syntax)?),
            None => Self::parse_mask(text),
        }
    }

    /// For calls to SPDK that read a set. Valid as long as `self` is borrowed.
    pub const fn as_ptr(&self) -> *const ffi::spdk_cpuset {
        &raw const self.0
    }

    /// For calls to SPDK that write a set. Valid as long as `self` is borrowed.
    pub const fn as_mut_ptr(&mut self) -> *mut ffi::spdk_cpuset {
        &raw mut self.0
    }

    /// Copies a set of SPDK's.
    pub fn from_raw(raw: &ffi::spdk_cpuset) -> Self {
        let mut set = Self::empty();
        set.0.cpus = raw.cpus;
        set
    }

    fn byte_mut(&mut self, core: u32) -> Result<&mut u8, CpusetError> {
        self.0
            .cpus
            .get_mut((core / 8) as usize)
            .ok_or(CpusetError::OutOfRange(core))
    }

    fn parse_mask(text: &str) -> Result<Self, CpusetError> {
        let digits = text
            .strip_prefix("0x")
            .or_else(|| text.strip_prefix("0X"))
            .unwrap_or(text);
        let mut set = Self::empty();
        let mut first_of_digit: u32 = 0;
        for character in digits.chars().rev().filter(|character| *character != ',') {
            let digit = character.to_digit(16).ok_or(CpusetError::Syntax)?;
            for bit in (0..4).filter(|bit| digit & 1 << bit != 0) {
                set.set(first_of_digit.saturating_add(bit))?;
            }
            first_of_digit = first_of_digit.saturating_add(4);
        }
        if first_of_digit == 0 {
            Err(CpusetError::Syntax)
        } else {
            Ok(set)
        }
    }

    fn parse_list(list: &str) -> Result<Self, CpusetError> {
        let number = |text: &str| {
            let text = text.trim_matches([' ', '\t']);
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(CpusetError::Syntax);
            }
            // Only a number too large for u32 is left to fail here.
            let core = text.parse().unwrap_or(u32::MAX);
            if core < Self::CAPACITY {
                Ok(core)
            } else {
                Err(CpusetError::OutOfRange(core))
            }
        };
        let mut set = Self::empty();
        for item in list.split(',') {
            let (from, to) = match item.split_once('-') {
                Some((from, to)) => (number(from)?, number(to)?),
                None => (number(item)?, number(item)?),
            };
            if from > to {
                return Err(CpusetError::BackwardRange(from, to));
            }
            for core in from..=to {
                set.set(core)?;
            }
        }
        Ok(set)
    }
}

impl Default for Cpuset {
    fn default() -> Self {
        Self::empty()
    }
}

impl PartialEq for Cpuset {
    fn eq(&self, other: &Self) -> bool {
        // The text in `struct spdk_cpuset` is a scratch buffer of SPDK's formatter.
        self.0.cpus == other.0.cpus
    }
}

impl Eq for Cpuset {}

/// The list form that [`Cpuset::parse`] and SPDK's `-m` read, such as `[0,2-4]`.
impl fmt::Display for Cpuset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        let mut separator = "";
        let mut core = 0;
        while core < Self::CAPACITY {
            if !self.contains(core) {
                core += 1;
                continue;
            }
            let first = core;
            while self.contains(core + 1) {
                core += 1;
            }
            match core - first {
                0 => write!(f, "{separator}{first}")?,
                _ => write!(f, "{separator}{first}-{core}")?,
            }
            separator = ",";
            core += 1;
        }
        f.write_str("]")
    }
}

impl fmt::Debug for Cpuset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cpuset({self})")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    fn cores(text: &str) -> Result<Vec<u32>, CpusetError> {
        Cpuset::parse(text).map(|set| set.iter().collect())
    }

    #[test]
    fn set_clear_and_count() {
        let mut set = Cpuset::empty();
        assert!(set.is_empty());
        for core in [0, 7, 8, 1023] {
            set.set(core).unwrap();
            assert!(set.contains(core));
        }
        assert_eq!(set.count(), 4);
        set.clear(8).unwrap();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 7, 1023]);
    }

    #[test]
    fn a_core_out_of_range_is_an_error() {
        let mut set = Cpuset::empty();
        for core in [1024, u32::MAX] {
            assert_eq!(set.set(core), Err(CpusetError::OutOfRange(core)));
            assert_eq!(set.clear(core), Err(CpusetError::OutOfRange(core)));
            assert!(!set.contains(core));
        }
        assert_eq!(
            Cpuset::from_cores([1, 4000]),
            Err(CpusetError::OutOfRange(4000))
        );
    }

    #[test]
    fn masks() {
        assert_eq!(cores("0x3").unwrap(), [0, 1]);
        assert_eq!(cores(" F0\t").unwrap(), [4, 5, 6, 7]);
        assert_eq!(cores("1,00000000").unwrap(), [32]);
        assert_eq!(cores("0").unwrap(), []);
        let top = std::format!("8{}", "0".repeat(255));
        assert_eq!(cores(&top).unwrap(), [1023]);
        let beyond = std::format!("1{}", "0".repeat(256));
        assert_eq!(cores(&beyond), Err(CpusetError::OutOfRange(1024)));
        for text in ["", "0x", "xyz", "-1", "0x-1", ","] {
            assert_eq!(cores(text), Err(CpusetError::Syntax), "{text:?}");
        }
    }

    #[test]
    fn lists() {
        assert_eq!(cores("[0,2-4]").unwrap(), [0, 2, 3, 4]);
        assert_eq!(cores("[ 1 , 3 - 4 ]").unwrap(), [1, 3, 4]);
        assert_eq!(cores("[4-2]"), Err(CpusetError::BackwardRange(4, 2)));
        assert_eq!(cores("[1024]"), Err(CpusetError::OutOfRange(1024)));
        assert_eq!(
            cores("[99999999999]"),
            Err(CpusetError::OutOfRange(u32::MAX))
        );
        for text in [
            "[", "[]", "[1", "[1,]", "[1-]", "[1-2-3]", "[+1]", "[a]", "]",
        ] {
            assert_eq!(cores(text), Err(CpusetError::Syntax), "{text:?}");
        }
    }

    #[test]
    fn text_reads_back() {
        for list in ["[0]", "[0,2-4]", "[1022-1023]", "[0-1023]"] {
            assert_eq!(Cpuset::parse(list).unwrap().to_string(), list);
        }
        assert_eq!(Cpuset::empty().to_string(), "[]");
    }

    #[cfg(not(loom))]
    proptest::proptest! {
        #[test]
        fn every_set_reads_back(cores in proptest::collection::btree_set(0..1024_u32, 1..40)) {
            let set = Cpuset::from_cores(cores.iter().copied()).unwrap();
            proptest::prop_assert_eq!(set.count() as usize, cores.len());
            proptest::prop_assert!(set.iter().eq(cores));
            proptest::prop_assert_eq!(Cpuset::parse(&set.to_string()), Ok(set));
        }

        #[test]
        fn no_text_panics(text in "\\[[-0-9, ]*\\]?|[0-9a-fA-Fx,]{0,300}|\\PC*") {
            let _ = Cpuset::parse(&text);
        }
    }
}
