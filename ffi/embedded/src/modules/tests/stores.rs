//! malloc, null and aio.

use std::fs;

use serde_json::json;

use super::*;

fn stores(open: Open) {
    assert_eq!(open.write(3, 7), SUCCESS);
    assert_eq!(open.write(4, 8), SUCCESS);
    assert!(open.holds(3, 7));
    assert!(open.holds(4, 8));
    assert_eq!(open.ask(Request::Flush, 0, vec![0; BLOCK]).0, SUCCESS);
    assert_eq!(open.ask(Request::WriteZeroes, 3, vec![0; BLOCK]).0, SUCCESS);
    assert!(open.holds(3, 0));
    assert!(open.holds(4, 8));
    assert_eq!(open.ask(Request::Unmap, 4, vec![0; BLOCK]).0, SUCCESS);
    assert!(open.holds(4, 0));
    assert_eq!(open.ask(Request::Reset, 0, vec![]).0, SUCCESS);
}

#[test]
fn malloc() {
    application(|| {
        let params = json!({ "num_blocks": 64, "block_size": BLOCK });
        assert_eq!(
            call("bdev_malloc_create", params.clone()),
            Ok("Malloc0".into())
        );
        assert_eq!(call("bdev_malloc_create", params), Ok("Malloc1".into()));
        for (wrong, code) in [
            (json!({ "num_blocks": 0, "block_size": 512 }), -libc::EINVAL),
            (json!({ "num_blocks": 1, "block_size": 513 }), -libc::EINVAL),
            (json!({ "num_blocks": 1, "block_size": 0 }), -libc::ENOMEM),
            (
                json!({ "num_blocks": u64::MAX, "block_size": 512 }),
                -libc::ENOMEM,
            ),
            (
                json!({ "num_blocks": 1, "block_size": 512, "md_size": 7 }),
                -libc::EINVAL,
            ),
            (
                json!({ "num_blocks": 1, "block_size": 512, "name": "Malloc0" }),
                -libc::EEXIST,
            ),
        ] {
            assert_eq!(call("bdev_malloc_create", wrong), Err(code));
        }
        let open = Open::new("Malloc0");
        stores(open);
        open.close();
        let name = json!({ "name": "Malloc0" });
        assert_eq!(call("bdev_null_delete", name.clone()), Err(-libc::ENODEV));
        assert_eq!(call("bdev_malloc_delete", name.clone()), Ok(true.into()));
        assert_eq!(call("bdev_malloc_delete", name), Err(-libc::ENODEV));
    });
}

#[test]
fn null() {
    application(|| {
        let params = json!({ "name": "null", "num_blocks": 256, "block_size": BLOCK });
        assert_eq!(call("bdev_null_create", params), Ok("null".into()));
        let open = Open::new("null");
        assert_eq!(open.write(1, 1), SUCCESS);
        // What is read is what was in the buffer.
        assert!(open.holds(1, 0xee));
        open.close();
        let resize = |size: u64| {
            call(
                "bdev_null_resize",
                json!({ "name": "null", "new_size": size }),
            )
        };
        assert_eq!(resize(2), Ok(true.into()));
        assert_eq!(resize(1), Err(-libc::EINVAL));
        let shown = call("bdev_get_bdevs", json!({ "name": "null" })).unwrap();
        assert_eq!(shown[0]["num_blocks"], json!(512));
    });
}

#[test]
fn aio() {
    application(|| {
        for direct in [true, false] {
            let file = TempFile::new("aio", 64 * BLOCK as u64);
            let create = json!({
                "name": "aio", "filename": file.0, "block_size": BLOCK, "fallocate": true,
                "direct": direct,
            });
            assert_eq!(call("bdev_aio_create", create), Ok("aio".into()));
            let open = Open::new("aio");
            stores(open);
            assert_eq!(open.write(5, 9), SUCCESS);
            assert_eq!(fs::read(&file.0).unwrap()[5 * BLOCK..6 * BLOCK], [9; BLOCK]);

            // Past the end of a file that shrank, and in one that grew.
            let disk = fs::File::options().write(true).open(&file.0).unwrap();
            disk.set_len(4 * BLOCK as u64).unwrap();
            assert_eq!(open.read(5).0, FAILED);
            assert_eq!(open.read(2).0, SUCCESS);
            // Nor is it made longer by a write, and zeroes read where data was.
            assert_eq!(open.write(7, 1), FAILED);
            assert_eq!(disk.metadata().unwrap().len(), 4 * BLOCK as u64);
            disk.set_len(128 * BLOCK as u64).unwrap();
            let rescanned = call("bdev_aio_rescan", json!({ "name": "aio" }));
            assert_eq!(rescanned, Ok(true.into()));
            assert!(open.holds(127, 0));
            open.close();
            let deleted = call("bdev_aio_delete", json!({ "name": "aio" }));
            assert_eq!(deleted, Ok(true.into()));
        }
    });
}

#[test]
fn a_file_that_is_gone_takes_its_bdev_along() {
    for is_read in [true, false] {
        gone(is_read);
    }
}

fn gone(is_read: bool) {
    application(move || {
        let file = TempFile::new("gone", 8 * BLOCK as u64);
        let create = json!({ "name": "gone", "filename": file.0, "block_size": BLOCK });
        assert_eq!(call("bdev_aio_create", create), Ok("gone".into()));
        let open = Open::new("gone");
        fs::File::options()
            .write(true)
            .open(&file.0)
            .unwrap()
            .set_len(0)
            .unwrap();
        let status = match is_read {
            true => open.read(1).0,
            false => open.write(1, 1),
        };
        assert_eq!(status, SPDK_BDEV_IO_STATUS_AIO_ERROR as i8);
        open.close();
        let until = std::time::Instant::now() + PATIENCE;
        while exists("gone") {
            assert!(std::time::Instant::now() < until);
        }
    });
}

#[test]
fn files_that_are_refused() {
    application(|| {
        let file = TempFile::new("odd", 1000);
        let create = |extra: Value| {
            let mut params = json!({ "name": "odd", "filename": file.0 });
            for (name, value) in extra.as_object().unwrap() {
                params[name] = value.clone();
            }
            call("bdev_aio_create", params)
        };
        for (extra, code) in [
            (json!({}), -libc::EINVAL),
            (json!({ "block_size": 512 }), -libc::EINVAL),
            (json!({ "block_size": 500 }), -libc::EINVAL),
            (json!({ "block_size": 256 }), -libc::EINVAL),
            (json!({ "block_size": 1536 }), -libc::EINVAL),
            (json!({ "block_size": 512, "nowait": true }), -libc::ENOTSUP),
            (json!({ "block_size": 512, "filename": "/" }), -libc::EISDIR),
            (
                json!({ "block_size": 512, "filename": "/missing" }),
                -libc::ENOENT,
            ),
        ] {
            assert_eq!(create(extra.clone()), Err(code), "{extra}");
        }
    });
}
