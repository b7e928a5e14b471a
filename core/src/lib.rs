//! A safe runtime for SPDK v26.01: bdev modules, JSON-RPC methods and whole applications in Rust.
//!
//! SPDK drives storage from user space, by polling and without locks: a *reactor* on each core runs
//! *SPDK threads*, and their work is cut into callbacks of C. Here what waits for a callback is a
//! future, its memory is what SPDK sets aside with each request, and rules that SPDK states in comments
//! are types.
//!
//! ```text
//!   your crate: a Driver and its Devices, RPC methods, perhaps an App
//!   ───────┬──────────────┬────────────────────┬───────────────────────────────────
//!          │       ┌──────┴──────┐             │
//!      ┌───▼──┐ ┌──▼───┐ ┌───────▼───────┐ ┌───▼────────┐  ┌──────────────────────┐
//!      │ app  │ │ rpc  │ │ module: bdevs │ │ bdev: those│  │ io_device: your own  │
//!      │      │ │ json │ │ of your own   │ │ of others  │  │ channels             │
//!      └───┬──┘ └──┬───┘ └───────┬───────┘ └───┬────────┘  └──────────┬───────────┘
//!      ┌───▼───────▼─────────────▼─────────────▼──────────────────────▼───────────┐
//!      │ thread, message, local, mutex, poller │ runtime: tasks, sleep, TaskPool  │
//!      │ cpuset, uuid, errno, log              │ an executor that knows no SPDK   │
//!      └───────────────┬───────────────────────────────────────┬──────────────────┘
//!      ┌───────────────▼───────────────┐       ┌───────────────▼──────────────────┐
//!      │ dma: arenas of DMA memory     ├───────► barespdk-sys: the C ABI, by hand │
//!      └───────────────────────────────┘       └───────────────┬──────────────────┘
//!                                       libspdk v26.01, or the same in Rust: barespdk-embedded
//! ```
//!
//! # Where to start
//!
//! | to | see |
//! |---|---|
//! | write a bdev of your own | [`module`]; the example `tail_bdev` is one in 60 lines |
//! | read and write another bdev | [`bdev::Desc`], [`bdev::Channel`], [`dma::DmaBuf`] |
//! | answer an RPC | [`rpc`], [`rpc_methods!`] |
//! | run an application | [`app::App`]; or let a stock one load your shared object: [`at_load!`] |
//! | do something in the background | [`runtime::spawn_local`], [`runtime::sleep`], [`poller`] |
//! | do something when a file descriptor is readable | [`interrupt`], beside a [`poller`] |
//! | do something on another thread | [`thread::Thread::spawn`], [`message`] |
//!
//! # The way of a request
//!
//! ```text
//!  SPDK's bdev layer ── submit_request ──► Device::submit(&self, &channel, request)
//!        ▲                                   its future is put into driver_ctx and polled at once
//!        │                                        │ channel.read(&data, offset).await
//!        │                                        ▼
//!        │                                   a lower bdev ── its callback polls the future, in place
//!        └── spdk_bdev_io_complete ◄───────── the future's output: a Status
//! ```
//!
//! No list, no queue and no allocation stand between the callback and the line after the `.await`.
//! I/O is eager: it is submitted when it is asked for, so several are in flight when they are made one
//! after the other and awaited after. [`module::Request::fan_out`] passes one request on to up to
//! [`module::LANES_MAX`] lower bdevs out of its own memory; [`module::Device::pass`] does so before
//! there is even a future.
//!
//! # Threads
//!
//! - Everything runs on SPDK threads, and a reactor polls one after the other: what blocks or spins
//!   stops them all. Await instead.
//! - Channels, I/O, tasks, pollers and requests belong to the SPDK thread that made them. They are
//!   `!Send`, so the compiler says where one would leave.
//! - [`bdev::Desc`], [`module::Bdev`], [`thread::Thread`], [`dma::DmaBuf`] and senders go anywhere.
//! - RPC methods, [`module::Driver`]'s calls and the registration of bdevs are on the *app thread*, the
//!   first one. What must be there and is not says so: `EPERM`.
//! - A `std::thread_local!` is the reactor's, not the SPDK thread's: use [`local::LocalKey`].
//!
//! # What safe code cannot do
//!
//! 1. Free what C still uses. An I/O's future may be dropped at any time; slot and buffer stay until the
//!    callback, and a request completes only after the last I/O made in its name.
//! 2. Misuse a `Waker`. It may outlive its task, be called twice, from any thread, in the middle of a
//!    poll: it wakes its own task on its own thread, or nothing.
//! 3. Complete a request twice, never, or look at it after: its future's output completes it.
//! 4. Share what is not to be shared. Requests have `&` to their channel's state, never `&mut`; what
//!    goes to another thread is `Send + 'static`.
//! 5. Run over the end. Lengths, blocks and iovecs are checked; what does not fit is an error.
//! 6. Leave a mess. Exit of threads and removal of bdevs wait for what is in flight.
//! 7. Take want of memory for a broken disk: `-ENOMEM` on submission waits in SPDK's queue.
//! 8. Bring the process down from outside: wrong parameters, unknown enumerators, NULLs are values.
//!
//! Code that leaks a value (`mem::forget`) may leak memory, or keep a bdev open; no more than that.
//!
//! # Features
//!
//! The crate itself declares what it needs and links nothing: the executable decides what answers.
//!
//! - `embedded`, the default: tests and examples run on `barespdk-embedded`, which needs no SPDK. An
//!   executable of your own depends on that crate and names it: `use barespdk_embedded as _;`.
//! - `spdk` links the SPDK of the machine (`SPDK_DIR`, or pkg-config; `SPDK_LINK=shared`) into tests and
//!   examples, and goes first where both are on.
//!
//! A library that a stock SPDK application loads names neither: it uses the SPDK of that application.
//!
//! # Coming from ironspdk
//!
//! | there | here |
//! |---|---|
//! | the application: new, run with SPDK's arguments and `-h` | [`App::new`](app::App::new), [`App::run`](app::App::run); options of one's own: [`App::option`](app::App::option) |
//! | start callback, shutdown callback, errors | the second argument of `run`; [`App::on_shutdown`](app::App::on_shutdown), [`app::stop`]; [`app::AppError`] |
//! | SPDK thread: current, whether it is, the first one | [`Thread::current`](thread::Thread::current), [`Thread::is_current`](thread::Thread::is_current), [`Thread::app`](thread::Thread::app) |
//! | create on any core, on given ones | [`Thread::create`](thread::Thread::create) with `None`, with a [`Cpuset`](cpuset::Cpuset) |
//! | id, number of cores, running, exited | [`Thread::id`](thread::Thread::id), [`thread::core_count`], [`Thread::is_running`](thread::Thread::is_running), [`Thread::has_exited`](thread::Thread::has_exited) |
//! | spawn there, spawn here, request exit | [`Thread::spawn`](thread::Thread::spawn), [`Thread::spawn_here`](thread::Thread::spawn_here), [`Thread::request_exit`](thread::Thread::request_exit) |
//! | cpuset: empty, from cores, set, clear, raw pointer | [`Cpuset::empty`](cpuset::Cpuset::empty), [`from_cores`](cpuset::Cpuset::from_cores), [`set`](cpuset::Cpuset::set), [`clear`](cpuset::Cpuset::clear), [`as_ptr`](cpuset::Cpuset::as_ptr) |
//! | storage of each thread, typed keys | [`local::LocalKey`] |
//! | completion future | [`completion::completion`] on one thread, [`message::oneshot`] between threads |
//! | DMA buffer, zeroed or not, slices, any thread | [`dma::DmaBuf::new`], [`dma::DmaBuf::zeroed`]; it derefs to `[u8]`. The alignment is given, or that of a bdev: [`Desc::buffer`](bdev::Desc::buffer) |
//! | I/O data: a request's, or an owned buffer; into the buffer | [`bdev::Data`]: [`Request::data`](module::Request::data), [`Data::from_buffer`](bdev::Data::from_buffer), [`Data::into_buffer`](bdev::Data::into_buffer) |
//! | rescale to another block length | nothing to do: views count bytes, and each channel its own blocks; [`Data::blocks`](bdev::Data::blocks) checks |
//! | split into children without a copy, set the child's offset | [`Data::slice`](bdev::Data::slice); the offset is an argument of the I/O |
//! | copy to a buffer, from a slice | [`Data::copy_to`](bdev::Data::copy_to), [`Data::copy_from`](bdev::Data::copy_from) |
//! | iovecs | **not given out**: I/O takes the [`Data`](bdev::Data) as it is |
//! | bdev module: init, types, state of a thread, submit | [`module::Driver`], [`Device::supports`](module::Device::supports), [`Device::Channel`](module::Device::Channel), [`Device::submit`](module::Device::submit) |
//! | request: type, offset, blocks, block length, range, DIF type; besides: zones, NVMe commands, what a seek finds | [`module::Request`], [`bdev::IoType`] |
//! | completion here | the output of `submit` |
//! | completion on another thread | await what the other thread does ([`Thread::spawn`](thread::Thread::spawn)): SPDK completes a request on its own thread alone |
//! | channel: typed state, borrowed and counted | [`io_device::ChannelRef`], [`io_device::Channel`] |
//! | delete a bdev of one's own by name | [`Module::unregister`](module::Module::unregister) |
//! | registry of own bdevs | **not here**: keep the handles that [`Module::register`](module::Module::register) gives, as the mirror does |
//! | client: open by name, block length and count, channel | [`Desc::open`](bdev::Desc::open), [`block_size`](bdev::Desc::block_size), [`num_blocks`](bdev::Desc::num_blocks), [`Channel::new`](bdev::Channel::new) |
//! | read, write; besides: unmap, write zeroes, flush, reset, compare, copy, abort, seek, zones, NVMe commands | the methods of [`bdev::Channel`] |
//! | metadata, extended options | those of a request go with its [`Data`](bdev::Data); metadata of one's own: [`read_with_metadata`](bdev::Channel::read_with_metadata), [`write_with_metadata`](bdev::Channel::write_with_metadata) |
//! | bdev options, from RPC arguments too | [`module::Options`], [`Options::from_params`](module::Options::from_params), [`Options::update`](module::Options::update): names as in SPDK's RPCs |
//! | RPC: handler, typed parameters, errors | [`rpc::Method`], [`rpc::Params`], [`rpc::RpcError`]; asynchronous ones too |
//! | plugin for `spdk-rpc` | `raid1/plugin` |
//! | build: find and link SPDK | `SPDK_DIR` or pkg-config, `SPDK_LINK` |
#![no_std]

extern crate alloc;
#[cfg(any(test, loom))]
extern crate std;

pub mod app;
pub mod bdev;
mod callback;
pub mod clock;
pub mod completion;
pub mod cpuset;
pub mod errno;
mod executor;
pub mod interrupt;
pub mod io_device;
pub mod json;
pub mod local;
pub mod log;
pub mod message;
pub mod module;
pub mod mutex;
pub mod notify;
#[doc(hidden)]
pub mod planted;
pub mod poller;
pub mod rpc;
pub mod runtime;
pub mod thread;
pub mod uuid;

#[doc(inline)]
pub use barespdk_alloc_dma as dma;
pub use executor::pool::PoolFull;
pub use executor::{TaskPool, TimersFull};
