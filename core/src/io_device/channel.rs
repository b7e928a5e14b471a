//! Channels: what one thread has of an io_device.

use alloc::sync::Arc;
use core::cell::Cell;
use core::ffi::{c_int, c_void};
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::Deref;
use core::ptr::NonNull;

use barespdk_sys as ffi;

use super::{Device, Shared};
use crate::errno::Errno;
use crate::thread::Origin;
use crate::thread::record::Record;

/// The alignment that SPDK gives to a context: its header of 96 bytes comes from `calloc`.
const ALIGN_MAX: usize = 16;

/// What lies in SPDK's context of a channel.
///
/// SPDK allocates it all zero, and hands it out to whoever asks while it is still being made; `ready`
/// tells. It is the only field that is read before [`create`] has written everything.
#[repr(C)]
pub(super) struct Context<D: Device> {
    open: MaybeUninit<Open<D>>,
    ready: bool,
}

/// A channel that has been made.
pub(super) struct Open<D: Device> {
    state: D::Channel,
    /// How many [`Channel`]s there are. Together they hold one reference of SPDK's.
    users: Cell<usize>,
    /// Valid as long as the channel: SPDK gives the device up after its last channel.
    shared: NonNull<Shared<D>>,
    record: Arc<Record>,
}

impl<D: Device> Context<D> {
    /// For SPDK, checked when the device's type is used.
    pub(super) const SIZE: u32 = {
        assert!(
            align_of::<Self>() <= ALIGN_MAX,
            "SPDK aligns channel contexts to 16 bytes only"
        );
        assert!(size_of::<Self>() <= 1 << 30, "channel state too large");
        size_of::<Self>() as u32
    };

    /// # Safety
    /// `channel` must be one of an `IoDevice<D>`, referenced, on the current thread.
    unsafe fn of(channel: NonNull<ffi::spdk_io_channel>) -> Result<NonNull<Open<D>>, Errno> {
        // SAFETY: by contract the context is ours; `ready` is initialised from the start.
        unsafe {
            let context = ffi::spdk_io_channel_get_ctx(channel.as_ptr()).cast::<Self>();
            if !(*context).ready {
                return Err(Errno::EDEADLK);
            }
            Ok(NonNull::new_unchecked((*context).open.as_mut_ptr()))
        }
    }
}

impl<D: Device> Open<D> {
    pub(super) fn state(&self) -> &D::Channel {
        &self.state
    }
}

/// SPDK's callback that makes a channel.
///
/// # Safety
/// `device` must be of an `IoDevice<D>`, and `context` zeroed memory for a `Context<D>`.
pub(super) unsafe extern "C" fn create<D: Device>(
    device: *mut c_void,
    context: *mut c_void,
) -> c_int {
    let (Some(shared), Ok(record)) = (NonNull::new(device.cast::<Shared<D>>()), Record::current())
    else {
        return Errno::EINVAL.to_rc();
    };
    // SAFETY: by contract; SPDK keeps the device as long as this channel, from now on.
    let result = unsafe { open(shared, context.cast(), &record) };
    record.note_open(result)
}

/// # Safety
/// As for [`create`].
unsafe fn open<D: Device>(
    shared: NonNull<Shared<D>>,
    context: *mut Context<D>,
    record: &Arc<Record>,
) -> Result<(), Errno> {
    if record.is_closed() {
        return Err(Errno::ESHUTDOWN);
    }
    // SAFETY: by contract the device is alive, and the context is memory for one, which nobody reads but
    // for `ready` until that is on. What is in the list is written, or taken out, before this thread
    // takes its next message; `destroy` takes it out too.
    let (device, open) = unsafe {
        let open = NonNull::new_unchecked((*context).open.as_mut_ptr());
        (shared.as_ref(), open)
    };
    // SAFETY: as above.
    unsafe { device.channels.insert(record, open)? };
    let state = match device.device.open_channel() {
        Ok(state) => state,
        Err(errno) => {
            device.channels.remove(record);
            return Err(errno);
        }
    };
    // SAFETY: as above.
    unsafe {
        open.write(Open {
            state,
            users: Cell::new(0),
            shared,
            record: Arc::clone(record),
        });
        (*context).ready = true;
    }
    record.channel_opened();
    Ok(())
}

/// SPDK's callback that ends a channel.
///
/// # Safety
/// On the channel's thread, for a context that [`create`] made and that nobody uses any more.
pub(super) unsafe extern "C" fn destroy<D: Device>(device: *mut c_void, context: *mut c_void) {
    let context = context.cast::<Context<D>>();
    // SAFETY: by contract; SPDK keeps the device until this returns. `ready` is off from here on.
    let (shared, open) = unsafe {
        (*context).ready = false;
        (
            &*device.cast::<Shared<D>>(),
            (*context).open.assume_init_read(),
        )
    };
    let Open { state, record, .. } = open;
    shared.channels.remove(&record);
    drop(state);
    // Last: until here the thread may be told to visit its channel.
    record.channel_closed();
}

