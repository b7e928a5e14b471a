//! What the bdevs of all modules have in common: their memory, their functions and their end.
//!
//! A module says in a [`Device`] what its bdevs do. [`register`] puts one into memory that lives as
//! long as the bdev layer knows it:
//!
//! ```text
//!   register ──► in use ──► destruct ──► io_device unregistered ──► device dropped ──► freed
//!       │  channels open and close           the last channel closed      │
//!       └── refused by the bdev layer ────────────────────────────────────┘
//! ```

use std::cell::UnsafeCell;
use std::ffi::{CStr, CString, c_int, c_void};
use std::mem::{self, ManuallyDrop};

use barespdk_sys::{
    spdk_bdev, spdk_bdev_destruct_done, spdk_bdev_fn_table, spdk_bdev_get_by_name, spdk_bdev_io,
    spdk_bdev_io_type, spdk_bdev_register, spdk_bdev_unregister_by_name, spdk_get_io_channel,
    spdk_io_channel, spdk_io_channel_get_ctx, spdk_io_device_unregister, spdk_json_write_ctx,
};
use serde::Deserialize;
use serde_json::Value;

use super::channel::{self, IoDevice};
use super::io::Io;
use super::json;
use super::module::Module;
use super::uuid::Uuid;
use crate::rpc::{self, Reply, RpcError};

/// What a bdev of a module does. Dropped when nobody uses the bdev any more, on the thread that
/// unregistered it.
pub(super) trait Device: Send + Sync + Sized + 'static {
    /// One thread's part of it.
    type Channel: 'static;

    /// The module that the bdev belongs to.
    const MODULE: &'static Module;

    /// Its product name.
    const PRODUCT: &'static CStr;

    /// Makes the current thread's channel, or fails with a negative errno value.
    fn open(disk: &Disk<Self>) -> Result<Self::Channel, c_int>;

    /// Takes a request of the current thread.
    fn submit(disk: &Disk<Self>, channel: &Self::Channel, io: Io);

    /// Whether it takes requests of a type.
    fn supports(&self, kind: spdk_bdev_io_type) -> bool;

    /// A name and a value that describe it, beside what all bdevs have.
    fn info(_disk: &Disk<Self>) -> Option<(&'static str, Value)> {
        None
    }

    /// The RPC that makes it, if the module does not save all of its own.
    fn config(_disk: &Disk<Self>) -> Option<Value> {
        None
    }

    /// The bdev is being destroyed: it has no descriptors any more, but its channels may still
    /// close.
    fn leaving(_disk: &Disk<Self>) {}
}

/// A bdev and what its module knows of it.
pub(super) struct Disk<D: Device> {
    // The bdev layer's and ours: read and written through the pointer alone.
    bdev: UnsafeCell<spdk_bdev>,
    name: CString,
    // Dropped before the rest is freed.
    device: ManuallyDrop<D>,
}

// SAFETY: `device` is `Sync`, `name` does not change, and `bdev` is only handed out by pointer.
unsafe impl<D: Device> Sync for Disk<D> {}

impl<D: Device> Disk<D> {
    /// What the module knows.
    pub(super) fn device(&self) -> &D {
        &self.device
    }

    /// The bdev, which the bdev layer may read and write at the same time.
    pub(super) fn bdev(&self) -> *mut spdk_bdev {
        self.bdev.get()
    }

    /// The bdev's name.
    pub(super) fn name(&self) -> &CStr {
        &self.name
    }

    /// The bdev's name, for JSON.
    pub(super) fn name_text(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }

    /// A number of blocks, as it is now.
    pub(super) fn num_blocks(&self) -> u64 {
        // SAFETY: valid memory; the bdev layer changes the number on the application thread, where
        // configurations are written.
        unsafe { (*self.bdev()).blockcnt }
    }

    /// Bytes of a block. It never changes.
    pub(super) fn block_size(&self) -> u32 {
        // SAFETY: valid memory that nobody writes once the bdev is registered.
        unsafe { (*self.bdev()).blocklen }
    }

    /// The UUID.
    pub(super) fn uuid(&self) -> Uuid {
        // SAFETY: valid memory that nobody writes once the bdev is registered.
        unsafe { (*self.bdev()).uuid }.into()
    }
}

