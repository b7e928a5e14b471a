//! Randomness: the system's, or in a simulation that of the seed.

use std::sync::Mutex;

/// The state of the simulation's generator; none outside of one.
static SEEDED: Mutex<Option<u64>> = Mutex::new(None);

/// A random number: unpredictable, or in a simulation the next one of its seed.
pub fn random_u64() -> u64 {
    let mut seeded = SEEDED
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    match &mut *seeded {
        Some(state) => split_mix(state),
        None => {
            drop(seeded);
            system()
        }
    }
}

/// Makes [`random_u64`] a function of the seed, or of the system for none.
pub(crate) fn seed_random(seed: Option<u64>) {
    *SEEDED
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner()) = seed;
}

/// The next number of SplitMix64: every state is a good one, any two seeds give different streams.
pub(crate) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn system() -> u64 {
    let mut bytes = [0_u8; 8];
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: a buffer of that length.
        let got = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(got) {
            Ok(got) => filled += got,
            // Interrupted by a signal.
            Err(_) if std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) => {}
            Err(_) => {
                // No such call: time and place are all there is, and what is made of them must
                // differ, not be secret.
                let mut state = super::clock::now() ^ (bytes.as_ptr() as u64).rotate_left(32);
                return split_mix(&mut state);
            }
        }
    }
    u64::from_ne_bytes(bytes)
}