/// A counted reference to the current thread's channel of an [`IoDevice`](super::IoDevice).
///
/// It derefs to the channel's state. Cloning it is an addition. It belongs to one thread:
///
/// ```compile_fail,E0277
/// fn assert_send<T: Send>() {}
/// fn channel<D: barespdk::io_device::Device>() {
///     assert_send::<barespdk::io_device::Channel<D>>();
/// }
/// ```
///
/// and gives no `&mut`, since there are others of it:
///
/// ```compile_fail,E0596
/// use barespdk::io_device::{Channel, Device};
/// fn change<D: Device>(channel: &mut Channel<D>, state: D::Channel) {
///     let place: &mut D::Channel = &mut *channel;
///     *place = state;
/// }
/// ```
///
/// # Panics
/// Cloning it on another SPDK thread than its own does; only a `std::thread_local!` can bring it there.
pub struct Channel<D: Device> {
    open: NonNull<Open<D>>,
    /// Not `Send`, not `Sync`.
    stays: PhantomData<*mut ()>,
}

impl<D: Device> Channel<D> {
    pub(super) fn get(shared: &Arc<Shared<D>>) -> Result<Self, Errno> {
        // Also tells whether this is an SPDK thread that may start something.
        let record = Record::current()?;
        record.note_open(Ok(()));
        // SAFETY: the device is registered as long as its owner lives, who lent us `shared`.
        let channel = unsafe { ffi::spdk_get_io_channel(shared.address()) };
        let channel = NonNull::new(channel).ok_or_else(|| record.open_error())?;
        // SAFETY: a channel of that device on the current thread, with a reference for us.
        unsafe { Self::from_raw(channel) }
    }

    /// Takes over one reference that SPDK counted.
    ///
    /// # Errors
    /// `EDEADLK` if the channel is being made further up the stack; the reference is given back.
    ///
    /// # Safety
    /// `channel` must be one of an `IoDevice<D>`, on the current thread, and the caller owns a
    /// reference from `spdk_get_io_channel` or `spdk_io_channel_ref`, which this call takes.
    pub unsafe fn from_raw(channel: NonNull<ffi::spdk_io_channel>) -> Result<Self, Errno> {
        // SAFETY: by contract.
        match unsafe { Context::<D>::of(channel) } {
            Ok(open) => {
                // SAFETY: `of` gives a channel that is alive as long as the reference.
                let users = unsafe { &open.as_ref().users };
                if users.replace(users.get() + 1) > 0 {
                    // SAFETY: the reference is ours, and the users before us hold one already.
                    unsafe { ffi::spdk_put_io_channel(channel.as_ptr()) };
                }
                Ok(Self {
                    open,
                    stays: PhantomData,
                })
            }
            Err(errno) => {
                // SAFETY: the reference is ours. It is not the last: who makes the channel has one.
                unsafe { ffi::spdk_put_io_channel(channel.as_ptr()) };
                Err(errno)
            }
        }
    }

    /// Gives up this reference for one that SPDK counts, which the caller has to give back with
    /// `spdk_put_io_channel` on this thread.
    pub fn into_raw(self) -> NonNull<ffi::spdk_io_channel> {
        let channel = self.as_raw();
        // SAFETY: alive, since `self` is; on its thread. `self` is then given up as usual.
        unsafe { ffi::spdk_io_channel_ref(channel.as_ptr()) };
        channel
    }

    /// SPDK's channel, borrowed.
    pub fn as_raw(&self) -> NonNull<ffi::spdk_io_channel> {
        // SAFETY: `open` is the first member of a context of SPDK's, so the channel lies right before
        // it, at an address that is not 0.
        unsafe { NonNull::new_unchecked(ffi::spdk_io_channel_from_ctx(self.open.as_ptr().cast())) }
    }

    /// The shared state of the device.
    pub fn device(&self) -> &D {
        self.borrow().device()
    }

