//! A request to a bdev of ours, and the task that serves it.
//!
//! SPDK lets a module ask for memory behind each I/O (`driver_ctx`). The task of a request lives
//! there: its header, and the future that the device made of it. The first poll happens inside
//! `submit_request`; a completion polls the future again, in place. When the future is ready its
//! output is noted; the I/O is completed when nothing of the request is in flight any more.
//!
//! A request that the device has [passed on](super::Device::pass) has no task, only the lanes of one.
//! Where all of them succeed it is complete; else the task is made when the last has ended, and first
//! polled inside of that completion.

use core::cell::{Cell, UnsafeCell};
use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context, Poll, Waker};

use barespdk_sys as ffi;

use super::fan::{Fan, Outcome};
use super::fan_out::FanOut;
use crate::bdev::data::task_of;
use crate::bdev::{Data, IoType, Status};
use crate::errno::Errno;
use crate::executor::Executor;
use crate::executor::task::{self, Header, Vtable};
use crate::executor::waker;

/// Where the buffer of a request comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Buffer {
    /// Nobody has asked.
    Unasked,
    /// SPDK looks for one, inside of the call that asked.
    Asking,
    /// SPDK looks for one, and will call back.
    Awaited,
    Granted,
    Refused,
}

/// The alignment that SPDK gives `driver_ctx`.
pub(super) const TASK_ALIGN: usize = 64;

/// What of a task does not depend on its future, so that it is found from the I/O alone.
#[repr(C)]
pub(super) struct Front {
    header: Header,
    status: Cell<Status>,
    buffer: Cell<Buffer>,
    /// Who waits for the buffer, where that is not the task itself.
    buffer_waker: Cell<Option<Waker>>,
    pub(super) fan: Fan,
    /// What is called when the request comes back that was passed on without a task.
    comes_back: &'static ComesBack,
}

/// What is called of a device when a request comes back that was passed on without a task.
pub(super) struct ComesBack {
    /// All of it is done, and the device wanted to be told: tells it, and completes the request.
    pub(super) told: unsafe fn(NonNull<ffi::spdk_bdev_io>),
    /// It was in vain: serves the request with a task.
    pub(super) in_vain: unsafe fn(NonNull<ffi::spdk_bdev_io>),
}

impl ComesBack {
    /// A request that has a task does not come back without one.
    const NEVER: &'static Self = &Self {
        told: nobody,
        in_vain: nobody,
    };

    /// The request is back: it is complete, or served now.
    ///
    /// # Safety
    /// [`Pass`](super::Pass) passed it on, nothing of it is in flight, and this is called once.
    #[inline(always)]
    pub(super) unsafe fn end(&self, io: NonNull<ffi::spdk_bdev_io>, outcome: Outcome) {
        // SAFETY: the caller's word.
        unsafe {
            match outcome {
                Outcome::Done => Status::Success.complete(io),
                Outcome::DoneAndTell => (self.told)(io),
                Outcome::InVain => (self.in_vain)(io),
            }
        }
    }
}

/// What stands in `driver_ctx`.
#[repr(C)]
pub(super) struct RequestTask<F> {
    front: Front,
    future: UnsafeCell<ManuallyDrop<F>>,
}

impl<F: Future<Output = Status>> RequestTask<F> {
    const VTABLE: Vtable = Vtable {
        poll: Self::poll,
        drop_future: Self::drop_future,
        release: Self::release,
    };

    /// Serves an I/O with the future that `make` makes. The I/O may be complete when this returns.
    /// `in_vain` says that it was passed on, in vain.
    ///
    /// The task's head stands before the future is made: a device may use the request at once, and
    /// need not wait for the first poll.
    ///
    /// # Safety
    /// SPDK has just submitted the I/O to a device whose `get_ctx_size` says at least the size of
    /// this task. The future, and the executor, outlive the I/O. On the executor's thread.
    #[inline]
    pub(super) unsafe fn serve(
        io: NonNull<ffi::spdk_bdev_io>,
        executor: NonNull<Executor>,
        in_vain: bool,
        make: impl FnOnce() -> F,
    ) {
        const {
            assert!(
                align_of::<Self>() <= TASK_ALIGN,
                "the future's alignment is above 64"
            )
        };
        // SAFETY: the context is ours from submission to completion, is large enough, and aligned to
        // 64 bytes. Until the task is started nothing but its head is used.
        unsafe {
            let task = task_of(io).cast::<Self>().as_ptr();
            let front = &raw mut (*task).front;
            (&raw mut (*front).header).write(Header::new(executor, &Self::VTABLE));
            (&raw mut (*front).status).write(Cell::new(Status::Failed));
            (&raw mut (*front).buffer).write(Cell::new(Buffer::Unasked));
            (&raw mut (*front).buffer_waker).write(Cell::new(None));
            (&raw mut (*front).comes_back).write(ComesBack::NEVER);
            if in_vain {
                // The fan is that of the pass, and tells what has failed.
                (*front).fan.take_over();
            } else {
                (&raw mut (*front).fan).write(Fan::new());
            }
            let future = make();
            (&raw mut (*task).future).write(UnsafeCell::new(ManuallyDrop::new(future)));
            task::start(task_of(io));
        }
    }

