//! What is exported, and where: kept on the app thread.
//!
//! ```text
//!              bdev is there                     stop, bdev removed, end of the application
//!   Waiting ─────────────────► Starting ──► Serving ──────────────────────────► Stopping ──► gone
//!      └──────────────────────── stop ───────────────────────────────────────────────────────►
//! ```

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use barespdk::bdev::{self, Access, Desc, Event};
use barespdk::cpuset::Cpuset;
use barespdk::errno::Errno;
use barespdk::mutex::Mutex;
use barespdk::runtime::spawn_local;
use barespdk::thread::Thread;
use barespdk::{log_error, log_notice, log_warn};

use super::address::Address;
use super::export::{BLOCK_BYTES_MAX, Export, Place, Statistics};
use super::socket::Listener;
use super::worker;

/// What is to be exported, and how.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) bdev_name: String,
    pub(crate) address: Address,
    pub(crate) export_name: String,
    pub(crate) read_only: bool,
}

/// Why an export was not started.
#[derive(Debug)]
pub(crate) enum StartError {
    /// There is an export of this name at this address.
    Exists,
    /// The application ends.
    Ending,
    /// The bdev cannot be opened.
    Open(Errno),
    /// The bdev's blocks are none that the protocol knows: so many bytes.
    BlockSize(u32),
    /// The address cannot be listened at.
    Bind(Errno),
    /// There are no threads to serve.
    Thread(Errno),
    /// It was stopped, or the bdev was removed, before it had started.
    Stopped,
}

/// How far an export is.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// For a bdev of the name.
    Waiting,
    Starting,
    Serving(Arc<Export>, Arc<Place>),
    Stopping(Arc<Export>, Arc<Place>),
}

/// An export, as it was asked for, and as it is.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    id: u64,
    pub(crate) order: Order,
    pub(crate) state: State,
    /// Whether it is to be stopped as soon as it has started.
    is_unwanted: bool,
}

struct Server {
    entries: Vec<Entry>,
    places: Vec<Arc<Place>>,
    workers: Vec<Thread>,
    next_id: u64,
    is_ending: bool,
}

/// Locked for moments, never while waiting.
static SERVER: Mutex<Server> = Mutex::new(Server {
    entries: Vec::new(),
    places: Vec::new(),
    workers: Vec::new(),
    next_id: 1,
    is_ending: false,
});

/// All exports, in the order in which they were asked for.
pub(crate) fn entries() -> Vec<Entry> {
    SERVER.lock().entries.clone()
}

impl Server {
    fn entry(&mut self, id: u64) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// One thread on each core, made when there is none yet.
    fn workers(&mut self) -> Result<Vec<Thread>, Errno> {
        if self.workers.is_empty() {
            for core in Cpuset::of_application().iter() {
                let made = Cpuset::from_cores([core])
                    .map_err(|_| Errno::EINVAL)
                    .and_then(|cores| Thread::create(&format!("nbd_{core}"), Some(&cores)));
                match made {
                    Ok(thread) => self.workers.push(thread),
                    Err(errno) if self.workers.is_empty() => return Err(errno),
                    Err(errno) => log_warn!("nbd: no thread on core {core}: {errno}"),
                }
            }
        }
        if self.workers.is_empty() {
            return Err(Errno::ENODEV);
        }
        Ok(self.workers.clone())
    }

    /// Serves an export at its address; the place, if nobody listens there yet.
    fn place(
        &mut self,
        export: &Arc<Export>,
        address: &Address,
    ) -> Result<(Arc<Place>, bool), StartError> {
        let known = self
            .places
            .iter()
            .find(|place| place.listener.address() == address);
        if let Some(place) = known {
            place.exports.lock().push(Arc::clone(export));
            return Ok((Arc::clone(place), false));
        }
        let listener = Listener::bind(address).map_err(StartError::Bind)?;
        let place = Arc::new(Place {
            id: self.new_id(),
            listener,
            exports: Mutex::new([Arc::clone(export)].into()),
            workers: self.workers().map_err(StartError::Thread)?,
            connections: AtomicU32::new(0),
            is_full: AtomicBool::new(false),
        });
        self.places.push(Arc::clone(&place));
        Ok((place, true))
    }