    /// A reference that does not count, for as long as this one is borrowed.
    pub fn borrow(&self) -> ChannelRef<'_, D> {
        ChannelRef {
            open: self.open,
            lent: PhantomData,
        }
    }

    fn open(&self) -> &Open<D> {
        // SAFETY: alive as long as it has users, of which `self` is one.
        unsafe { self.open.as_ref() }
    }

    /// Ends a reference on the channel's thread.
    ///
    /// # Safety
    /// Of one user, who does not use the channel any more; on its thread.
    unsafe fn put(open: NonNull<Open<D>>) {
        // SAFETY: alive until the last reference is given back. The borrow ends before that.
        let users = unsafe { &open.as_ref().users };
        let left = users.get() - 1;
        users.set(left);
        if left == 0 {
            // SAFETY: `open` begins a context of SPDK's; the users' reference is given back once.
            unsafe {
                ffi::spdk_put_io_channel(ffi::spdk_io_channel_from_ctx(open.as_ptr().cast()));
            }
        }
    }
}

impl<D: Device> Clone for Channel<D> {
    fn clone(&self) -> Self {
        self.borrow().to_owned()
    }
}

impl<D: Device> Deref for Channel<D> {
    type Target = D::Channel;

    fn deref(&self) -> &D::Channel {
        debug_assert!(
            self.open().record.is_current(),
            "channel used on another SPDK thread"
        );
        &self.open().state
    }
}

impl<D: Device> Drop for Channel<D> {
    fn drop(&mut self) {
        let record = &self.open().record;
        if record.is_current() {
            // SAFETY: `self` is a user and ends here; this is the channel's thread.
            return unsafe { Self::put(self.open) };
        }
        // A `std::thread_local!` brought us to another SPDK thread: home, or nowhere if that has gone
        // (then SPDK has leaked the channel, too).
        let record = Arc::clone(record);
        let open = Stray(self.open);
        let _ = record.send(Origin::Runtime, move || {
            let Stray(open) = { open };
            // SAFETY: the user that `self` was; this is the channel's thread.
            unsafe { Self::put(open) };
        });
    }
}

/// A user of a channel on its way home.
struct Stray<D: Device>(NonNull<Open<D>>);

// SAFETY: it is followed on the channel's thread alone.
unsafe impl<D: Device> Send for Stray<D> {}

impl<D: Device> fmt::Debug for Channel<D>
where
    D::Channel: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Channel").field(&**self).finish()
    }
}

/// A borrowed reference to the current thread's channel: as small as a pointer, and free.
pub struct ChannelRef<'a, D: Device> {
    open: NonNull<Open<D>>,
    /// Not `Send`, not `Sync`.
    lent: PhantomData<(&'a Open<D>, *mut ())>,
}

impl<'a, D: Device> ChannelRef<'a, D> {
    /// Borrows a channel of SPDK's.
    ///
    /// # Errors
    /// `EDEADLK` if the channel is being made further up the stack.
    ///
    /// # Safety
    /// `channel` must be one of an `IoDevice<D>`, on the current thread, and somebody must hold a
    /// reference to it throughout `'a`.
    pub unsafe fn from_raw(channel: NonNull<ffi::spdk_io_channel>) -> Result<Self, Errno> {
        // SAFETY: by contract.
        let open = unsafe { Context::<D>::of(channel)? };
        Ok(Self {
            open,
            lent: PhantomData,
        })
    }

    /// The channel's state, for as long as the channel is borrowed.
    pub fn get(self) -> &'a D::Channel {
        &self.open().state
    }

    /// The shared state of the device.
    pub fn device(self) -> &'a D {
        // SAFETY: SPDK keeps the device as long as it has a channel.
        unsafe { &self.open().shared.as_ref().device }
    }

    /// A counted reference.
    ///
    /// # Panics
    /// On another SPDK thread than the channel's; see [`Channel`].
    pub fn to_owned(self) -> Channel<D> {
        let open = self.open();
        assert!(
            open.record.is_current(),
            "channel used on another SPDK thread"
        );
        let users = open.users.get();
        if users == 0 {
            // SAFETY: the channel is alive and on the current thread: somebody whom we do not count
            // holds a reference of SPDK's.
            unsafe {
                ffi::spdk_io_channel_ref(ffi::spdk_io_channel_from_ctx(self.open.as_ptr().cast()));
            }
        }
        open.users.set(users + 1);
        Channel {
            open: self.open,
            stays: PhantomData,
        }
    }

    fn open(self) -> &'a Open<D> {
        // SAFETY: alive during the borrow.
        unsafe { &*self.open.as_ptr() }
    }
}

impl<D: Device> Clone for ChannelRef<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D: Device> Copy for ChannelRef<'_, D> {}

impl<D: Device> Deref for ChannelRef<'_, D> {
    type Target = D::Channel;

    fn deref(&self) -> &D::Channel {
        self.get()
    }
}

impl<D: Device> fmt::Debug for ChannelRef<'_, D>
where
    D::Channel: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ChannelRef").field(self.get()).finish()
    }
}
