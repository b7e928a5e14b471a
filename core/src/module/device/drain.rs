//! Waiting for what a bdev has in flight.
//!
//! SPDK can keep a range of blocks quiet: it keeps new I/O back, and says when the last has ended. Here
//! all blocks are, until just then.

use alloc::boxed::Box;
use core::ffi::{c_int, c_void};
use core::future::Future;

use barespdk_sys as ffi;

use crate::bdev::{Access, Desc};
use crate::completion::{Sender, completion};
use crate::errno::Errno;

/// A drain under way: SPDK's, from when it is told of it to its last callback.
struct Drain {
    bdev: *mut ffi::spdk_bdev,
    /// SPDK identifies the blocks by where they end, and the bdev may have grown since.
    num_blocks: u64,
    /// Keeps the bdev: of one that goes, and that nobody has open, SPDK would not let go of what it
    /// keeps back.
    _desc: Desc,
    done: Sender<c_int>,
}

/// Begins to drain a bdev of ours, of this name. On the app thread.
pub(super) fn drain(
    bdev: *mut ffi::spdk_bdev,
    name: &str,
) -> Result<impl Future<Output = Result<(), Errno>> + use<>, Errno> {
    let desc = Desc::open(name, Access::Read, |_| ())?;
    let (done, outcome) = completion();
    let num_blocks = desc.num_blocks();
    let drain = Box::into_raw(Box::new(Drain {
        bdev,
        num_blocks,
        _desc: desc,
        done,
    }));
    // SAFETY: the bdev is registered and stays until it is closed; its module is ours. The callback is
    // called once, on this thread, after this has returned 0, with what it was made for.
    let rc = unsafe {
        let (module, context) = ((*bdev).module, drain.cast());
        ffi::spdk_bdev_quiesce_range(bdev, module, 0, num_blocks, Some(is_quiet), context)
    };
    if let Err(errno) = Errno::check(rc) {
        // SAFETY: made above; SPDK has not taken it.
        drop(unsafe { Box::from_raw(drain) });
        return Err(errno);
    }
    Ok(async { Errno::check(outcome.await.unwrap_or(-libc::EIO)) })
}

/// SPDK calls this when nothing is in flight any more, or it cannot keep the blocks quiet.
unsafe extern "C" fn is_quiet(context: *mut c_void, status: c_int) {
    let drain = context.cast::<Drain>();
    // SAFETY: made by `drain`, and not ended before.
    unsafe {
        let rc = match status {
            0 => ffi::spdk_bdev_unquiesce_range(
                (*drain).bdev,
                (*(*drain).bdev).module,
                0,
                (*drain).num_blocks,
                Some(ended),
                context,
            ),
            refused => refused,
        };
        if rc != 0 {
            ended(context, rc);
        }
    }
}

/// SPDK calls this last, when it has let go of what it kept back.
unsafe extern "C" fn ended(context: *mut c_void, status: c_int) {
    // SAFETY: made by `drain`; SPDK is done with it.
    let drain = unsafe { Box::from_raw(context.cast::<Drain>()) };
    drain.done.send(status);
}
