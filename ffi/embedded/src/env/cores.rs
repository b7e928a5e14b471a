//! The cores of the application.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use barespdk_sys::{SPDK_CPUSET_SIZE, spdk_cpuset};

use super::cpuset;

/// No core.
pub(crate) const NONE: u32 = u32::MAX;

/// The cores of the environment, one bit each. Written when it is initialised.
static CORES: [AtomicU8; (SPDK_CPUSET_SIZE / 8) as usize] =
    [const { AtomicU8::new(0) }; (SPDK_CPUSET_SIZE / 8) as usize];
/// The core whose OS thread initialised the environment.
static MAIN: AtomicU32 = AtomicU32::new(NONE);

/// Refuses cores that the machine does not have.
pub(super) fn check(cores: spdk_cpuset, text: &str) -> Result<spdk_cpuset, String> {
    // SAFETY: takes and returns numbers.
    let configured = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) };
    let count = u32::try_from(configured).unwrap_or(1).max(1);
    match cpuset::iter(&cores).find(|core| *core >= count) {
        Some(core) => Err(format!(
            "Core {core} of '{text}' does not exist: this machine has cores 0 to {}",
            count - 1
        )),
        None => Ok(cores),
    }
}

pub(super) fn set(cores: &spdk_cpuset, main: u32) {
    for (to, from) in CORES.iter().zip(&cores.cpus) {
        to.store(*from, Ordering::Relaxed);
    }
    MAIN.store(main, Ordering::Release);
}

/// The cores of the application.
pub(crate) fn mask() -> spdk_cpuset {
    let mut set = cpuset::empty();
    for (to, from) in set.cpus.iter_mut().zip(&CORES) {
        *to = from.load(Ordering::Relaxed);
    }
    set
}

/// The core whose OS thread initialised the environment; its reactor runs there.
pub(crate) fn main_core() -> u32 {
    MAIN.load(Ordering::Acquire)
}

/// The lowest core of the environment that is not below `first`.
fn next_from(first: u32) -> u32 {
    let bytes = CORES.iter().zip(0_u32..).skip((first / 8) as usize);
    let mut found = bytes.map(|(byte, index)| {
        let below = if index == first / 8 { first % 8 } else { 0 };
        let left = byte.load(Ordering::Relaxed) & (0xFF_u8 << below);
        (left != 0).then(|| index * 8 + left.trailing_zeros())
    });
    found.find_map(|core| core).unwrap_or(NONE)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_env_get_core_count() -> u32 {
    CORES
        .iter()
        .map(|byte| byte.load(Ordering::Relaxed).count_ones())
        .sum()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_env_get_first_core() -> u32 {
    next_from(0)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_env_get_next_core(prev_core: u32) -> u32 {
    prev_core.checked_add(1).map_or(NONE, next_from)
}

same_as_declared!(
    spdk_env_get_core_count,
    spdk_env_get_first_core,
    spdk_env_get_next_core
);
