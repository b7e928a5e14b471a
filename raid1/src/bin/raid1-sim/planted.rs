//! The faults that a build with `--cfg planted` has in it: each must be found.

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    /// A seed that has found it, with the number of steps that `ci/planted-faults` takes. What a seed does
    /// changes with the simulator: then those that follow it find the fault.
    pub(crate) seed: u64,
}

const fn found_by(seed: u64, name: &'static str) -> Fault {
    Fault { name, seed }
}

/// All of them.
pub(crate) const FAULTS: [Fault; 23] = [
    found_by(10, "aborted_write_forgotten"),
    found_by(13, "ack_before_record"),
    found_by(94, "clear_early"),
    found_by(1, "completion_lost"),
    found_by(3, "copy_holds_nothing"),
    found_by(27, "ejected_leg_read_on"),
    found_by(3, "flush_error_ignored"),
    found_by(12, "flush_skips_a_leg"),
    found_by(566, "leg_dropped_at_once"),
    found_by(4, "leg_never_closed"),
    found_by(229, "mark_after_write"),
    found_by(3, "no_memory_is_an_error"),
    found_by(4, "one_superblock_copy"),
    found_by(1, "read_error_ignored"),
    found_by(1, "read_not_tried_again"),
    found_by(1, "read_of_another_block"),
    found_by(2, "rebuild_misses_windows"),
    found_by(7, "repair_without_range"),
    found_by(17, "resync_skipped"),
    found_by(2, "stale_leg_accepted"),
    found_by(4, "unmap_skips_a_leg"),
    found_by(3, "write_error_ignored"),
    found_by(1, "write_skips_a_leg"),
];

/// Awakes a fault.
///
/// # Errors
/// There is no such fault, or none at all in this build.
pub(crate) fn plant(name: &str) -> Result<(), String> {
    let Some(fault) = FAULTS.into_iter().find(|fault| fault.name == name) else {
        return Err(format!("there is no fault '{name}'"));
    };
    #[cfg(planted)]
    barespdk::planted::plant(fault.name);
    if cfg!(planted) {
        Ok(())
    } else {
        Err(format!(
            "'{}' needs a build with RUSTFLAGS='--cfg planted'",
            fault.name
        ))
    }
}
