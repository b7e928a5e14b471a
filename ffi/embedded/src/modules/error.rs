//! `error`: a bdev on another one that fails requests as it was told.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_int};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use barespdk_sys::{
    SPDK_BDEV_IO_STATUS_FAILED, SPDK_BDEV_IO_STATUS_NOMEM, SPDK_BDEV_IO_STATUS_SUCCESS,
    SPDK_BDEV_IO_TYPE_READ, SPDK_BDEV_IO_TYPE_RESET, SPDK_BDEV_IO_TYPE_WRITE, SPDK_ENV_NUMA_ID_ANY,
    spdk_bdev, spdk_bdev_io_type, spdk_bdev_module, spdk_bdev_module_examine_done,
    spdk_json_write_ctx,
};
use libc::iovec;
use serde_json::{Map, Value, json};

use self::injection::{Fault, Injections};
use super::base::{self, Base, BaseChannel, OnBase};
use super::device::{self, Device, Disk};
use super::io::{self, Copy, Io, Outcome};
use super::json as writer;
use super::memory::Memory;
use super::module::Module;
use super::uuid::Uuid;

mod injection;
mod reset;
mod rpc;

/// Name space of the UUIDs of parts of a bdev.
const NAMESPACE: Uuid = Uuid::from_u128(0x976b_899e_3e1e_4d71_ab69_c2b0_8e9d_f8b8);
/// Before the name of the base.
const PREFIX: &[u8] = b"EE_";

static MODULE: Module = Module::new(spdk_bdev_module {
    module_fini: Some(fini),
    config_json: Some(config_json),
    get_ctx_size: Some(base::ctx_size::<Faulty>),
    examine_config: Some(examine),
    ..Module::blank(c"error")
});

/// What was asked for, whether its base is there or not.
#[derive(Clone)]
struct Wanted {
    base_name: CString,
    uuid: Uuid,
}

static WANTED: Mutex<Vec<Wanted>> = Mutex::new(Vec::new());

fn wanted() -> MutexGuard<'static, Vec<Wanted>> {
    WANTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds the module and its methods.
pub(super) fn add() {
    MODULE.add();
    rpc::add();
}

unsafe extern "C" fn fini() {
    wanted().clear();
}

unsafe extern "C" fn examine(bdev: *mut spdk_bdev) {
    // SAFETY: the bdev layer passes a registered bdev, which has a name.
    let name = unsafe { CStr::from_ptr((*bdev).name) };
    let found = wanted()
        .iter()
        .find(|wanted| wanted.base_name.as_c_str() == name)
        .cloned();
    if let Some(Err(rc)) = found.as_ref().map(make) {
        error_log!(
            "error bdev of {}: not made: rc {rc}\n",
            name.to_string_lossy()
        );
    }
    // SAFETY: ends this examination.
    unsafe { spdk_bdev_module_examine_done(MODULE.as_ptr()) };
}

unsafe extern "C" fn config_json(w: *mut spdk_json_write_ctx) -> c_int {
    for wanted in wanted().iter() {
        let mut params = Map::new();
        let base_name = wanted.base_name.to_string_lossy().into_owned();
        params.insert("base_name".into(), base_name.into());
        if !wanted.uuid.is_null() {
            params.insert("uuid".into(), wanted.uuid.to_string().into());
        }
        let call = json!({ "method": "bdev_error_create", "params": params });
        // SAFETY: the writer is within an array.
        unsafe { writer::write(w, &call) };
    }
    0
}

/// Makes a bdev on a base that is there; `-ENODEV` if it is not.
fn make(wanted: &Wanted) -> Result<(), c_int> {
    let mut name = PREFIX.to_vec();
    name.extend_from_slice(wanted.base_name.as_bytes());
    let name = CString::new(name).map_err(|_| -libc::EINVAL)?;
    let base = Base::open(&wanted.base_name, false, &MODULE, &name)?;
    let bdev = spdk_bdev {
        write_unit_size: base.bdev().write_unit_size,
        uuid: uuid(wanted, &base).into(),
        ..base.inherited()
    };
    let faulty = Faulty {
        base,
        injections: Injections::default(),
    };
    device::register(name, bdev, faulty)
}

/// The UUID that was asked for, or that of the part of the base that is all of it.
fn uuid(wanted: &Wanted, base: &Base) -> Uuid {
    if !wanted.uuid.is_null() {
        return wanted.uuid;
    }
    let mut part = base.uuid().as_bytes().to_vec();
    part.extend_from_slice(&0_u64.to_ne_bytes());
    part.extend_from_slice(&base.bdev().blockcnt.to_ne_bytes());
    Uuid::from_name(NAMESPACE, &part)
}

struct Faulty {
    base: Base,
    injections: Injections,
}

/// One thread's part.
struct FaultyChannel {
    base: BaseChannel,
    /// Requests that the base has.
    in_flight: Cell<u64>,
    /// Requests that complete at the next reset.
    pending: RefCell<Vec<Io>>,
}