    /// Takes an export out of its place; whether that is left without any.
    fn leave(&mut self, export: &Export, place: &Place) -> bool {
        let is_left = {
            let mut exports = place.exports.lock();
            exports.retain(|other| other.id != export.id);
            exports.is_empty()
        };
        if is_left {
            self.places.retain(|other| other.id != place.id);
        }
        is_left
    }
}

/// Starts an export. Where there is no bdev of its name, and `may_wait`, it starts when there is.
///
/// # Errors
/// See [`StartError`]; nothing is left of it then.
pub(crate) async fn start(order: Order, may_wait: bool) -> Result<Entry, StartError> {
    let id = {
        let mut server = SERVER.lock();
        if server.is_ending {
            return Err(StartError::Ending);
        }
        let exists = server.entries.iter().any(|entry| {
            entry.order.address == order.address && entry.order.export_name == order.export_name
        });
        if exists {
            return Err(StartError::Exists);
        }
        let id = server.new_id();
        server.entries.push(Entry {
            id,
            order,
            state: State::Waiting,
            is_unwanted: false,
        });
        id
    };
    match begin(id).await {
        Err(StartError::Open(Errno::ENODEV)) if may_wait => {
            let mut server = SERVER.lock();
            let entry = server.entry(id).ok_or(StartError::Stopped)?;
            entry.state = State::Waiting;
            log_notice!(
                "nbd export {}: waits for bdev {}",
                entry.order.export_name,
                entry.order.bdev_name
            );
            Ok(entry.clone())
        }
        Err(error) => {
            forget(id);
            Err(error)
        }
        Ok(entry) => Ok(entry),
    }
}

/// Brings an entry that waits into service.
async fn begin(id: u64) -> Result<Entry, StartError> {
    let order = {
        let mut server = SERVER.lock();
        let entry = server.entry(id).ok_or(StartError::Stopped)?;
        entry.state = State::Starting;
        entry.order.clone()
    };
    let access = if order.read_only {
        Access::Read
    } else {
        Access::Write
    };
    let desc = Desc::open(&order.bdev_name, access, move |event| on_event(id, event))
        .map_err(StartError::Open)?;
    let block_size = desc.block_size();
    let is_known = block_size.is_power_of_two() && block_size <= BLOCK_BYTES_MAX;
    if !is_known || desc.is_md_interleaved() {
        return Err(StartError::BlockSize(block_size));
    }
    let export = Arc::new(Export {
        id,
        name: order.export_name,
        read_only: order.read_only,
        desc,
        statistics: Statistics::default(),
        is_closing: AtomicBool::new(false),
    });
    let (place, is_new) = SERVER.lock().place(&export, &order.address)?;
    if is_new && let Err(errno) = listen(&place).await {
        SERVER.lock().leave(&export, &place);
        return Err(StartError::Thread(errno));
    }
    let (entry, is_unwanted) = {
        let mut server = SERVER.lock();
        let entry = server.entry(id).ok_or(StartError::Stopped)?;
        // A port that the system has picked.
        entry.order.address = place.listener.address().clone();
        entry.state = State::Serving(export, Arc::clone(&place));
        (entry.clone(), entry.is_unwanted)
    };
    if is_unwanted {
        let _ = stop(id, "it is not wanted any more").await;
        return Err(StartError::Stopped);
    }
    log_notice!(
        "nbd export {}: serves bdev {} at {}",
        entry.order.export_name,
        entry.order.bdev_name,
        entry.order.address
    );
    Ok(entry)
}

/// Has the first worker accept connections.
async fn listen(place: &Arc<Place>) -> Result<(), Errno> {
    let acceptor = place.workers.first().ok_or(Errno::ENODEV)?;
    let place = Arc::clone(place);
    acceptor.call(move || worker::listen(place)).await?
}

fn on_event(id: u64, event: Event) {
    match event {
        Event::Removed => in_background(id, "its bdev is removed"),
        Event::Resized => {
            if let Some(entry) = SERVER.lock().entry(id) {
                log_notice!(
                    "nbd export {}: bdev {} has another size, which clients see when they connect \
                     again",
                    entry.order.export_name,
                    entry.order.bdev_name
                );
            }
        }
        _ => {}
    }
}

/// Stops an export, while nobody waits for it.
fn in_background(id: u64, why: &'static str) {
    let spawned = spawn_local(async move {
        // It stops already, or it is gone.
        let _ = stop(id, why).await;
    });
    if let Err(errno) = spawned {
        log_error!("nbd: an export cannot be stopped: {errno}");
    }
}

