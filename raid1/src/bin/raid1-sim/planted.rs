//! The faults that a build with `--cfg planted` has in it: each must be found.

/// Their names.
pub(crate) const FAULTS: [&str; 21] = [
    "aborted_write_forgotten",
    "ack_before_record",
    "completion_lost",
    "copy_holds_nothing",
    "ejected_leg_read_on",
    "flush_error_ignored",
    "flush_skips_a_leg",
    "leg_never_closed",
    "mark_after_write",
    "no_memory_is_an_error",
    "one_superblock_copy",
    "read_error_ignored",
    "read_not_tried_again",
    "read_of_another_block",
    "rebuild_misses_windows",
    "repair_without_range",
    "resync_skipped",
    "stale_leg_accepted",
    "unmap_skips_a_leg",
    "write_error_ignored",
    "write_skips_a_leg",
];

/// Awakes a fault.
///
/// # Errors
/// There is no such fault, or none at all in this build.
pub(crate) fn plant(name: &str) -> Result<(), String> {
    let Some(fault) = FAULTS.into_iter().find(|fault| *fault == name) else {
        return Err(format!("there is no fault '{name}'; there are {FAULTS:?}"));
    };
    #[cfg(planted)]
    barespdk::planted::plant(fault);
    if cfg!(planted) {
        Ok(())
    } else {
        Err(format!(
            "'{fault}' needs a build with RUSTFLAGS='--cfg planted'"
        ))
    }
}
