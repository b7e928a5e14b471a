//! A bdev of ours.

mod drain;
mod table;

use alloc::ffi::CString;
use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_int, c_void};
use core::fmt;
use core::future::Future;
use core::mem;
use core::sync::atomic::{AtomicU8, Ordering};

use barespdk_sys as ffi;

use self::table::{create_channel, destroy_channel, fn_table};
use super::options::Options;
use super::pass::{Pass, PassedOn};
use super::request::{Request, RequestTask};
use crate::bdev::{IoType, Status};
use crate::completion::{Sender, completion};
use crate::errno::Errno;
use crate::io_device::list::{self, ChannelList, HasChannels};
use crate::json::{ArrayWriter, ObjectWriter};
use crate::runtime::RuntimeRef;
use crate::thread::is_app_thread;
use crate::thread::record::Record;

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
    /// request is [served](Device::submit), which may look at [what was tried](Request::in_vain), or
    /// do it again. So pass on only what may be done twice.
    fn pass(&self, _channel: &Self::Channel, _request: &mut Pass<'_>) {}

    /// Called for a request that was [passed on](Device::pass) and is about to be completed, as all
    /// of it is done, where the device [asked](Pass::tell) to be told then: on the request's thread,
    /// once, maybe inside of the call that submitted the request. Where anything has failed the
    /// request is [served](Device::submit) instead.
    fn passed(&self, _channel: &Self::Channel, _request: &PassedOn<'_>) {}

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

    /// Waits until all I/O that was submitted to the bdev before has ended, through whatever channel: reads,
    /// writes, unmaps, writes of zeroes, copies and NVMe commands. What is submitted meanwhile is kept
    /// back by SPDK, and goes on when this ends. A drain that was begun ends, even if this future is
    /// dropped. On the app thread; not as part of a request to the bdev, which would wait for itself.
    ///
    /// Where blocks are locked, as by a compare-and-write that SPDK emulates, or another drain is under
    /// way, this waits its turn. As long as it lasts the bdev counts as open: it cannot shrink, and is not
    /// gone; one that is taken away meanwhile goes a second later.
    ///
    /// # Errors
    /// `ENODEV` where the bdev is gone or going, `EPERM` on another thread than the app thread;
    /// `ENOMEM`, `ESHUTDOWN`: then I/O may still be in flight.
    pub async fn drain(&self) -> Result<(), Errno> {
        self.check_registered()?;
        // SAFETY: registered by `register`, under this name; it goes on this thread alone.
        unsafe { drain::begin(self.node.bdev.get(), self.name()) }?.await?
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
