//! SPDK io_devices: state that all threads share, and a channel of each thread to it.
//!
//! A type that implements [`Device`] is the shared state. [`IoDevice`] registers it with SPDK and owns
//! it. A thread that works with it gets a [`Channel`]: SPDK makes one for each thread and counts its
//! users; its state lies in SPDK's own allocation, next to the `struct spdk_io_channel`.
//!
//! Whatever is shared is only ever borrowed by `&`: the device by all threads, the channel's state by
//! all users on its thread, requests that are in flight at the same time among them. What changes goes
//! into atomics, a [`Mutex`], or in the channel's case a `Cell` or `RefCell`.
//!
//! Lifetimes: a channel's state is dropped on its thread some time after its last [`Channel`], because
//! SPDK does it by message. The device's state is dropped after the last channel's, on whichever thread
//! is last. Dropping the [`IoDevice`] returns at once.
//!
//! C: `spdk/thread.h`.

mod channel;
pub(crate) mod list;

pub use channel::{Channel, ChannelRef};

use alloc::ffi::CString;
use alloc::sync::Arc;
use core::ffi::c_void;
use core::fmt;
use core::ops::Deref;

use barespdk_sys as ffi;

use self::list::{ChannelList, HasChannels};
use crate::errno::Errno;
use crate::message::{Receiver, Sender, oneshot};
use crate::mutex::Mutex;
use crate::thread::record::Record;
use crate::thread::{self, Origin, SendError, Thread};

/// The shared state of an io_device.
///
/// All threads borrow it at the same time, and any of them may be the one to drop it.
pub trait Device: Send + Sync + 'static {
    /// What each thread has of this device. It never leaves its thread. SPDK aligns it to 16 bytes; a
    /// type that needs more does not compile:
    ///
    /// ```compile_fail,E0080
    /// use barespdk::{errno::Errno, io_device::{Device, IoDevice}};
    ///
    /// #[repr(align(32))]
    /// struct Wide;
    /// struct Disk;
    ///
    /// impl Device for Disk {
    ///     type Channel = Wide;
    ///     fn open_channel(&self) -> Result<Wide, Errno> {
    ///         Ok(Wide)
    ///     }
    /// }
    ///
    /// let disk = IoDevice::new("disk", Disk);
    /// ```
    type Channel: 'static;

    /// Makes the state of the current thread's channel.
    ///
    /// It may get channels of other devices. Asking for this device's own fails with `EDEADLK`.
    ///
    /// # Errors
    /// Any: it makes the request for a channel fail, and SPDK logs it.
    fn open_channel(&self) -> Result<Self::Channel, Errno>;
}

/// What SPDK knows as the io_device: its address is the key.
struct Shared<D: Device> {
    device: D,
    channels: ChannelList<channel::Open<D>>,
    /// Told when SPDK has let go.
    unregistered: Mutex<Option<Sender<()>>>,
}

impl<D: Device> HasChannels for Shared<D> {
    type Channel = channel::Open<D>;
    type State = D::Channel;

    fn channels(&self) -> &ChannelList<channel::Open<D>> {
        &self.channels
    }

    fn state(channel: &channel::Open<D>) -> &D::Channel {
        channel.state()
    }
}

impl<D: Device> Shared<D> {
    fn address(self: &Arc<Self>) -> *mut c_void {
        Arc::as_ptr(self).cast_mut().cast()
    }
}

/// An io_device, registered from [`new`](IoDevice::new) to drop.
///
/// `Send` and `Sync`, so that one owner can serve all threads; it derefs to the shared state.
pub struct IoDevice<D: Device> {
    /// Never empty outside of `unregister` and drop.
    shared: Arc<Shared<D>>,
}

impl<D: Device> IoDevice<D> {
    /// Registers `device` with SPDK, which shows `name` in its logs.
    ///
    /// # Errors
    /// `EPERM` outside SPDK threads, `ESHUTDOWN` on one that exits, `EINVAL` if the name has a NUL in
    /// it, `ENOMEM`.
    pub fn new(name: &str, device: D) -> Result<Self, Errno> {
        Record::current()?;
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        let shared = Arc::new(Shared {
            device,
            channels: ChannelList::new(),
            unregistered: Mutex::new(None),
        });
        // SAFETY: on an SPDK thread. SPDK gets a reference of its own to what the address points to,
        // which `unregistered` takes back: until then the address is valid and nobody else's. The
        // callbacks are those of `Shared<D>` and of a context of that size. The name is copied.
        unsafe {
            ffi::spdk_io_device_register(
                Arc::into_raw(Arc::clone(&shared)).cast_mut().cast(),
                Some(channel::create::<D>),
                Some(channel::destroy::<D>),
                channel::Context::<D>::SIZE,
                name.as_ptr(),
            );
        }
        Ok(Self { shared })
    }