    unsafe fn poll(task: NonNull<Header>, cx: &mut Context<'_>) -> Poll<()> {
        let task = task.cast::<Self>();
        // SAFETY: the state machine polls one at a time, and not after the end; the memory stays at
        // its place until the I/O is completed.
        let future = unsafe { Pin::new_unchecked(&mut **(*task.as_ptr()).future.get()) };
        let Poll::Ready(status) = future.poll(cx) else {
            return Poll::Pending;
        };
        // SAFETY: alive; the future has ended and is dropped once.
        unsafe {
            (*task.as_ptr()).front.status.set(status);
            Self::drop_future(task.cast());
        }
        Poll::Ready(())
    }

    unsafe fn drop_future(task: NonNull<Header>) {
        // SAFETY: the state machine drops the future once, and does not poll it after.
        unsafe { ManuallyDrop::drop(&mut *(*task.cast::<Self>().as_ptr()).future.get()) };
    }

    unsafe fn release(task: NonNull<Header>) {
        // SAFETY: the task stands behind its I/O. The future is gone and nothing holds the task, so
        // this is the last that anybody does with it.
        unsafe {
            let front = task.cast::<Front>().as_ref();
            if front.buffer.get() != Buffer::Unasked {
                // SPDK does not drop what is in there.
                drop(front.buffer_waker.take());
            }
            front.fan.drop_waker();
            front.status.get().complete(io_of(task));
        }
    }
}

unsafe fn nobody(_: NonNull<ffi::spdk_bdev_io>) {}

/// Notes who is called when a request comes back that is about to be passed on without a task.
///
/// # Safety
/// SPDK has just submitted the I/O to a bdev of ours, so that its context is ours.
#[inline(always)]
pub(super) unsafe fn note_who_is_called(
    io: NonNull<ffi::spdk_bdev_io>,
    comes_back: &'static ComesBack,
) {
    // SAFETY: the caller's word.
    unsafe { (&raw mut (*task_of(io).cast::<Front>().as_ptr()).comes_back).write(comes_back) };
}

/// A request that was passed on without a task is back: it is complete, or served now.
///
/// # Safety
/// [`note_who_is_called`] was called for it, and nothing of it is in flight.
#[inline(always)]
pub(super) unsafe fn passed(task: NonNull<Header>, outcome: Outcome) {
    // SAFETY: the caller's word.
    unsafe {
        (*task.cast::<Front>().as_ptr())
            .comes_back
            .end(io_of(task), outcome)
    };
}

/// The I/O behind which a task stands.
///
/// # Safety
/// The task is that of a request.
unsafe fn io_of(task: NonNull<Header>) -> NonNull<ffi::spdk_bdev_io> {
    // SAFETY: `driver_ctx` is the last member of the I/O, which is in one piece with it.
    unsafe { task.cast::<ffi::spdk_bdev_io>().sub(1) }
}

/// A request to a bdev of ours: what [`Device::submit`](super::Device::submit) is to serve.
///
/// The request is completed by the output of the future that serves it, once, and cannot be looked
/// at after: it cannot be kept beyond `'a`.
pub struct Request<'a> {
    pub(super) io: NonNull<ffi::spdk_bdev_io>,
    _lent: PhantomData<&'a ()>,
}