impl<D: Device> IoDevice for Disk<D> {
    type Channel = D::Channel;

    fn open(&self) -> Result<D::Channel, c_int> {
        D::open(self)
    }
}

/// The disk of a bdev, if its module made it.
///
/// # Safety
///
/// `bdev` is registered, and stays so while the reference is used.
pub(super) unsafe fn disk_of<'a, D: Device>(bdev: *mut spdk_bdev) -> Option<&'a Disk<D>> {
    // SAFETY: as this function demands; all bdevs of the module have a disk of this type.
    unsafe {
        D::MODULE
            .is((*bdev).module)
            .then(|| &*(*bdev).ctxt.cast::<Disk<D>>())
    }
}

/// The disk of a name, if its module made it. On the application thread, to be used there and right
/// away.
pub(super) fn find<'a, D: Device>(name: &CStr) -> Option<&'a Disk<D>> {
    // SAFETY: on the application thread, which alone can end the bdev, in another call.
    unsafe {
        let bdev = spdk_bdev_get_by_name(name.as_ptr());
        if bdev.is_null() {
            return None;
        }
        disk_of(bdev)
    }
}

/// A bdev without properties, to be filled.
pub(super) fn blank() -> spdk_bdev {
    // SAFETY: numbers, arrays of numbers and pointers that may be NULL.
    unsafe { mem::zeroed() }
}

/// Registers a bdev of these properties; what ties it to its module is filled in. On the
/// application thread. After an error the device is dropped, maybe later.
pub(super) fn register<D: Device>(
    name: CString,
    properties: spdk_bdev,
    device: D,
) -> Result<(), c_int> {
    let disk = Box::into_raw(Box::new(Disk {
        bdev: UnsafeCell::new(properties),
        name,
        device: ManuallyDrop::new(device),
    }));
    // SAFETY: new memory that nobody else knows; the name stays where it is until the disk is freed.
    unsafe {
        let bdev = (*disk).bdev.get();
        (*bdev).ctxt = disk.cast();
        (*bdev).name = (*disk).name.as_ptr().cast_mut();
        (*bdev).product_name = D::PRODUCT.as_ptr().cast_mut();
        (*bdev).module = D::MODULE.as_ptr();
        (*bdev).fn_table = Functions::<D>::TABLE;
        channel::register_io_device(disk, &(*disk).name);
        let rc = spdk_bdev_register(bdev);
        if rc != 0 {
            spdk_io_device_unregister(disk.cast(), Some(refused::<D>));
            return Err(rc);
        }
    }
    Ok(())
}

unsafe extern "C" fn refused<D: Device>(disk: *mut c_void) {
    // SAFETY: from `Box::into_raw`; neither the bdev layer nor a channel knows it any more.
    let mut disk = unsafe { Box::from_raw(disk.cast::<Disk<D>>()) };
    // SAFETY: dropped once; the rest is freed right after.
    unsafe { ManuallyDrop::drop(&mut disk.device) };
}

unsafe extern "C" fn gone<D: Device>(disk: *mut c_void) {
    // SAFETY: from `Box::into_raw`; no channel is left, and the bdev layer waits for this.
    let mut disk = unsafe { Box::from_raw(disk.cast::<Disk<D>>()) };
    // SAFETY: dropped once. What it holds, files and other bdevs, is free before anyone is told.
    unsafe { ManuallyDrop::drop(&mut disk.device) };
    // SAFETY: ends the `destruct` that returned 1; the memory is freed only after it.
    unsafe { spdk_bdev_destruct_done(disk.bdev(), 0) };
}

struct Functions<D>(D);

