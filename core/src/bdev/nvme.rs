//! NVMe commands, passed through to a bdev as they are.

use alloc::rc::Rc;
use core::ffi::{c_int, c_void};
use core::future::Future;
use core::pin::Pin;
use core::ptr::{self, NonNull};
use core::task::{Context, Poll};

use barespdk_alloc_dma::DmaBuf;
use barespdk_sys as ffi;

use super::channel::{Channel, ChannelInner};
use super::io::Io;
use super::io_type::IoType;
use super::op::Op;
use super::slot::Keep;
use super::status::IoError;
use crate::errno::Errno;

/// An NVMe command: the dwords of a submission queue entry, `struct spdk_nvme_cmd`.
///
/// The command identifier (dword 0, upper half) and the pointers to metadata and data (dwords 4 to 9)
/// are the driver's: what stands there is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NvmeCommand {
    /// By number, as the NVMe specification counts them.
    pub dwords: [u32; 16],
}

impl NvmeCommand {
    /// A command of an opcode, for a namespace, with all else 0.
    pub const fn new(opcode: u8, nsid: u32) -> Self {
        let mut dwords = [0; 16];
        dwords[0] = opcode as u32;
        dwords[1] = nsid;
        Self { dwords }
    }

    /// The opcode.
    pub const fn opcode(&self) -> u8 {
        self.dwords[0] as u8
    }

    /// The namespace.
    pub const fn nsid(&self) -> u32 {
        self.dwords[1]
    }

    /// Whether the command moves data from the controller to the host: so says its opcode, bit 1.
    pub const fn reads(&self) -> bool {
        self.opcode() & 2 != 0
    }

    pub(crate) fn from_raw(raw: &ffi::spdk_nvme_cmd) -> Self {
        // SAFETY: both are 64 bytes of plain integers; what C left unset is its submitter's fault, and
        // an integer all the same, as it is read from memory that C has handed over.
        let dwords = unsafe { ptr::from_ref(raw).cast::<[u32; 16]>().read() };
        Self { dwords }
    }

    fn to_raw(self) -> ffi::spdk_nvme_cmd {
        // SAFETY: both are 64 bytes of plain integers.
        unsafe { core::mem::transmute(self.dwords) }
    }
}

/// A command on its way, with what it moves.
pub(crate) struct NvmeJob {
    io_type: IoType,
    params: ffi::spdk_bdev_io_nvme_passthru_params,
    data: Option<DmaBuf>,
    metadata: Option<DmaBuf>,
}

impl NvmeJob {
    /// # Safety
    /// As for [`Op::submit`].
    pub(crate) unsafe fn submit(
        &self,
        channel: &ChannelInner,
        callback: ffi::spdk_bdev_io_completion_cb,
        argument: *mut c_void,
    ) -> c_int {
        let (desc, ch, params) = (channel.desc(), channel.raw(), &self.params);
        // SAFETY: the caller's word; SPDK copies the command.
        unsafe {
            match self.io_type {
                IoType::NVME_ADMIN => ffi::spdk_bdev_nvme_admin_passthru(
                    desc,
                    ch,
                    &params.cmd,
                    params.buf,
                    params.nbytes,
                    callback,
                    argument,
                ),
                IoType::NVME_IO => ffi::spdk_bdev_nvme_io_passthru(
                    desc,
                    ch,
                    &params.cmd,
                    params.buf,
                    params.nbytes,
                    callback,
                    argument,
                ),
                IoType::NVME_IO_MD => ffi::spdk_bdev_nvme_io_passthru_md(
                    desc,
                    ch,
                    &params.cmd,
                    params.buf,
                    params.nbytes,
                    params.md_buf,
                    params.md_len,
                    callback,
                    argument,
                ),
                IoType::NVME_IOV_MD => ffi::spdk_bdev_nvme_iov_passthru_md(
                    desc,
                    ch,
                    &params.cmd,
                    params.iovs,
                    params.iovcnt,
                    params.nbytes,
                    params.md_buf,
                    params.md_len,
                    callback,
                    argument,
                ),
                _ => -libc::EINVAL,
            }
        }
    }
}

/// How an NVMe command ended.
#[derive(Debug)]
pub struct NvmeOutcome {
    /// Dword 0 of the completion, or why there was none, or a bad one:
    /// [`Status::Nvme`](super::Status::Nvme) has the controller's codes.
    pub result: Result<u32, IoError>,
    /// The buffer of the data, given back.
    pub data: Option<DmaBuf>,
    /// The buffer of the metadata, given back.
    pub metadata: Option<DmaBuf>,
}

/// An NVMe command. It was submitted when this was made, and may be dropped as any [`Io`].
#[must_use = "the outcome says whether the command was done"]
pub struct NvmeIo {
    io: Io,
    /// Shared with the slot while in flight.
    job: Option<Rc<NvmeJob>>,
}

impl NvmeIo {
    pub(crate) fn refused(errno: Errno) -> Self {
        Self {
            io: Io::refused(errno),
            job: None,
        }
    }
}