impl<'a> Request<'a> {
    /// # Safety
    /// SPDK has submitted the I/O to a bdev of ours; it is not completed during `'a`, and its task
    /// is made before the request is used.
    pub(super) unsafe fn new(io: NonNull<ffi::spdk_bdev_io>) -> Self {
        Self {
            io,
            _lent: PhantomData,
        }
    }

    #[inline]
    fn params(&self) -> &ffi::spdk_bdev_io_block_params {
        // SAFETY: alive during `'a`. All members of the union are plain data, of which this is the
        // largest.
        unsafe { &(*self.io.as_ptr()).u.bdev }
    }

    /// What is asked for.
    #[inline]
    pub fn io_type(&self) -> IoType {
        // SAFETY: alive during `'a`.
        IoType::from_raw(u32::from(unsafe { (*self.io.as_ptr()).r#type }))
    }

    /// The first block; that of the zone for an append, where to begin for a seek. Of no meaning for
    /// resets, aborts, NVMe commands, and reports and management of zones.
    #[inline]
    pub fn offset_blocks(&self) -> u64 {
        self.params().offset_blocks
    }

    /// How many blocks. Of no meaning for seeks, and where [`Request::offset_blocks`] has none.
    #[inline]
    pub fn num_blocks(&self) -> u64 {
        self.params().num_blocks
    }

    /// For a copy: the first block to copy from.
    pub fn source_offset_blocks(&self) -> u64 {
        self.params().copy.src_offset_blocks
    }

    /// Bytes per block.
    #[inline]
    pub fn block_size(&self) -> u32 {
        // SAFETY: the I/O and its bdev are alive during `'a`.
        unsafe { (*(*self.io.as_ptr()).bdev).blocklen }
    }

    /// The blocks asked for. `None` where they would go beyond the largest number.
    pub fn range(&self) -> Option<core::ops::Range<u64>> {
        let start = self.offset_blocks();
        Some(start..start.checked_add(self.num_blocks())?)
    }

    /// The type of protection information of the bdev: `SPDK_DIF_*`.
    pub fn dif_type(&self) -> ffi::spdk_dif_type {
        // SAFETY: the I/O and its bdev are alive during `'a`.
        unsafe { (*(*self.io.as_ptr()).bdev).dif_type }
    }

    /// When the request was submitted, in ticks of SPDK's clock.
    pub fn submitted_ticks(&self) -> u64 {
        // SAFETY: alive during `'a`.
        unsafe { ffi::spdk_bdev_io_get_submit_tsc(self.io.as_ptr()) }
    }

    /// The data that a write, an append or a compare brings; of a read, what its submitter gave, which
    /// may be nothing: see [`Request::buffer`]; of an NVMe command, what it moves. A request of a type without data has none, and I/O with that
    /// is refused.
    #[inline]
    pub fn data(&self) -> Data<'a> {
        if self.io_type().carries_data() {
            // SAFETY: alive during `'a`, of a bdev of ours, with a task and with iovecs.
            unsafe { Data::of_request(self.io) }
        } else if self.io_type().is_nvme() {
            // SAFETY: as above; `prepare` has seen to the iovecs.
            unsafe { Data::of_nvme(self.io) }
        } else {
            Data::nothing()
        }
    }

    /// What a request to compare and write is to write. `EINVAL` for other types.
    ///
    /// # Errors
    /// See above.
    pub fn fused_data(&self) -> Result<Data<'a>, Errno> {
        if self.io_type() != IoType::COMPARE_AND_WRITE {
            return Err(Errno::EINVAL);
        }
        // SAFETY: as in `data`; the type was checked.
        Ok(unsafe { Data::of_fused(self.io) })
    }

    /// Passes the request on to lower bdevs.
    ///
    /// # Errors
    /// `EBUSY` where it is being passed on already: one [`FanOut`] at a time, and none before the I/O
    /// of one that was dropped has ended.
    #[inline]
    pub fn fan_out(&self) -> Result<FanOut<'_>, Errno> {
        // SAFETY: alive while borrowed, of a bdev of ours, with a task.
        unsafe { FanOut::new(self.io) }
    }

    /// What was tried in vain by [`Device::pass`](super::Device::pass), and
    /// [noted](super::Pass::note) there: its lanes, none of which is in flight, and at least one of
    /// which has failed. Once, before anything else is passed on; `None` after that, and where nothing
    /// was tried.
    #[inline]
    pub fn in_vain(&self) -> Option<(FanOut<'_>, u32)> {
        // SAFETY: alive while borrowed, of a bdev of ours, with a task.
        unsafe { FanOut::in_vain(self.io) }
    }

