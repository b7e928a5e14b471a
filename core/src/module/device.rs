//! A bdev of ours.

use alloc::ffi::CString;
use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_int, c_void};
use core::fmt;
use core::future::Future;
use core::mem;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, Ordering};

use barespdk_sys as ffi;

use super::answer;
use super::options::Options;
use super::pass::{Pass, Passed};
use super::request::{self, Request, RequestTask, TASK_ALIGN};
use crate::bdev::making::Making;
use crate::bdev::{IoType, Status};
use crate::completion::{Sender, completion};
use crate::errno::Errno;
use crate::io_device::list::{self, ChannelList, HasChannels};
use crate::json::{ArrayWriter, JsonWriter, ObjectWriter};
use crate::message::Job;
use crate::runtime::{self, RuntimeRef};
use crate::thread::record::Record;
use crate::thread::{Origin, is_app_thread};

/// What a bdev of ours does. One value stands for one bdev, and serves all threads.
pub trait Device: Send + Sync + Sized + 'static {
    /// What each thread has for this bdev: the channels of lower bdevs, counters, queues. All
    /// requests of the thread share it, so there is no `&mut` to it.
    type Channel: 'static;

    /// Makes the channel of the calling thread.
    ///
    /// # Errors
    /// Any: the thread then cannot use the bdev.
    fn open_channel(&self) -> Result<Self::Channel, Errno>;

    /// Whether requests of this type are served. The bdev layer emulates some of the others. It is not
    /// asked of zero-copy, which cannot be served.
    fn supports(&self, io_type: IoType) -> bool;

    /// Serves a request, which is completed with the output: on this thread, after all I/O that was
    /// submitted in its name has ended.
    fn submit<'a>(
        &'a self,
        channel: &'a Self::Channel,
        request: Request<'a>,
    ) -> impl Future<Output = Status> + 'a;

    /// Whether [`Device::pass`] is to be called.
    const PASSES: bool = false;

    /// Passes a request on to lower bdevs before a task is made for it. Where all of that succeeds,
    /// the request is complete, and has cost no task; where any fails, or nothing is passed on, the
    /// request is [served](Device::submit) as if this had not been called. So pass on only what may
    /// be done twice.
    fn pass(&self, _channel: &Self::Channel, _request: &mut Pass<'_>) {}

    /// Adds to what `bdev_get_bdevs` shows as `driver_specific`.
    fn dump_info(&self, _object: &mut ObjectWriter<'_>) {}

    /// Writes the RPCs that make this bdev again, as elements `{"method": .., "params": ..}`.
    fn write_config(&self, _calls: &mut ArrayWriter<'_>) {}

    /// Ends what goes on in the background, and lets go of lower bdevs. Called once, on the app
    /// thread, when there are no requests, no channels and no users any more. The bdev is gone, for
    /// all that see it, when this ends.
    fn destruct(&self) -> impl Future<Output = ()> {
        async {}
    }
}

/// Where a bdev stands.
#[repr(u8)]
enum Life {
    New,
    Registered,
    Gone,
}

struct Node<D: Device> {
    bdev: UnsafeCell<ffi::spdk_bdev>,
    fn_table: ffi::spdk_bdev_fn_table,
    name: CString,
    life: AtomicU8,
    channels: ChannelList<ChannelContext<D>>,
    device: D,
}

// SAFETY: `bdev` is SPDK's from registration to the end, which guards it; we touch it before and
// after only. The rest is immutable, atomic, or shared under the rules of `Device`.
unsafe impl<D: Device> Send for Node<D> {}
// SAFETY: as above.
unsafe impl<D: Device> Sync for Node<D> {}

impl<D: Device> HasChannels for Node<D> {
    type Channel = ChannelContext<D>;
    type State = D::Channel;

    fn channels(&self) -> &ChannelList<ChannelContext<D>> {
        &self.channels
    }

    fn state(context: &ChannelContext<D>) -> &D::Channel {
        &context.channel
    }
}

/// Why a device was not registered, and the device, unless SPDK has it.
pub type Refused<D> = (Errno, Option<D>);

/// A bdev of ours, registered: a counted handle, for any thread, that may outlive the bdev.
pub struct Bdev<D: Device> {
    node: Arc<Node<D>>,
}

impl<D: Device> Clone for Bdev<D> {
    fn clone(&self) -> Self {
        Self {
            node: Arc::clone(&self.node),
        }
    }
}

/// What SPDK keeps as the context of a channel.
struct ChannelContext<D: Device> {
    channel: D::Channel,
    runtime: RuntimeRef,
    record: Arc<Record>,
}

/// The size of `driver_ctx` that requests of a device need.
pub(super) const fn context_size<D: Device>() -> usize {
    const fn of_output<A, B, C, F>(_: &impl FnOnce(A, B, C) -> F) -> usize {
        size_of::<RequestTask<F>>()
    }
    let submit = |device: &'static D, channel: &'static D::Channel, request: Request<'static>| {
        device.submit(channel, request)
    };
    of_output(&submit)
}

impl<D: Device> Bdev<D> {
    /// Registers a bdev. On the app thread.
    ///
    /// # Errors
    /// As [`Module::register`](super::Module::register).
    pub(super) fn register(
        module: *mut ffi::spdk_bdev_module,
        name: &str,
        product_name: &'static CStr,
        options: &Options,
        device: D,
    ) -> Result<Self, Refused<D>> {
        let on_app_thread = is_app_thread();
        let name = match CString::new(name) {
            Ok(name) if on_app_thread && options.is_valid() => name,
            _ => return Err((Errno::EINVAL, Some(device))),
        };
        // SAFETY: all members of the C struct may be zero.
        let mut bdev: ffi::spdk_bdev = unsafe { mem::zeroed() };
        options.apply(&mut bdev);
        bdev.product_name = product_name.as_ptr().cast_mut();
        bdev.module = module;
        let mut node = Arc::new(Node {
            bdev: UnsafeCell::new(bdev),
            fn_table: fn_table::<D>(),
            name,
            life: AtomicU8::new(Life::New as u8),
            channels: ChannelList::new(),
            device,
        });
        let context = Arc::as_ptr(&node);
        if let Some(node) = Arc::get_mut(&mut node) {
            let bdev = node.bdev.get_mut();
            bdev.ctxt = context.cast_mut().cast();
            bdev.name = node.name.as_ptr().cast_mut();
            bdev.fn_table = &raw const node.fn_table;
        }
        // SPDK's own reference, which `destruct` takes back.
        let spdks = Arc::into_raw(Arc::clone(&node));
        // SAFETY: the node stays at its place as long as SPDK has its reference; the callbacks fit the
        // context's type and size.
        let registered = unsafe {
            ffi::spdk_io_device_register(
                context.cast_mut().cast(),
                Some(create_channel::<D>),
                Some(destroy_channel::<D>),
                size_of::<ChannelContext<D>>() as u32,
                node.name.as_ptr(),
            );
            ffi::spdk_bdev_register(node.bdev.get())
        };
        let bdev = Self { node };
        let Err(errno) = Errno::check(registered) else {
            bdev.node
                .life
                .store(Life::Registered as u8, Ordering::Relaxed);
            return Ok(bdev);
        };
        // Where the bdev was known already when memory ran out, SPDK has begun to unregister it, and
        // ends with `destruct`, as for any other.
        // SAFETY: the name is used during the call only; the result is compared.
        let known = unsafe { ffi::spdk_bdev_get_by_name(bdev.node.name.as_ptr()) };
        if known == bdev.node.bdev.get() {
            return Err((errno, None));
        }
        // SAFETY: registered above; no channel was made, as nobody has seen the bdev. SPDK has not kept
        // its reference.
        unsafe {
            ffi::spdk_io_device_unregister(context.cast_mut().cast(), None);
            drop(Arc::from_raw(spdks));
        }
        Err((errno, Arc::into_inner(bdev.node).map(|node| node.device)))
    }

    /// What the bdev does.
    pub fn device(&self) -> &D {
        &self.node.device
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.node.name.to_str().unwrap_or_default()
    }

    /// Whether the bdev is registered. It may go at any time, unless this is the app thread.
    pub fn is_registered(&self) -> bool {
        self.node.life.load(Ordering::Relaxed) == Life::Registered as u8
    }

    /// Fails where the bdev is gone, or may go while we look: it goes on the app thread alone.
    fn check_registered(&self) -> Result<(), Errno> {
        if !is_app_thread() {
            return Err(Errno::EPERM);
        }
        if self.is_registered() {
            Ok(())
        } else {
            Err(Errno::ENODEV)
        }
    }

    /// Takes the bdev away: new requests fail, those in flight end, its users close it, and
    /// [`Device::destruct`] runs to its end. On the app thread.
    ///
    /// # Errors
    /// `ENODEV` where it is gone, `EBUSY` where somebody else takes it away now, `EPERM` on another
    /// thread than the app thread.
    pub async fn unregister(&self) -> Result<(), Errno> {
        self.check_registered()?;
        let (sender, done) = completion::<c_int>();
        // SAFETY: registered; the callback is called once, on this thread.
        unsafe {
            ffi::spdk_bdev_unregister(
                self.node.bdev.get(),
                Some(unregistered),
                sender.into_context(),
            );
        }
        Errno::check(done.await.unwrap_or(-libc::EIO))
    }

    /// Calls `visit` with each channel of the bdev, on that channel's thread, one after the other.
    /// On the app thread. A channel that is made meanwhile is visited, or its
    /// [`Device::open_channel`] begins after this call, so sees what was changed before.
    ///
    /// # Errors
    /// `ENODEV` where the bdev is gone, `EPERM` on another thread than the app thread; `ENOMEM` where
    /// there was none for a message: then some channels were not visited.
    pub async fn for_each_channel(
        &self,
        mut visit: impl FnMut(&D, &D::Channel) + Send + 'static,
    ) -> Result<(), Errno> {
        self.check_registered()?;
        let node = Arc::clone(&self.node);
        list::for_each(&self.node, move |channel| visit(&node.device, channel))
            .await
            .map(drop)
    }

    /// Says that the number of blocks has changed. On the app thread.
    ///
    /// # Errors
    /// `ENODEV` where the bdev is gone; `EBUSY` where it would shrink while it is open; `EINVAL` for
    /// 0 blocks; `EPERM` on another thread than the app thread.
    pub fn resize(&self, num_blocks: u64) -> Result<(), Errno> {
        self.check_registered()?;
        if num_blocks == 0 {
            return Err(Errno::EINVAL);
        }
        // SAFETY: registered.
        Errno::check(unsafe {
            ffi::spdk_bdev_notify_blockcnt_change(self.node.bdev.get(), num_blocks)
        })
    }
}

impl<D: Device> fmt::Debug for Bdev<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bdev").field(&self.name()).finish()
    }
}

