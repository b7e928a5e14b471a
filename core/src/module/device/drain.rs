//! Waiting for what a bdev has in flight.
//!
//! SPDK can keep a range of blocks quiet: it keeps new I/O back, and says when the last has ended. Here
//! all blocks are, until just then.
//!
//! Where a bdev is taken away at the very moment at which its blocks are let go of, SPDK v26.01 begins to
//! take it away twice (`bdev_unlock_lba_range_cb`, and the end of the walk of `spdk_bdev_unregister`); the
//! second time it would use what the first has freed. It does neither as long as somebody has the bdev
//! open. So a descriptor is held meanwhile, and, if the bdev is going, long enough for both.

use alloc::string::String;
use core::ffi::{c_int, c_void};
use core::time::Duration;

use barespdk_sys as ffi;

use crate::bdev::{Access, Desc};
use crate::completion::{Sender, completion};
use crate::errno::Errno;
use crate::message::{Receiver, oneshot};
use crate::runtime;

/// For how long the bdev is held open after a drain, if it is going: longer than any walk over threads
/// that is under way then, which only a thread that hangs would delay.
const HOLD: Duration = Duration::from_secs(1);

/// `spdk_bdev_quiesce_range`, or what ends it.
type Function = unsafe extern "C" fn(
    *mut ffi::spdk_bdev,
    *mut ffi::spdk_bdev_module,
    u64,
    u64,
    ffi::spdk_bdev_quiesce_cb,
    *mut c_void,
) -> c_int;

/// A bdev of ours that is drained, and held open for it, so that it does not go.
struct Drain {
    bdev: *mut ffi::spdk_bdev,
    /// SPDK identifies the blocks by where they end, and the bdev may have grown since.
    num_blocks: u64,
    name: String,
    desc: Desc,
}

/// Begins to drain a bdev. On the app thread.
///
/// # Safety
/// The bdev was registered under this name, by us, and is there until this returns.
pub(super) unsafe fn begin(
    bdev: *mut ffi::spdk_bdev,
    name: &str,
) -> Result<Receiver<Result<(), Errno>>, Errno> {
    let desc = Desc::open(name, Access::Read, |_| ())?;
    if desc.bdev() != bdev {
        // Ours is going, and has lost its name to another one: nothing would hold it.
        return Err(Errno::ENODEV);
    }
    let drain = Drain {
        bdev,
        num_blocks: desc.num_blocks(),
        name: name.into(),
        desc,
    };
    let (done, outcome) = oneshot();
    // A task of its own: what it has begun is to be ended, even if nobody waits for it.
    runtime::spawn_local(async move {
        let drained = drain.run().await;
        // Nobody may wait for it any more.
        let _ = done.send(drained);
        drain.end().await;
    })?;
    Ok(outcome)
}

impl Drain {
    async fn run(&self) -> Result<(), Errno> {
        self.ask(ffi::spdk_bdev_quiesce_range).await?;
        self.ask(ffi::spdk_bdev_unquiesce_range).await
    }

    async fn ask(&self, function: Function) -> Result<(), Errno> {
        let (sender, done) = completion::<c_int>();
        let context = sender.into_context();
        // SAFETY: the bdev is ours, and held open by `desc`. The callback is called once, on this thread, after
        // this has returned 0.
        let rc = unsafe {
            let module = (*self.bdev).module;
            function(
                self.bdev,
                module,
                0,
                self.num_blocks,
                Some(answered),
                context,
            )
        };
        if let Err(errno) = Errno::check(rc) {
            // SAFETY: made above; SPDK has not taken it.
            drop(unsafe { Sender::<c_int>::from_context(context) });
            return Err(errno);
        }
        Errno::check(done.await.unwrap_or(-libc::EIO))
    }

    /// Closes the bdev.
    async fn end(self) {
        // SPDK opens no bdev that is going.
        if Desc::open(&self.name, Access::Read, |_| ()).is_err() {
            // Without a timer left there is none to wait for.
            let _ = runtime::sleep(HOLD).await;
        }
        drop(self.desc);
    }
}

unsafe extern "C" fn answered(sender: *mut c_void, status: c_int) {
    // SAFETY: made by `ask`; SPDK calls this once, on the thread that asked.
    unsafe { Sender::<c_int>::from_context(sender) }.send(status);
}
