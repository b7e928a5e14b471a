//! error, delay and passthru.

use std::time::Instant;

use serde_json::json;

use super::*;

fn base(name: &str) {
    let params = json!({ "name": name, "num_blocks": 64, "block_size": BLOCK });
    assert_eq!(call("bdev_malloc_create", params), Ok(name.into()));
}

fn delete_base(name: &str) {
    let deleted = call("bdev_malloc_delete", json!({ "name": name }));
    assert_eq!(deleted, Ok(true.into()));
}

#[test]
fn passthru_claims_its_base_and_goes_with_it() {
    application(|| {
        let create = |base: &str, name: &str| {
            call(
                "bdev_passthru_create",
                json!({ "base_bdev_name": base, "name": name }),
            )
        };
        // Its base comes later.
        assert_eq!(create("base", "pass"), Ok("pass".into()));
        assert_eq!(create("base", "pass"), Err(-libc::EEXIST));
        assert!(!exists("pass"));
        base("base");
        assert!(exists("pass"));
        assert_eq!(create("base", "other"), Err(-libc::EPERM));
        let open = Open::new("pass");
        assert_eq!(open.write(1, 4), SUCCESS);
        assert!(open.holds(1, 4));
        assert_eq!(open.ask(Request::WriteZeroes, 1, vec![0; BLOCK]).0, SUCCESS);
        assert!(open.holds(1, 0));
        assert_eq!(open.ask(Request::Reset, 0, vec![]).0, SUCCESS);
        open.close();

        delete_base("base");
        assert!(!exists("pass"));
        base("base");
        assert!(exists("pass"));
        let delete = || call("bdev_passthru_delete", json!({ "name": "pass" }));
        assert_eq!(delete(), Ok(true.into()));
        assert_eq!(delete(), Err(-libc::ENODEV));
        delete_base("base");
        base("base");
        assert!(!exists("pass"));
    });
}

#[test]
fn delay_takes_its_time() {
    application(|| {
        base("base");
        let create = |p99_read_us: u64| {
            let params = json!({
                "base_bdev_name": "base", "name": "slow", "avg_read_latency": 20_000,
                "p99_read_latency": p99_read_us, "avg_write_latency": 0, "p99_write_latency": 0,
            });
            call("bdev_delay_create", params)
        };
        assert_eq!(create(10_000), Err(-libc::EINVAL));
        assert_eq!(create(30_000), Ok("slow".into()));
        let open = Open::new("slow");
        assert_eq!(open.write(1, 4), SUCCESS);
        let start = Instant::now();
        assert!(open.holds(1, 4));
        assert!(start.elapsed() >= Duration::from_millis(20));

        // A reset does not wait for what is delayed.
        for kind in ["avg_read", "p99_read"] {
            let update = json!({
                "delay_bdev_name": "slow", "latency_type": kind, "latency_us": 600_000_000,
            });
            assert_eq!(call("bdev_delay_update_latency", update), Ok(true.into()));
        }
        let delayed = open.start(Request::Read, 1, vec![0; BLOCK]);
        assert_eq!(open.write(2, 5), SUCCESS);
        assert_eq!(open.ask(Request::Reset, 0, vec![]).0, SUCCESS);
        assert_eq!(delayed.recv_timeout(PATIENCE).unwrap().0, ABORTED);
        open.close();
        delete_base("base");
        assert!(!exists("slow"));
    });
}

#[test]
fn error_does_as_it_is_told() {
    application(|| {
        base("base");
        let create = || call("bdev_error_create", json!({ "base_name": "base" }));
        assert_eq!(create(), Ok(true.into()));
        assert_eq!(create(), Err(-libc::EEXIST));
        let inject = |kind: &str, fault: &str, num: u32| {
            let params = json!({
                "name": "EE_base", "io_type": kind, "error_type": fault, "num": num,
                "corrupt_offset": 1, "corrupt_value": 0xff,
            });
            assert_eq!(call("bdev_error_inject_error", params), Ok(true.into()));
        };
        let open = Open::new("EE_base");
        inject("write", "failure", 2);
        assert_eq!(open.write(1, 1), FAILED);
        assert_eq!(open.write(1, 1), FAILED);
        assert_eq!(open.write(1, 1), SUCCESS);
        inject("write", "nomem", 3);
        assert_eq!(open.write(1, 2), SUCCESS);
        assert!(open.holds(1, 2));

        let mut corrupted = vec![2; BLOCK];
        corrupted[1] ^= 0xff;
        inject("read", "corrupt_data", 1);
        assert_eq!(open.read(1), (SUCCESS, corrupted.clone()));
        assert!(open.holds(1, 2));
        inject("write", "corrupt_data", 1);
        // The caller's data is as it was.
        assert_eq!(
            open.ask(Request::Write, 1, vec![2; BLOCK]),
            (SUCCESS, vec![2; BLOCK])
        );
        assert_eq!(open.read(1), (SUCCESS, corrupted));

        inject("flush", "pending", 1);
        let pending = open.start(Request::Flush, 0, vec![0; BLOCK]);
        assert_eq!(open.write(1, 3), SUCCESS);
        assert!(pending.try_recv().is_err());
        assert_eq!(open.ask(Request::Reset, 0, vec![]).0, SUCCESS);
        assert_eq!(pending.recv_timeout(PATIENCE).unwrap().0, ABORTED);

        inject("all", "failure", 9);
        assert_eq!(open.read(1).0, FAILED);
        inject("clear", "failure", 1);
        assert!(open.holds(1, 3));
        open.close();
        let deleted = call("bdev_error_delete", json!({ "name": "EE_base" }));
        assert_eq!(deleted, Ok(true.into()));
        delete_base("base");
    });
}
