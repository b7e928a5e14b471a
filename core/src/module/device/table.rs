//! What SPDK calls of a bdev of ours: `struct spdk_bdev_fn_table`, and the callbacks of its channels.

use alloc::sync::Arc;
use core::ffi::{c_int, c_void};
use core::mem;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use barespdk_sys as ffi;

use super::{ChannelContext, Device, Life, Node};
use crate::bdev::making::Making;
use crate::bdev::{IoType, Status};
use crate::completion::{Sender, completion};
use crate::errno::Errno;
use crate::json::JsonWriter;
use crate::message::Job;
use crate::module::answer;
use crate::module::pass::{Pass, Passed, PassedOn};
use crate::module::request::{self, ComesBack, Request, RequestTask, TASK_ALIGN};
use crate::runtime::{self, RuntimeRef};
use crate::thread::Origin;
use crate::thread::record::Record;

pub(super) fn fn_table<D: Device>() -> ffi::spdk_bdev_fn_table {
    ffi::spdk_bdev_fn_table {
        destruct: Some(destruct::<D>),
        submit_request: Some(submit_request::<D>),
        io_type_supported: Some(io_type_supported::<D>),
        get_io_channel: Some(get_io_channel),
        dump_info_json: Some(dump_info_json::<D>),
        write_config_json: Some(write_config_json::<D>),
        get_spin_time: None,
        get_module_ctx: None,
        get_memory_domains: None,
        reset_device_stat: None,
        dump_device_stat_json: None,
        accel_sequence_supported: None,
    }
}

unsafe extern "C" fn submit_request<D: Device>(
    channel: *mut ffi::spdk_io_channel,
    io: *mut ffi::spdk_bdev_io,
) {
    // SAFETY: SPDK submits an I/O of a bdev of type `D` on a channel of its own. Neither goes before
    // the I/O is completed.
    unsafe {
        if !io.addr().is_multiple_of(TASK_ALIGN) {
            // What stands in `driver_ctx` relies on the alignment that SPDK's header asserts.
            return ffi::spdk_bdev_io_complete(io, ffi::SPDK_BDEV_IO_STATUS_FAILED);
        }
        let io = NonNull::new_unchecked(io);
        if u32::from((*io.as_ptr()).r#type) > IoType::WRITE.raw() {
            answer::prepare(io);
        }
        if D::PASSES {
            let node = (*(*io.as_ptr()).bdev).ctxt.cast::<Node<D>>();
            let context = ffi::spdk_io_channel_get_ctx(channel).cast::<ChannelContext<D>>();
            let comes_back = const {
                &ComesBack {
                    told: tell::<D>,
                    in_vain: serve_anew::<D>,
                }
            };
            request::note_who_is_called(io, comes_back);
            let mut pass = Pass::new(io);
            (*node).device.pass(&(*context).channel, &mut pass);
            match pass.end() {
                Passed::InFlight => return,
                Passed::Ended(outcome) => return comes_back.end(io, outcome),
                Passed::NotAtAll => {}
            }
        }
        serve::<D>(channel, io, false);
    }
}

/// Serves a request with a task, which was passed on before, `in_vain`, or was not.
///
/// # Safety
/// An I/O of a bdev of type `D`, on a channel of it, of which nothing is in flight.
unsafe fn serve<D: Device>(
    channel: *mut ffi::spdk_io_channel,
    io: NonNull<ffi::spdk_bdev_io>,
    in_vain: bool,
) {
    // SAFETY: device and channel outlive the future, which is dropped before the I/O is completed.
    unsafe {
        let node = (*(*io.as_ptr()).bdev).ctxt.cast::<Node<D>>();
        let context = ffi::spdk_io_channel_get_ctx(channel).cast::<ChannelContext<D>>();
        let executor = NonNull::from((*context).runtime.executor());
        RequestTask::serve(io, executor, in_vain, || {
            (*node).device.submit(&(*context).channel, Request::new(io))
        });
    }
}

