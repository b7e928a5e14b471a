//! Mirrors over legs that fail, wait and refuse as a test wants them to.

mod assembly;
mod crew;
mod flush;
#[path = "../../../core/tests/harness/mod.rs"]
mod harness;
mod interleaved;
mod looks;
mod names;
mod reach;
mod rebuild;
mod refused;
mod removal;
mod reset;
mod retry;
mod returns;
mod rig;
mod support;
mod unequal;

// Defines SPDK's functions. An executable's matter: a library uses those of its application.
#[cfg(all(feature = "embedded", not(feature = "spdk")))]
use barespdk_embedded as _;
// Registers the module and its RPCs.
use barespdk_raid1 as _;

use harness::{Suite, tests};

static SUITE: Suite = Suite {
    name: "mirror",
    tests: TESTS,
    config: None,
    options: &[],
    leave_out: None,
};

const TESTS: &[harness::Test] = tests! {
    assembly:
        after_a_stop, whatever_the_order_and_the_names, without_a_leg_that_comes_later,
        without_a_leg_when_it_has_waited, not_of_histories_that_went_apart, not_of_copies,
        after_a_crash, after_a_crash_of_the_start, with_an_image_from_before_the_start,
        with_a_leg_that_cannot_be_read_at_first,
        with_a_leg_that_is_claimed_at_first, not_what_was_deleted, not_where_the_name_is_taken;
    flush:
        at_the_end_of_a_rebuild, of_metadata_on_the_last_leg, of_metadata_once;
    refused:
        creation, import;
    interleaved:
        come_back, not_made, as_bdev_raid_has_them;
    looks:
        write_cache;
    removal:
        by_rpc_while_a_thread_is_blocked, of_a_failed_leg_while_a_thread_is_blocked;
    names:
        the_same_leg_twice, removed_by_the_other_name;
    reach:
        a_leg_that_one_thread_cannot_reach, no_leg_can_be_reached;
    rebuild:
        of_a_leg_while_all_is_written, a_write_waits_for_the_window,
        from_legs_that_fail_reads, to_a_leg_that_fails_writes;
    returns:
        while_it_still_leaves, behind_another_in_its_slot;
    reset:
        a_leg_goes_meanwhile, a_leg_fails_it, it_takes_long;
    retry:
        a_read_is_tried_once_on_each_leg, a_write_is_sent_to_each_leg,
        a_leg_that_fails_a_flush_is_copied_to;
    unequal:
        what_was_on_a_new_leg_is_never_read, a_bad_block_of_the_first_leg;
};

fn main() {
    rig::RIGS.add().expect("the first of its name");
    std::process::exit(SUITE.run());
}