    /// Sees to it that [`Request::data`] of a read has memory to fill: the submitter's, or one from
    /// SPDK's pools, for which this may wait.
    ///
    /// Ends with `ENOMEM` where SPDK has none for this request, such as one too large for its pools,
    /// and with `EINVAL` for a request of a type without data.
    #[inline]
    pub fn buffer(&self) -> GetBuffer<'a> {
        GetBuffer {
            io: self.io,
            _lent: PhantomData,
        }
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("io_type", &self.io_type())
            .field("offset_blocks", &self.offset_blocks())
            .field("num_blocks", &self.num_blocks())
            .finish()
    }
}

/// See [`Request::buffer`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct GetBuffer<'a> {
    io: NonNull<ffi::spdk_bdev_io>,
    _lent: PhantomData<&'a ()>,
}

impl Future for GetBuffer<'_> {
    type Output = Result<(), Errno>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: alive during `'a`.
        if !IoType::from_raw(u32::from(unsafe { (*self.io.as_ptr()).r#type })).carries_data() {
            return Poll::Ready(Err(Errno::EINVAL));
        }
        // SAFETY: alive during `'a`, with iovecs.
        let present = unsafe {
            let params = &(*self.io.as_ptr()).u.bdev;
            (*(*self.io.as_ptr()).bdev).required_alignment == 0
                && params.iovcnt > 0
                && !params.iovs.is_null()
                && !(*params.iovs).iov_base.is_null()
        };
        if present {
            return Poll::Ready(Ok(()));
        }
        self.poll_pool(cx)
    }
}

impl GetBuffer<'_> {
    #[cold]
    fn poll_pool(&self, cx: &mut Context<'_>) -> Poll<Result<(), Errno>> {
        let io = self.io;
        // SAFETY: alive during `'a`, with a task.
        let task = unsafe { task_of(io) };
        // SAFETY: the task of a request begins with this.
        let front = unsafe { task.cast::<Front>().as_ref() };
        if front.buffer.get() == Buffer::Unasked {
            front.buffer.set(Buffer::Asking);
            front.header.hold();
            // SAFETY: alive during `'a`. SPDK calls back once, at once or later; until then the
            // request is held.
            unsafe {
                let params = &(*io.as_ptr()).u.bdev;
                let block_size = u64::from((*(*io.as_ptr()).bdev).blocklen);
                let len = params.num_blocks.saturating_mul(block_size);
                ffi::spdk_bdev_io_get_buf(io.as_ptr(), Some(got_buffer), len);
            }
            if front.buffer.get() == Buffer::Asking {
                front.buffer.set(Buffer::Awaited);
            }
        }
        match front.buffer.get() {
            Buffer::Granted => Poll::Ready(Ok(())),
            Buffer::Refused => Poll::Ready(Err(Errno::ENOMEM)),
            Buffer::Unasked | Buffer::Asking | Buffer::Awaited => {
                let direct = waker::task_of(cx.waker()) == Some(task);
                front
                    .buffer_waker
                    .set((!direct).then(|| cx.waker().clone()));
                Poll::Pending
            }
        }
    }
}

unsafe extern "C" fn got_buffer(
    _channel: *mut ffi::spdk_io_channel,
    io: *mut ffi::spdk_bdev_io,
    success: bool,
) {
    // SAFETY: SPDK calls this for an I/O for which `poll_pool` asked, so with a task that is held.
    let task = unsafe { task_of(NonNull::new_unchecked(io)) };
    // SAFETY: the task of a request begins with this.
    let front = unsafe { task.cast::<Front>().as_ref() };
    let inside_of_the_call = front.buffer.get() == Buffer::Asking;
    front.buffer.set(if success {
        Buffer::Granted
    } else {
        Buffer::Refused
    });
    let waker = front.buffer_waker.take();
    // The hold ends before the task is polled, so that it finds nothing in flight.
    // SAFETY: held by `poll_pool`, once; the task is not touched after.
    unsafe {
        if inside_of_the_call || waker.is_some() {
            Header::unhold(task);
        } else {
            Header::unhold_and_resume(task);
        }
    }
    if let Some(waker) = waker {
        waker.wake();
    }
}