impl Future for NvmeIo {
    /// The outcome. Polled again after its end, it is `Submit(EALREADY)` without buffers.
    type Output = NvmeOutcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<NvmeOutcome> {
        let this = &mut *self;
        let mut cdw0 = 0;
        let outcome = this.io.poll_slot(cx, |slot| cdw0 = slot.result() as u32);
        outcome.map(|outcome| {
            // The slot has let go of it.
            let job = this.job.take().and_then(Rc::into_inner);
            let (data, metadata) = job.map_or((None, None), |job| (job.data, job.metadata));
            NvmeOutcome {
                result: outcome.map(|()| cdw0),
                data,
                metadata,
            }
        })
    }
}

impl Channel {
    /// Sends an NVMe admin command. `data` is moved in the direction that the opcode says, all of it;
    /// its outcome gives it back.
    ///
    /// Refused with `EBADF` where the descriptor is open for reading only, as SPDK does not look at what
    /// a command does, and with `ENOTSUP` where the bdev does not take such commands.
    ///
    /// # Safety
    /// Neither SPDK nor the controller compares the command with the buffer. As the controller
    /// understands it, the command must move exactly the bytes of `data`, and refer to no other memory.
    pub unsafe fn nvme_admin(&self, command: &NvmeCommand, data: Option<DmaBuf>) -> NvmeIo {
        self.nvme(IoType::NVME_ADMIN, command, data, None)
    }

    /// Sends an NVMe I/O command, with separate metadata where there is any. As
    /// [`Channel::nvme_admin`].
    ///
    /// # Safety
    /// As for [`Channel::nvme_admin`]; the metadata must be exactly that of the blocks that the command
    /// is for.
    pub unsafe fn nvme_io(
        &self,
        command: &NvmeCommand,
        data: Option<DmaBuf>,
        metadata: Option<DmaBuf>,
    ) -> NvmeIo {
        let io_type = match metadata {
            Some(_) => IoType::NVME_IO_MD,
            None => IoType::NVME_IO,
        };
        self.nvme(io_type, command, data, metadata)
    }

    fn nvme(
        &self,
        io_type: IoType,
        command: &NvmeCommand,
        mut data: Option<DmaBuf>,
        mut metadata: Option<DmaBuf>,
    ) -> NvmeIo {
        let memory = |buffer: &mut Option<DmaBuf>| match buffer {
            Some(buffer) => (buffer.as_mut_ptr().cast(), buffer.len()),
            None => (ptr::null_mut(), 0),
        };
        let ((buf, nbytes), (md_buf, md_len)) = (memory(&mut data), memory(&mut metadata));
        let params = ffi::spdk_bdev_io_nvme_passthru_params {
            cmd: command.to_raw(),
            iovs: ptr::null_mut(),
            iovcnt: 0,
            buf,
            nbytes,
            md_buf,
            md_len,
        };
        let job = NvmeJob {
            io_type,
            params,
            data,
            metadata,
        };
        self.submit_nvme(None, job)
    }

    /// Passes on the command of a request, with its data and metadata.
    ///
    /// # Safety
    /// The I/O is alive, of a bdev of ours with a task, and carries an NVMe command.
    pub(crate) unsafe fn pass_on_nvme(&self, io: NonNull<ffi::spdk_bdev_io>) -> NvmeIo {
        // SAFETY: the caller's word.
        let (raw_type, params, bdev) = unsafe {
            let io = io.as_ptr();
            ((*io).r#type, (*io).u.nvme_passthru, (*io).bdev)
        };
        // A command counts blocks, whose size is not the lower bdev's affair alone.
        // SAFETY: a request's bdev is alive.
        let same = unsafe {
            (*bdev).blocklen == self.block_size() && (*bdev).md_len == self.desc().md_size()
        };
        if !same {
            return NvmeIo::refused(Errno::EINVAL);
        }
        let job = NvmeJob {
            io_type: IoType::from_raw(raw_type.into()),
            params,
            data: None,
            metadata: None,
        };
        self.submit_nvme(Some(io), job)
    }

    fn submit_nvme(&self, request: Option<NonNull<ffi::spdk_bdev_io>>, job: NvmeJob) -> NvmeIo {
        let job = Rc::new(job);
        let kept = Rc::clone(&job);
        let io = self.with_slot(request, |slot| {
            let op = Op::Nvme(Rc::as_ptr(&kept));
            slot.keep(Keep::Other(kept));
            Ok(op)
        });
        NvmeIo { io, job: Some(job) }
    }
}

impl core::fmt::Debug for NvmeIo {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("NvmeIo").field(&self.io).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_what_c_sees() {
        let mut command = NvmeCommand::new(0xc2, 7);
        command.dwords[15] = 9;
        let raw = command.to_raw();
        assert_eq!((raw.opc(), raw.nsid), (0xc2, 7));
        assert_eq!(NvmeCommand::from_raw(&raw), command);
        assert!(command.reads() && !NvmeCommand::new(0xc1, 0).reads());
    }
}