/// Tells the device of a request that was passed on, all of which is done, and completes it.
unsafe fn tell<D: Device>(io: NonNull<ffi::spdk_bdev_io>) {
    // SAFETY: `submit_request` noted this for an I/O of a bdev of type `D`. Device, channel, and what
    // the device is shown outlive the call; the request is completed after it, once.
    unsafe {
        let node = (*(*io.as_ptr()).bdev).ctxt.cast::<Node<D>>();
        let channel = ffi::spdk_bdev_io_get_io_channel(io.as_ptr());
        let context = ffi::spdk_io_channel_get_ctx(channel).cast::<ChannelContext<D>>();
        let channel = &(*context).channel;
        (*node).device.passed(channel, &PassedOn::new(io));
        Status::Success.complete(io);
    }
}

/// Serves a request that was passed on in vain.
#[cold]
unsafe fn serve_anew<D: Device>(io: NonNull<ffi::spdk_bdev_io>) {
    // SAFETY: `submit_request` noted this for an I/O of a bdev of type `D`.
    unsafe { serve::<D>(ffi::spdk_bdev_io_get_io_channel(io.as_ptr()), io, true) };
}

unsafe extern "C" fn io_type_supported<D: Device>(
    context: *mut c_void,
    io_type: ffi::spdk_bdev_io_type,
) -> bool {
    let io_type = IoType::from_raw(io_type);
    // SAFETY: the context of a bdev of type `D`, which is alive.
    io_type.can_be_served()
        && unsafe { &*context.cast::<Node<D>>() }
            .device
            .supports(io_type)
}

unsafe extern "C" fn get_io_channel(context: *mut c_void) -> *mut ffi::spdk_io_channel {
    // SAFETY: the context of a bdev of ours is its io_device.
    unsafe { ffi::spdk_get_io_channel(context) }
}

pub(super) unsafe extern "C" fn create_channel<D: Device>(
    device: *mut c_void,
    context: *mut c_void,
) -> c_int {
    const {
        assert!(
            align_of::<ChannelContext<D>>() <= 16,
            "SPDK aligns contexts to 16 bytes"
        )
    };
    // SAFETY: the io_device is a node of type `D`, which is alive.
    let node = unsafe { &*device.cast::<Node<D>>() };
    // SAFETY: SPDK hands over a context of this size and alignment, and calls `destroy_channel` for it
    // if this succeeds.
    let made = unsafe { make_channel(node, NonNull::new_unchecked(context.cast())) };
    made.map_or_else(Errno::to_rc, |()| 0)
}

/// # Safety
/// `context` is memory for a context, which stays until [`destroy_channel`] if this succeeds.
unsafe fn make_channel<D: Device>(
    node: &Node<D>,
    context: NonNull<ChannelContext<D>>,
) -> Result<(), Errno> {
    let (runtime, record) = (RuntimeRef::current()?, Record::current()?);
    if record.is_closed() {
        // A walk over the channels would pass this one over: its thread takes no message any more.
        return Err(Errno::ESHUTDOWN);
    }
    // SAFETY: it is written or taken out before this thread takes a message, and taken out by
    // `destroy_channel`.
    unsafe { node.channels.insert(&record, context)? };
    let made = Making::begin(node.bdev.get()).and_then(|_making| node.device.open_channel());
    let channel = match made {
        Ok(channel) => channel,
        Err(errno) => {
            node.channels.remove(&record);
            return Err(errno);
        }
    };
    record.channel_opened();
    // SAFETY: the caller's word.
    unsafe {
        context.write(ChannelContext {
            channel,
            runtime,
            record,
        });
    }
    Ok(())
}

pub(super) unsafe extern "C" fn destroy_channel<D: Device>(
    device: *mut c_void,
    context: *mut c_void,
) {
    // SAFETY: made by `create_channel`, destroyed once, on the same thread, with no I/O in flight; SPDK
    // keeps the device until this returns.
    let (node, context) = unsafe {
        (
            &*device.cast::<Node<D>>(),
            context.cast::<ChannelContext<D>>().read(),
        )
    };
    node.channels.remove(&context.record);
    let ChannelContext {
        channel,
        runtime,
        record,
    } = context;
    // First: it may hold I/O, whose channels hold the runtime.
    drop(channel);
    drop(runtime);
    // Last: until here the thread may be told to visit its channel.
    record.channel_closed();
}