/// What is to happen to a request that the base has.
#[derive(Default)]
struct Passing {
    /// Corrupt what was read.
    corrupts_read: bool,
    /// Corrupted data to write instead of the caller's, and where it is.
    corrupted: Option<(Memory, iovec)>,
}

impl Device for Faulty {
    type Channel = FaultyChannel;

    const MODULE: &'static Module = &MODULE;
    const PRODUCT: &'static CStr = c"Error Injection Disk";

    fn open(disk: &Disk<Self>) -> Result<FaultyChannel, c_int> {
        Ok(FaultyChannel {
            base: disk.device().base.channel()?,
            in_flight: Cell::new(0),
            pending: RefCell::new(Vec::new()),
        })
    }

    fn submit(disk: &Disk<Self>, channel: &FaultyChannel, io: Io) {
        let kind = io.kind();
        if kind == SPDK_BDEV_IO_TYPE_RESET {
            return reset::start(disk, io);
        }
        let injections = &disk.device().injections;
        let mut passing = Passing::default();
        match injections.take(kind, channel.in_flight.get()) {
            None => {}
            Some(Fault::Failure) => return io.complete(SPDK_BDEV_IO_STATUS_FAILED),
            Some(Fault::Nomem) => return io.complete(SPDK_BDEV_IO_STATUS_NOMEM),
            Some(Fault::Pending) => return channel.pending.borrow_mut().push(io),
            Some(Fault::CorruptData) if kind == SPDK_BDEV_IO_TYPE_READ => {
                passing.corrupts_read = true;
            }
            Some(Fault::CorruptData) if kind == SPDK_BDEV_IO_TYPE_WRITE => {
                let Some(corrupted) = corrupted(&io, injections) else {
                    return io.complete(SPDK_BDEV_IO_STATUS_NOMEM);
                };
                passing.corrupted = Some(corrupted);
            }
            Some(Fault::CorruptData) => {}
        }
        channel.in_flight.set(channel.in_flight.get() + 1);
        base::pass_on::<Self>(channel, io, passing);
    }

    fn supports(&self, kind: spdk_bdev_io_type) -> bool {
        base::is_passed(kind) && self.base.supports_natively(kind)
    }

    fn info(disk: &Disk<Self>) -> Option<(&'static str, Value)> {
        let info = json!({ "base_bdev": disk.device().base.name_text() });
        Some(("error_disk", info))
    }

    fn leaving(disk: &Disk<Self>) {
        let base = disk.device().base.name_text();
        wanted().retain(|wanted| wanted.base_name.as_bytes() != base.as_bytes());
    }
}

impl OnBase for Faulty {
    type State = Passing;

    fn base(&self) -> &Base {
        &self.base
    }

    fn base_channel(channel: &FaultyChannel) -> &BaseChannel {
        &channel.base
    }

    fn data(passing: &mut Passing, io: &Io) -> (*mut iovec, c_int) {
        match &mut passing.corrupted {
            Some((_, iov)) => (ptr::from_mut(iov), 1),
            None => (io.params().iovs, io.params().iovcnt),
        }
    }

    fn passed(
        disk: &Disk<Self>,
        channel: &FaultyChannel,
        io: Io,
        passing: Passing,
        outcome: Outcome,
    ) {
        channel.in_flight.set(channel.in_flight.get() - 1);
        let success = matches!(outcome, Outcome::Status(SPDK_BDEV_IO_STATUS_SUCCESS));
        if success && passing.corrupts_read {
            corrupt(io.iovs(), disk.device().injections.corruption(io.kind()));
        }
        io.complete_as(outcome);
    }
}

/// A copy of the data to write, corrupted: the caller's own is not ours to change. None without
/// memory.
fn corrupted(io: &Io, injections: &Injections) -> Option<(Memory, iovec)> {
    let len = io.len_bytes();
    // SAFETY: registered while it has requests.
    let align = 1_usize << unsafe { (*io.bdev()).required_alignment };
    let memory = Memory::new(len as usize, align, SPDK_ENV_NUMA_ID_ANY)?;
    let start = memory.at(0, len)?;
    if !io::covers(io.iovs(), len) {
        return None;
    }
    // SAFETY: both have `len` bytes, and the memory is new.
    unsafe { io::copy(Copy::FromIovs, start, len as usize, io.iovs()) };
    let iov = iovec {
        iov_base: start.cast(),
        iov_len: len as usize,
    };
    corrupt(&[iov], injections.corruption(io.kind()));
    Some((memory, iov))
}

/// Changes the byte at an offset by a mask, if there is one.
fn corrupt(iovs: &[iovec], (mut offset, mask): (u64, u8)) {
    for iov in iovs {
        let len = iov.iov_len as u64;
        if offset < len {
            let byte = iov.iov_base.cast::<u8>().wrapping_add(offset as usize);
            // SAFETY: within the iovec, which is valid memory of the request.
            unsafe { *byte ^= mask };
            return;
        }
        offset -= len;
    }
}