/// Stops an export: no more connections, what is in flight is finished, connections end.
///
/// # Errors
/// `ENODEV` where there is no such export, `EALREADY` where it stops already.
pub(crate) async fn stop(id: u64, why: &'static str) -> Result<(), Errno> {
    let (export, place, is_left, workers) = {
        let mut server = SERVER.lock();
        let entry = server.entry(id).ok_or(Errno::ENODEV)?;
        let (export, place) = match mem::replace(&mut entry.state, State::Waiting) {
            State::Waiting => {
                server.entries.retain(|entry| entry.id != id);
                return Ok(());
            }
            State::Starting => {
                entry.state = State::Starting;
                entry.is_unwanted = true;
                return Ok(());
            }
            stopping @ State::Stopping(..) => {
                entry.state = stopping;
                return Err(Errno::EALREADY);
            }
            State::Serving(export, place) => (export, place),
        };
        entry.state = State::Stopping(Arc::clone(&export), Arc::clone(&place));
        let is_left = server.leave(&export, &place);
        (export, place, is_left, server.workers.clone())
    };
    log_notice!("nbd export {}: stops: {why}", export.name);
    export.is_closing.store(true, Ordering::Release);
    let place_id = place.id;
    if is_left && let Some(acceptor) = workers.first() {
        // A thread that has gone has nothing to close.
        let _ = acceptor
            .call(move || worker::stop_listening(place_id))
            .await;
    }
    let closing: Vec<_> = workers
        .iter()
        .map(|thread| {
            thread.spawn(move || async move {
                if is_left {
                    worker::drop_undecided(place_id);
                }
                if let Some(closed) = worker::close_export(id) {
                    closed.await;
                }
            })
        })
        .collect();
    for closed in closing {
        let _ = closed.await;
    }
    log_notice!("nbd export {}: stopped", export.name);
    // The last of the place closes its socket, which should be so when the caller is told.
    drop((export, place));
    forget(id);
    Ok(())
}

/// Takes an entry out; the threads go with the last one.
fn forget(id: u64) {
    let (gone, workers) = {
        let mut server = SERVER.lock();
        let gone: Vec<_> = server
            .entries
            .extract_if(.., |entry| entry.id == id)
            .collect();
        let workers = if server.entries.is_empty() {
            mem::take(&mut server.workers)
        } else {
            Vec::new()
        };
        (gone, workers)
    };
    // Dropped when the lock is free.
    drop(gone);
    for worker in workers {
        if let Err(errno) = worker.request_exit() {
            log_error!("nbd: a thread does not end: {errno}");
        }
    }
}

/// The exports that one of these is said of, if it is said, which do not stop yet.
pub(crate) fn find(
    bdev_name: Option<&str>,
    address: Option<&Address>,
    export_name: Option<&str>,
) -> Vec<u64> {
    SERVER
        .lock()
        .entries
        .iter()
        .filter(|entry| {
            !matches!(entry.state, State::Stopping(..))
                && bdev_name.is_none_or(|name| entry.order.bdev_name == name)
                && address.is_none_or(|address| entry.order.address == *address)
                && export_name.is_none_or(|name| entry.order.export_name == name)
        })
        .map(|entry| entry.id)
        .collect()
}

/// A bdev has appeared: starts what waits for it.
pub(super) async fn bdev_appeared() {
    let waiting: Vec<_> = {
        let server = SERVER.lock();
        let waiting = server
            .entries
            .iter()
            .filter(|entry| matches!(entry.state, State::Waiting));
        waiting
            .map(|entry| (entry.id, entry.order.clone()))
            .collect()
    };
    for (id, order) in waiting {
        // While those before it were started, another bdev may have appeared, and this with it.
        let is_waiting = |entry: &mut Entry| matches!(entry.state, State::Waiting);
        let still_waits = SERVER.lock().entry(id).is_some_and(is_waiting);
        if !still_waits || !bdev::exists(&order.bdev_name) {
            continue;
        }
        if let Err(error) = begin(id).await {
            log_error!("nbd export {}: not started: {error:?}", order.export_name);
            forget(id);
        }
    }
}

/// The application ends.
pub(super) fn shutdown() {
    let ids: Vec<_> = {
        let mut server = SERVER.lock();
        server.is_ending = true;
        server.entries.iter().map(|entry| entry.id).collect()
    };
    for id in ids {
        in_background(id, "the application ends");
    }
}