unsafe extern "C" fn dump_info_json<D: Device>(
    context: *mut c_void,
    w: *mut ffi::spdk_json_write_ctx,
) -> c_int {
    let Some(w) = NonNull::new(w) else {
        return -libc::EINVAL;
    };
    // SAFETY: the context of a bdev of type `D`; SPDK lends a writer that is inside of an object.
    let (node, mut writer) = unsafe { (&*context.cast::<Node<D>>(), JsonWriter::from_raw(w)) };
    match writer.members(|object| node.device.dump_info(object)) {
        Ok(()) => 0,
        Err(_) => -libc::ENOMEM,
    }
}

unsafe extern "C" fn write_config_json<D: Device>(
    bdev: *mut ffi::spdk_bdev,
    w: *mut ffi::spdk_json_write_ctx,
) {
    let Some(w) = NonNull::new(w) else { return };
    // SAFETY: a bdev of type `D`; SPDK lends a writer that is inside of an array.
    let (node, mut writer) = unsafe { (&*(*bdev).ctxt.cast::<Node<D>>(), JsonWriter::from_raw(w)) };
    if writer
        .elements(|calls| node.device.write_config(calls))
        .is_err()
    {
        crate::log_error!("configuration of bdev {:?} not written", node.name);
    }
}

/// SPDK calls this on the app thread when nobody uses the bdev any more; 1 says that
/// `spdk_bdev_destruct_done` will follow.
unsafe extern "C" fn destruct<D: Device>(context: *mut c_void) -> c_int {
    // SAFETY: the reference that `register` left to SPDK, taken back once.
    let node = unsafe { Arc::from_raw(context.cast::<Node<D>>()) };
    node.life.store(Life::Gone as u8, Ordering::Relaxed);
    let spawned = runtime::spawn_local({
        let node = Arc::clone(&node);
        async move {
            node.device.destruct().await;
            end_device(node).await;
        }
    });
    if spawned.is_err() {
        // There is no memory even for this. C must not be left with a bdev that never goes; but its
        // io_device stays registered, so the node must stay too.
        mem::forget(node);
        return -libc::ENOMEM;
    }
    1
}

async fn end_device<D: Device>(node: Arc<Node<D>>) {
    let (sender, done) = completion::<()>();
    // SAFETY: registered by `register`, unregistered once. SPDK calls back, on this thread, when all
    // channels are gone; the sender is found by way of the node, as SPDK hands over nothing else.
    unsafe {
        (*node.bdev.get()).ctxt = sender.into_context();
        ffi::spdk_io_device_unregister(
            Arc::as_ptr(&node).cast_mut().cast(),
            Some(device_unregistered::<D>),
        );
    }
    done.await;
    // The bdevs that `destruct` let go of are closed by messages to this thread. SPDK looks next at
    // whether they are free: it is told after these, in the same queue.
    let tell = TellSpdk(node);
    match Record::current() {
        Ok(record) => {
            if let Err(refused) = record.send(Origin::Runtime, tell) {
                refused.closure.run();
            }
        }
        Err(_) => tell.run(),
    }
}

unsafe extern "C" fn device_unregistered<D: Device>(device: *mut c_void) {
    // SAFETY: `end_device` keeps the node, and has put the sender there.
    unsafe {
        let node = &*device.cast::<Node<D>>();
        Sender::<()>::from_context((*node.bdev.get()).ctxt).send(());
    }
}

/// Tells SPDK that a bdev is gone.
struct TellSpdk<D: Device>(Arc<Node<D>>);

impl<D: Device> Job for TellSpdk<D> {
    fn run(self) {
        // SAFETY: sent once, by `end_device`, when SPDK has called `destruct`. The last of the bdev
        // that SPDK touches is its callback, before this returns, and only then may the node go.
        unsafe { ffi::spdk_bdev_destruct_done(self.0.bdev.get(), 0) };
    }
}