impl<D: Device> Functions<D> {
    const TABLE: &'static spdk_bdev_fn_table = &spdk_bdev_fn_table {
        destruct: Some(Self::destruct),
        submit_request: Some(Self::submit_request),
        io_type_supported: Some(Self::io_type_supported),
        get_io_channel: Some(Self::get_io_channel),
        dump_info_json: Some(Self::dump_info_json),
        write_config_json: Some(Self::write_config_json),
        get_spin_time: None,
        get_module_ctx: Some(Self::get_module_ctx),
        get_memory_domains: None,
        reset_device_stat: None,
        dump_device_stat_json: None,
        accel_sequence_supported: None,
    };

    unsafe extern "C" fn destruct(ctx: *mut c_void) -> c_int {
        // SAFETY: the bdev layer passes the `ctxt` of a registered bdev.
        D::leaving(unsafe { &*ctx.cast::<Disk<D>>() });
        // SAFETY: registered with the bdev; `gone` frees it when the last channel closed.
        unsafe { spdk_io_device_unregister(ctx, Some(gone::<D>)) };
        1
    }

    unsafe extern "C" fn submit_request(ch: *mut spdk_io_channel, io: *mut spdk_bdev_io) {
        // SAFETY: the bdev layer passes a request of a registered bdev and that bdev's channel, on
        // their thread. The channel's context was made by `open`.
        unsafe {
            let disk = &*(*(*io).bdev).ctxt.cast::<Disk<D>>();
            let channel = &*spdk_io_channel_get_ctx(ch).cast::<D::Channel>();
            D::submit(disk, channel, Io::from_raw(io));
        }
    }

    unsafe extern "C" fn io_type_supported(ctx: *mut c_void, kind: spdk_bdev_io_type) -> bool {
        // SAFETY: the bdev layer passes the `ctxt` of a bdev.
        unsafe { &*ctx.cast::<Disk<D>>() }.device.supports(kind)
    }

    unsafe extern "C" fn get_io_channel(ctx: *mut c_void) -> *mut spdk_io_channel {
        // SAFETY: the disk is an io_device.
        unsafe { spdk_get_io_channel(ctx) }
    }

    unsafe extern "C" fn dump_info_json(ctx: *mut c_void, w: *mut spdk_json_write_ctx) -> c_int {
        // SAFETY: the bdev layer passes the `ctxt` of a bdev.
        if let Some((name, value)) = D::info(unsafe { &*ctx.cast::<Disk<D>>() }) {
            // SAFETY: the writer is within an object.
            unsafe { json::write_member(w, name, &value) };
        }
        0
    }

    unsafe extern "C" fn write_config_json(bdev: *mut spdk_bdev, w: *mut spdk_json_write_ctx) {
        // SAFETY: the bdev layer passes a bdev of this module.
        if let Some(value) = D::config(unsafe { &*(*bdev).ctxt.cast::<Disk<D>>() }) {
            // SAFETY: the writer is within an array.
            unsafe { json::write(w, &value) };
        }
    }

    unsafe extern "C" fn get_module_ctx(ctx: *mut c_void) -> *mut c_void {
        ctx
    }
}

/// Parameters of methods that are about one bdev.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    pub(super) name: String,
}

/// Handles a method that deletes a bdev of a module: answers true when the bdev is gone. `started`
/// is called with its name once it is on its way.
pub(super) fn delete(
    module: &'static Module,
    params: Option<Value>,
    reply: Reply,
    started: impl FnOnce(&str),
) {
    let name = match rpc::params::<Named>(params) {
        Ok(params) => params.name,
        Err(error) => return reply.send(Err(error)),
    };
    let Ok(name_c) = CString::new(name.as_str()) else {
        return reply.send(Err(RpcError::from_errno(-libc::ENODEV)));
    };
    let reply = Box::into_raw(Box::new(reply));
    // SAFETY: the name lives during the call; `deleted` takes the reply back once, unless the call
    // fails.
    let rc = unsafe {
        spdk_bdev_unregister_by_name(
            name_c.as_ptr(),
            module.as_ptr(),
            Some(deleted),
            reply.cast(),
        )
    };
    if rc == 0 {
        started(&name);
    } else {
        // SAFETY: after an error the callback does not run, so that the reply is still ours.
        unsafe { deleted(reply.cast(), rc) };
    }
}

unsafe extern "C" fn deleted(reply: *mut c_void, rc: c_int) {
    // SAFETY: the box of `delete`, once.
    let reply = unsafe { Box::from_raw(reply.cast::<Reply>()) };
    reply.send(match rc {
        0 => Ok(Value::Bool(true)),
        rc => Err(RpcError::from_errno(rc)),
    });
}

/// A name as C has it.
pub(super) fn c_name(name: &str) -> Result<CString, RpcError> {
    CString::new(name).map_err(|_| RpcError::invalid_params("name: contains a NUL character"))
}
