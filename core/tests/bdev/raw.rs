//! Requests such as only C submits: without a buffer, scattered, with metadata.

use std::ffi::c_void;
use std::ptr;

use barespdk::bdev::Desc;
use barespdk::errno::Errno;
use barespdk::message::{Receiver, Sender, oneshot};
use barespdk_sys as ffi;
use libc::iovec;

/// A channel, opened as C does.
pub(crate) struct Raw {
    desc: *mut ffi::spdk_bdev_desc,
    channel: *mut ffi::spdk_io_channel,
}

/// Whether it succeeded, and what stood in its memory at the end.
pub(crate) type Seen = (bool, Vec<u8>);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Read,
    Write,
}

unsafe extern "C" fn no_event(
    _: ffi::spdk_bdev_event_type,
    _: *mut ffi::spdk_bdev,
    _: *mut c_void,
) {
}

impl Raw {
    pub(crate) fn open(desc: &Desc) -> Result<Self, Errno> {
        let name = std::ffi::CString::new(desc.name()).map_err(|_| Errno::EINVAL)?;
        let mut raw = ptr::null_mut();
        // SAFETY: an SPDK thread; no context; closed by drop.
        unsafe {
            Errno::check(ffi::spdk_bdev_open_ext(
                name.as_ptr(),
                true,
                Some(no_event),
                ptr::null_mut(),
                &mut raw,
            ))?;
            let channel = ffi::spdk_bdev_get_io_channel(raw);
            Ok(Self { desc: raw, channel })
        }
    }

    /// # Safety
    /// The memory stays until the outcome is known.
    pub(crate) unsafe fn submit(
        &self,
        way: Way,
        iovs: &mut [iovec],
        metadata: *mut c_void,
        offset_blocks: u64,
        num_blocks: u64,
    ) -> Receiver<Seen> {
        let (sender, receiver) = oneshot::<Seen>();
        let context = Box::into_raw(Box::new(sender)).cast();
        // SAFETY: plain numbers and pointers, which may be zero.
        let mut opts: ffi::spdk_bdev_ext_io_opts = unsafe { std::mem::zeroed() };
        opts.size = size_of_val(&opts);
        opts.metadata = metadata;
        let submit = match way {
            Way::Read => ffi::spdk_bdev_readv_blocks_ext,
            Way::Write => ffi::spdk_bdev_writev_blocks_ext,
        };
        // SAFETY: open, on its thread; the rest is the caller's word.
        let rc = unsafe {
            submit(
                self.desc,
                self.channel,
                iovs.as_mut_ptr(),
                iovs.len() as i32,
                offset_blocks,
                num_blocks,
                Some(complete),
                context,
                &mut opts,
            )
        };
        if rc != 0 {
            // SAFETY: made above, and not taken.
            let _ =
                unsafe { Box::from_raw(context.cast::<Sender<Seen>>()) }.send((false, Vec::new()));
        }
        receiver
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: opened by `open`, on this thread; the tests await their I/O.
        unsafe {
            ffi::spdk_put_io_channel(self.channel);
            ffi::spdk_bdev_close(self.desc);
        }
    }
}

unsafe extern "C" fn complete(io: *mut ffi::spdk_bdev_io, success: bool, sender: *mut c_void) {
    let mut seen = Vec::new();
    // SAFETY: SPDK's I/O, complete, with iovecs, and given back once.
    unsafe {
        let params = &(*io).u.bdev;
        for index in 0..params.iovcnt as usize {
            let iov = *params.iovs.add(index);
            if !iov.iov_base.is_null() {
                let bytes = std::slice::from_raw_parts(iov.iov_base.cast::<u8>(), iov.iov_len);
                seen.extend_from_slice(bytes);
            }
        }
        ffi::spdk_bdev_free_io(io);
        let _ = Box::from_raw(sender.cast::<Sender<Seen>>()).send((success, seen));
    }
}
