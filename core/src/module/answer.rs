//! What requests of the less common types ask for, and what they want back beyond a status: zones, NVMe
//! commands, seeks, aborts.

use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use barespdk_sys as ffi;
use libc::iovec;

use super::request::Request;
use crate::bdev::{Channel, IoType, NvmeCommand, NvmeIo, ZoneAction, ZoneInfo};
use crate::errno::Errno;

/// Names a request among those of its thread that are not complete, so that an abort can be told
/// which one it is for.
///
/// A device that aborts keeps those of the requests that it can give up in its channel. Numbers come
/// back: one that is kept beyond the end of its request may name a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId {
    address: usize,
    /// Of one thread.
    _thread: PhantomData<*mut ()>,
}

impl RequestId {
    fn of(io: *mut ffi::spdk_bdev_io) -> Self {
        Self {
            address: io.addr(),
            _thread: PhantomData,
        }
    }
}

/// Sets what C left unset in a request of a type beyond reads and writes, so that it has a value where
/// the device does not give one.
///
/// # Safety
/// SPDK has just submitted the I/O to a bdev of ours.
#[inline(never)]
pub(super) unsafe fn prepare(io: NonNull<ffi::spdk_bdev_io>) {
    // SAFETY: alive; of the union, the member that belongs to the type is touched.
    unsafe {
        let io = io.as_ptr();
        match IoType::from_raw((*io).r#type.into()) {
            IoType::SEEK_DATA | IoType::SEEK_HOLE => (*io).u.bdev.seek.offset = u64::MAX,
            IoType::ZONE_APPEND | IoType::COMPARE | IoType::COMPARE_AND_WRITE => {
                // From the last request that had this memory.
                (*io).u.bdev.memory_domain = ptr::null_mut();
                (*io).u.bdev.dif_check_flags = (*(*io).bdev).dif_check_flags;
            }
            IoType::NVME_ADMIN | IoType::NVME_IO | IoType::NVME_IO_MD => {
                (*io).iov = iovec {
                    iov_base: (*io).u.nvme_passthru.buf,
                    iov_len: (*io).u.nvme_passthru.nbytes,
                };
            }
            _ => {}
        }
    }
}

impl Request<'_> {
    /// Names this request.
    pub fn id(&self) -> RequestId {
        RequestId::of(self.io.as_ptr())
    }

    /// For an abort: the request to give up. That ends with [`Status::Aborted`](crate::bdev::Status), if
    /// it can; the abort ends with success if it did.
    pub fn abort_target(&self) -> Option<RequestId> {
        // SAFETY: alive during the lifetime; the type says which member.
        (self.io_type() == IoType::ABORT)
            .then(|| RequestId::of(unsafe { (*self.io.as_ptr()).u.abort.bio_to_abort }))
    }

    /// For a seek: says what it has found, `None` for nothing up to the end, which it also means not to
    /// say anything.
    ///
    /// # Errors
    /// `EINVAL` for other types.
    pub fn found(&self, offset_blocks: Option<u64>) -> Result<(), Errno> {
        if !matches!(self.io_type(), IoType::SEEK_DATA | IoType::SEEK_HOLE) {
            return Err(Errno::EINVAL);
        }
        // SAFETY: alive during the lifetime; the type says which member.
        unsafe { (*self.io.as_ptr()).u.bdev.seek.offset = offset_blocks.unwrap_or(u64::MAX) };
        Ok(())
    }

    /// For an append to a zone: says where the data stands. Before this is said, it is the begin of the
    /// zone. To be said when it is known that the append has been done.
    ///
    /// # Errors
    /// `EINVAL` for other types.
    pub fn appended(&self, offset_blocks: u64) -> Result<(), Errno> {
        if self.io_type() != IoType::ZONE_APPEND {
            return Err(Errno::EINVAL);
        }
        // SAFETY: alive during the lifetime; the type says which member.
        unsafe { (*self.io.as_ptr()).u.bdev.offset_blocks = offset_blocks };
        Ok(())
    }

    /// For reports and management of zones: the first block of the first zone, and how many zones. SPDK
    /// checks neither.
    pub fn zones(&self) -> Option<(u64, u32)> {
        self.zone_params()
            .map(|params| (params.zone_id, params.num_zones))
    }

    /// For management of zones: what to do. `None` for other types, and for an action that this SPDK
    /// does not define.
    pub fn zone_action(&self) -> Option<ZoneAction> {
        self.zone_params()
            .filter(|_| self.io_type() == IoType::ZONE_MANAGEMENT)
            .and_then(|params| ZoneAction::from_raw(params.zone_action))
    }

    /// For a report of zones: fills in the one of this index, counted from the first that was asked for.
    /// All are to be filled in.
    ///
    /// # Errors
    /// `EINVAL` for other types, and for an index beyond what was asked for.
    pub fn report_zone(&self, index: u32, zone: &ZoneInfo) -> Result<(), Errno> {
        let params = self
            .zone_params()
            .filter(|params| self.io_type() == IoType::GET_ZONE_INFO && index < params.num_zones)
            .ok_or(Errno::EINVAL)?;
        let places = params.buf.cast::<ffi::spdk_bdev_zone_info>();
        if places.is_null() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: the submitter has made room for as many as it asked for, until the request is complete.
        unsafe { places.add(index as usize).write(zone.to_raw()) };
        Ok(())
    }

    fn zone_params(&self) -> Option<ffi::spdk_bdev_io_zone_mgmt_params> {
        // SAFETY: alive during the lifetime; the type says which member.
        matches!(
            self.io_type(),
            IoType::GET_ZONE_INFO | IoType::ZONE_MANAGEMENT
        )
        .then(|| unsafe { (*self.io.as_ptr()).u.zone_mgmt })
    }

    /// The NVMe command, where the request is one. [`Request::data`] is what it moves: it can be copied
    /// to or from, or read into or written, as the opcode says; metadata goes with
    /// [`Request::pass_on_nvme`] alone. It is completed with [`Status::Nvme`](crate::bdev::Status),
    /// which with codes of 0 is success with a dword 0.
    pub fn nvme_command(&self) -> Option<NvmeCommand> {
        // SAFETY: alive during the lifetime; the type says which member.
        self.io_type()
            .is_nvme()
            .then(|| NvmeCommand::from_raw(unsafe { &(*self.io.as_ptr()).u.nvme_passthru.cmd }))
    }

    /// Passes an NVMe command on to a lower bdev as it is, with its data and metadata. Refused with
    /// `EINVAL` where the request is no NVMe command, or the lower bdev has blocks or metadata of
    /// another size; and as [`Channel::nvme_admin`].
    pub fn pass_on_nvme(&self, lower: &Channel) -> NvmeIo {
        if !self.io_type().is_nvme() {
            return NvmeIo::refused(Errno::EINVAL);
        }
        // SAFETY: alive while borrowed, of a bdev of ours, with a task; an NVMe command.
        unsafe { lower.pass_on_nvme(self.io) }
    }
}
