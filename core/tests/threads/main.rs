//! Threads, messages, io_devices, locals and pollers on a real SPDK.
//!
//! `--interrupt-mode` runs them on reactors that sleep; `--no-leaks` leaves the one out in which SPDK
//! has to leak, for leak checkers.

mod exit;
#[path = "../harness/mod.rs"]
mod harness;
mod interrupts;
mod io_devices;
mod locals;
mod pollers;
mod threads;

#[cfg(all(feature = "embedded", not(feature = "spdk")))]
use barespdk_embedded as _;

pub(crate) use harness::{
    Counter, Outcome, check, check_eq, end, on_this_core, other_core, pause, until,
};
use harness::{Suite, tests};

const TESTS: &[harness::Test] = tests! {
    threads:
        who_is_who, outside_of_spdk, wrong_names_and_cores, messages_run_in_order,
        calls_return_values, a_call_without_receiver, a_flood_of_messages, spawn_there,
        a_mailbox_between_threads;
    exit:
        the_app_thread_is_not_ours_to_end, work_pending_is_dropped_in_order,
        accepted_messages_run, an_exited_thread_is_an_error, senders_race_with_exit,
        a_channel_keeps_its_thread, ended_by_c,
        ended_by_force;
    io_devices:
        channels_are_counted, state_lives_in_the_channel, failing_to_open, a_channel_of_itself,
        the_device_outlives_its_channels, unregister_waits, for_each_goes_in_order,
        for_each_from_outside, for_each_meets_a_channel_half_made, the_device_goes_during_for_each, threads_exit_during_for_each,
        dropped_outside_of_spdk, raw_references, reopened_by_a_destructor, dropped_on_a_wrong_thread;
    locals:
        each_thread_has_its_own, types_do_not_mix, use_within_use, dropped_at_exit,
        outside_of_spdk_there_are_none;
    pollers:
        a_poller_polls, a_poller_drops_itself, a_poller_pauses, pollers_drop_each_other,
        wrong_poller_names,
        dropped_on_a_wrong_thread;
    interrupts:
        called_when_readable, an_interrupt_drops_itself, sleepers_are_roused,
        dropped_on_a_wrong_thread;
};

static SUITE: Suite = Suite {
    name: "threads",
    tests: TESTS,
    config: None,
    options: &["--interrupt-mode"],
    leave_out: Some(("--no-leaks", "exit::ended_by_force")),
};

fn main() {
    std::process::exit(SUITE.run());
}