unsafe extern "C" fn unregistered(sender: *mut c_void, rc: c_int) {
    // SAFETY: made by `unregister`; SPDK calls this once, on the thread that asked.
    unsafe { Sender::<c_int>::from_context(sender) }.send(rc);
}

fn fn_table<D: Device>() -> ffi::spdk_bdev_fn_table {
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
            request::note_server(io, serve_anew::<D>);
            let mut pass = Pass::new(io);
            (*node).device.pass(&(*context).channel, &mut pass);
            match pass.end() {
                Passed::InFlight => return,
                Passed::Done => return Status::Success.complete(io),
                Passed::NotAtAll => {}
            }
        }
        serve::<D>(channel, io);
    }
}

/// Serves a request with a task.
///
/// # Safety
/// An I/O of a bdev of type `D`, on a channel of it, of which nothing is in flight.
unsafe fn serve<D: Device>(channel: *mut ffi::spdk_io_channel, io: NonNull<ffi::spdk_bdev_io>) {
    // SAFETY: device and channel outlive the future, which is dropped before the I/O is completed.
    unsafe {
        let node = (*(*io.as_ptr()).bdev).ctxt.cast::<Node<D>>();
        let context = ffi::spdk_io_channel_get_ctx(channel).cast::<ChannelContext<D>>();
        RequestTask::serve(io, NonNull::from((*context).runtime.executor()), || {
            (*node).device.submit(&(*context).channel, Request::new(io))
        });
    }
}

/// Serves a request that was passed on in vain.
#[cold]
unsafe fn serve_anew<D: Device>(io: NonNull<ffi::spdk_bdev_io>) {
    // SAFETY: `submit_request` noted this for an I/O of a bdev of type `D`.
    unsafe { serve::<D>(ffi::spdk_bdev_io_get_io_channel(io.as_ptr()), io) };
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

unsafe extern "C" fn create_channel<D: Device>(device: *mut c_void, context: *mut c_void) -> c_int {
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

unsafe extern "C" fn destroy_channel<D: Device>(device: *mut c_void, context: *mut c_void) {
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
