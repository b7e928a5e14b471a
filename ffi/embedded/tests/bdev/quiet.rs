//! The module has nobody use a part of its disk for a while, again and again.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use barespdk_embedded::sim;
use barespdk_sys::*;

use crate::world;

/// So often: the last time ends before the clients do, or after.
const ROUNDS: u64 = 20;

thread_local! {
    static ROUND: Cell<u64> = const { Cell::new(0) };
    static RANGE: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
    static POLLER: Cell<*mut spdk_poller> = const { Cell::new(null_mut()) };
}

/// Whether nobody may use a block of a range now.
pub(crate) fn is_quiet(offset: u64, len: u64) -> bool {
    let (quiet, count) = RANGE.get();
    IS_QUIET.get() && offset < quiet + count && quiet < offset + len
}

/// Begins a round. On the app thread.
pub(crate) fn begin() {
    ROUND.set(ROUND.get() + 1);
    if ROUND.get() > ROUNDS {
        return;
    }
    RANGE.set((sim::random_below(3000), 1 + sim::random_below(600)));
    let (offset, len) = RANGE.get();
    // SAFETY: the module's own bdev, which is registered until the rounds have ended.
    unsafe {
        let bdev = &raw mut (*world::disk()).bdev;
        let module = (*bdev).module;
        let none = spdk_bdev_unquiesce_range(bdev, module, offset, len, None, null_mut());
        assert_eq!(none, -libc::EINVAL);
        let rc = spdk_bdev_quiesce_range(bdev, module, offset, len, Some(quiet), null_mut());
        assert_eq!(rc, 0);
    }
}

unsafe extern "C" fn quiet(_: *mut c_void, status: c_int) {
    assert_eq!(status, 0);
    IS_QUIET.set(true);
    // SAFETY: on the app thread; unregistered when it is called.
    POLLER
        .set(unsafe { spdk_poller_register_named(Some(end), null_mut(), 300, c"quiet".as_ptr()) });
}

unsafe extern "C" fn end(_: *mut c_void) -> c_int {
    let mut poller = POLLER.replace(null_mut());
    IS_QUIET.set(false);
    let (offset, len) = RANGE.get();
    // SAFETY: as above.
    unsafe {
        spdk_poller_unregister(&mut poller);
        let bdev = &raw mut (*world::disk()).bdev;
        let module = (*bdev).module;
        let rc = spdk_bdev_unquiesce_range(bdev, module, offset, len, Some(loud), null_mut());
        assert_eq!(rc, 0);
    }
    1
}

unsafe extern "C" fn loud(_: *mut c_void, status: c_int) {
    assert_eq!(status, 0);
    if world::goes_on() {
        begin();
    }
}