    /// The current thread's channel; it is made if the thread has none.
    ///
    /// # Errors
    /// `EPERM` outside SPDK threads; `ESHUTDOWN` on one that exits; `EDEADLK` while the thread's
    /// channel is being made further up the stack; what [`Device::open_channel`] failed with; `ENOMEM`.
    pub fn channel(&self) -> Result<Channel<D>, Errno> {
        Channel::get(&self.shared)
    }

    /// Calls `visit` with the state of each channel, on its thread, one thread after the other in the
    /// order of their ids. Gives `visit` back at the end, with all that it gathered.
    ///
    /// It starts at once, not when the future is first polled, and goes on if the future is dropped.
    /// May be called from any thread, SPDK's or not. A channel that is made meanwhile is visited, or its
    /// [`Device::open_channel`] begins after this call; one that is dropped is visited or not. The
    /// device may be dropped meanwhile.
    ///
    /// The future fails with `ENOMEM` if there was no memory for a message; then some channels were
    /// not visited.
    pub fn for_each_channel<F>(&self, visit: F) -> Receiver<F>
    where
        F: FnMut(&D::Channel) + Send + 'static,
    {
        list::for_each(&self.shared, visit)
    }

    /// How many threads have a channel at this moment.
    pub fn channel_count(&self) -> usize {
        self.shared.channels.len()
    }

    /// Takes the device from SPDK, as drop does, and gives a future of the moment when the last channel
    /// is gone and SPDK has let go.
    ///
    /// It starts at once, not when the future is first polled.
    pub fn unregister(self) -> Receiver<()> {
        let (sender, receiver) = oneshot();
        *self.shared.unregistered.lock() = Some(sender);
        receiver
    }

    /// The address by which SPDK knows the device. Valid until the device is unregistered; what lies
    /// there is private.
    pub fn as_ptr(&self) -> *mut c_void {
        self.shared.address()
    }
}

impl<D: Device> Deref for IoDevice<D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.shared.device
    }
}

impl<D: Device + fmt::Debug> fmt::Debug for IoDevice<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IoDevice")
            .field(&self.shared.device)
            .finish()
    }
}

impl<D: Device> Drop for IoDevice<D> {
    /// Unregisters the device: on the app thread if there is one, since SPDK wants the thread that
    /// asks to stay until the last channel is gone, else on the current thread.
    ///
    /// Outside SPDK threads, and with the app thread gone, nobody can: then SPDK keeps the device for
    /// the rest of the process.
    fn drop(&mut self) {
        let unregister = Unregister(Arc::clone(&self.shared));
        let app = Thread::app().filter(|app| !app.is_current());
        let here = match app {
            Some(app) => match app.record().send(Origin::Runtime, unregister) {
                Ok(()) => return,
                Err(SendError { closure, .. }) => closure,
            },
            None => unregister,
        };
        if thread::is_spdk_thread() {
            crate::message::Job::run(here);
        }
    }
}

/// The call that takes a device from SPDK. Made once for each device.
struct Unregister<D: Device>(Arc<Shared<D>>);

impl<D: Device> crate::message::Job for Unregister<D> {
    /// On an SPDK thread.
    fn run(self) {
        // SAFETY: on an SPDK thread, which SPDK does not let exit before the callback. The address is
        // the one that `IoDevice::new` registered, its drop is the only one to come here, and SPDK's
        // reference keeps it valid until `unregistered`. `for_each_channel` of SPDK, which does not go
        // together with unregistering, is never called on it.
        unsafe {
            ffi::spdk_io_device_unregister(self.0.address(), Some(unregistered::<D>));
        }
    }
}

/// SPDK has let go of the device: no channel is left.
///
/// # Safety
/// SPDK's callback for a device that [`IoDevice::new`] registered, once.
unsafe extern "C" fn unregistered<D: Device>(device: *mut c_void) {
    // SAFETY: the reference that `IoDevice::new` gave to SPDK.
    let shared = unsafe { Arc::from_raw(device.cast_const().cast::<Shared<D>>()) };
    let told = shared.unregistered.lock().take();
    // The state goes first, unless somebody still walks the channels: who is told may rely on it.
    drop(shared);
    if let Some(sender) = told {
        // Nobody may wait for it any more.
        let _ = sender.send(());
    }
}
