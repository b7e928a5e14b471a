//! Bdevs on a real SPDK: those of others, through the client, and modules of our own.
//!
//! SPDK is given few `spdk_bdev_io` and few buffers, so that they run out soon, and is kept from examining new bdevs,
//! whose requests the tests count.

mod alloc_count;
mod broken;
mod drained;
mod dropped;
mod fan_out;
mod from_c;
#[path = "../harness/mod.rs"]
mod harness;
mod io;
mod lab;
mod life;
mod memory;
mod notified;
mod rare;
mod raw;
mod requests;
mod support;
mod told;
mod views;

#[cfg(all(feature = "embedded", not(feature = "spdk")))]
use barespdk_embedded as _;

use barespdk::errno::Errno;
use barespdk::module::Options;

use harness::{Suite, tests};

/// How many `spdk_bdev_io` there are.
pub(crate) const POOL: usize = 256;

/// `Slow` takes 20 ms for each I/O, `EE_BadBase` fails when it is told to.
const CONFIG: &str = r#"{"subsystems": [{"subsystem": "iobuf", "config": [
    {"method": "iobuf_set_options", "params": {"small_pool_count": 1024, "large_pool_count": 128}}
]}, {"subsystem": "bdev", "config": [
    {"method": "bdev_set_options", "params": {"bdev_io_pool_size": 256, "bdev_io_cache_size": 16,
        "bdev_auto_examine": false, "iobuf_small_cache_size": 16, "iobuf_large_cache_size": 4}},
    {"method": "bdev_malloc_create", "params": {"name": "Malloc", "num_blocks": 8192, "block_size": 512}},
    {"method": "bdev_malloc_create", "params": {"name": "Second", "num_blocks": 8192, "block_size": 512}},
    {"method": "bdev_malloc_create", "params": {"name": "Malloc4k", "num_blocks": 1024, "block_size": 4096}},
    {"method": "bdev_malloc_create", "params": {"name": "Meta8", "num_blocks": 1024, "block_size": 512, "md_size": 8}},
    {"method": "bdev_malloc_create", "params": {"name": "Meta64", "num_blocks": 1024, "block_size": 512, "md_size": 64}},
    {"method": "bdev_malloc_create", "params": {"name": "SlowBase", "num_blocks": 8192, "block_size": 512}},
    {"method": "bdev_delay_create", "params": {"name": "Slow", "base_bdev_name": "SlowBase",
        "avg_read_latency": 20000, "p99_read_latency": 20000,
        "avg_write_latency": 20000, "p99_write_latency": 20000}},
    {"method": "bdev_malloc_create", "params": {"name": "BadBase", "num_blocks": 8192, "block_size": 512}},
    {"method": "bdev_error_create", "params": {"base_name": "BadBase"}},
    {"method": "bdev_null_create", "params": {"name": "Null", "num_blocks": 8192, "block_size": 512}}
]}]}"#;

pub(crate) static SUITE: Suite = Suite {
    name: "bdev",
    tests: TESTS,
    config: Some(CONFIG),
    options: &[],
    leave_out: None,
};

const TESTS: &[harness::Test] = tests! {
    io:
        every_type_on_malloc, wrong_lengths, wrong_ranges, no_writes_through_a_read_only_descriptor,
        errors_of_a_bdev, metadata_of_ones_own, buffers_for_a_bdev, reads_in_flight_are_given_up, a_bdev_that_is_not_there, properties;
    views:
        parts_of_a_buffer, a_buffer_in_use, scattered_parts, two_views_to_compare_and_write;
    dropped:
        futures_in_flight, buffers_in_flight, tasks_in_flight, the_channel_before_its_io,
        a_completion_is_consumed_once, wakes_while_it_is_polled, the_loser_of_a_select,
        handed_to_another_task, the_descriptor_on_another_thread,
        the_descriptor_in_its_own_event;
    memory:
        no_io_left_waits, dropped_while_it_waits, requests_wait_too, no_buffer_left_waits,
        a_buffer_too_large;
    requests:
        blocks_of_another_size, every_status, no_memory_is_tried_again, every_type_through,
        compared_where_data_is_checked,
        used_before_the_first_poll, completed_after_its_last_io, a_write_is_not_read_into,
        a_wake_after_the_end, a_buffer_asked_for_twice;
    rare:
        seeks, zones, zones_refused, nvme_commands, a_request_aborts_another;
    from_c:
        split_and_gathered, a_read_without_a_buffer, metadata_of_another_size;
    fan_out:
        to_several, one_at_a_time, forgotten, dropped_in_flight, too_many_lanes, refused_lanes,
        passed_on, passed_on_in_vain, what_was_in_vain, passed_on_and_refused, it_waits_for_memory;
    told:
        when_all_is_done, not_when_in_vain, not_where_nobody_asked;
    drained:
        what_was_submitted_before, twice, nobody_waits_for_it, while_the_bdev_changes,
        another_has_its_name;
    notified:
        kinds, what_happened;
    life:
        examined, events, a_bdev_goes_in_flight, the_end_takes_time, handles_outlive_the_bdev,
        wrong_names_and_options, wrong_threads, json, each_channel, on_top_of_itself, a_thread_exits_with_io_in_flight, a_request_sleeps_while_its_thread_exits,
        resets_under_load, claimed, modules_come_before_spdk,
        no_timer_left;
    broken:
        what_came_before_spdk;
    alloc_count:
        no_allocation_for_an_io;
};

fn main() {
    broken::before_spdk();
    lab::PLAIN.add().expect("the first of its name");
    let code = SUITE.run();
    let late = lab::LABS.register("late", c"lab", &Options::new(512, 8), broken::idle());
    assert!(matches!(late, Err((Errno::ENODEV, _))));
    std::process::exit(code);
}
