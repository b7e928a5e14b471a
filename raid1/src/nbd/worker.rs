//! What serves connections: one on each SPDK thread of the server's.
//!
//! ```text
//!   poller, each turn:  Watch::poll ──► accept, or note what sockets tell ──► run those that are hot
//!   poller, each second: those that take too long go
//!   messages: adopt a connection, listen, stop listening, close an export
//! ```

mod accept;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::sync::atomic::Ordering;

use barespdk::bdev::Channel;
use barespdk::completion::{Completion, Sender, completion};
use barespdk::errno::Errno;
use barespdk::interrupt::Interrupt;
use barespdk::local::LocalKey;
use barespdk::poller::{Polled, Poller};
use barespdk::{log_error, log_notice, log_warn};

use super::connection::{Connection, Host};
use super::export::{Export, Place, Visit};
use super::memory::Memory;
use super::session::End;
use super::socket::{Event, Socket, Watch};

/// In every so many turns with something to do, those are looked at that are watched.
const WATCH_TURNS: u32 = 32;

/// How many connections a second are logged that were broken.
const COMPLAINTS_MAX: u32 = 10;

/// Tokens of listeners have this bit.
const LISTENER: u64 = 1 << 63;

const SECOND_US: u64 = 1_000_000;

/// The worker of each thread, made when it is first asked for.
static WORKER: LocalKey<RefCell<Option<Running>>> = LocalKey::new(|| RefCell::new(None));

/// A worker, and what drives it. It goes with its thread.
struct Running {
    worker: Rc<RefCell<Worker>>,
    /// Rouses the thread where it sleeps; before the worker, whose file descriptor it looks at.
    _rouser: Option<Interrupt>,
    _turns: Poller,
    _seconds: Poller,
}

/// What is served on one thread.
struct Worker {
    watch: Watch,
    memory: Rc<Memory>,
    places: Vec<Watched>,
    /// By token. Where one has gone is a gap, for the next.
    connections: Vec<Option<Box<Connection>>>,
    gaps: Vec<usize>,
    /// Which ones to run in the next turn.
    hot: Vec<usize>,
    served: Vec<Served>,
    /// Which thread is to have the next connection.
    next_worker: Cell<usize>,
    turns: u32,
    /// How many connections were broken in this second.
    complaints: u32,
    /// Whether the thread sleeps when nothing is busy. Sockets that are asked would not rouse it.
    can_sleep: bool,
}

/// A place where connections are accepted.
struct Watched {
    place: Arc<Place>,
    /// Not, where there was no room for a connection: for up to a second.
    is_armed: bool,
}

/// An export that this thread has served.
struct Served {
    export: Arc<Export>,
    channel: Channel,
    connections: usize,
    /// Who waits for its end; it ends as soon as there are any.
    waiting: Vec<Sender<()>>,
}

/// Calls `work` with the worker of this thread.
fn with<R>(work: impl FnOnce(&mut Worker) -> R) -> Result<R, Errno> {
    WORKER.with(|running| {
        let mut running = running.try_borrow_mut().map_err(|_| Errno::EDEADLK)?;
        let worker = match &mut *running {
            Some(running) => Rc::clone(&running.worker),
            none => Rc::clone(&none.insert(Running::new()?).worker),
        };
        drop(running);
        let mut worker = worker.try_borrow_mut().map_err(|_| Errno::EDEADLK)?;
        Ok(work(&mut worker))
    })?
}

impl Running {
    fn new() -> Result<Self, Errno> {
        let worker = Rc::new(RefCell::new(Worker {
            watch: Watch::new()?,
            memory: Rc::new(Memory::new().map_err(|_| Errno::ENOMEM)?),
            places: Vec::new(),
            connections: Vec::new(),
            gaps: Vec::new(),
            hot: Vec::new(),
            served: Vec::new(),
            next_worker: Cell::new(0),
            turns: 0,
            complaints: 0,
            can_sleep: false,
        }));
        let turn = |worker: &Rc<RefCell<Worker>>| {
            let worker = Rc::clone(worker);
            move || match worker.try_borrow_mut() {
                Ok(mut worker) => worker.turn(),
                Err(_) => Polled::Idle,
            }
        };
        let descriptor = worker.borrow().watch.raw_fd();
        let rouser = Interrupt::new("nbd_watch", descriptor, turn(&worker));
        worker.borrow_mut().can_sleep = rouser.is_some();
        let (turns, seconds) = (turn(&worker), Rc::clone(&worker));
        Ok(Self {
            worker,
            _rouser: rouser,
            _turns: Poller::new("nbd_turn", 0, turns)?,
            _seconds: Poller::new("nbd_second", SECOND_US, move || {
                if let Ok(mut worker) = seconds.try_borrow_mut() {
                    worker.second_passed();
                }
                Polled::Idle
            })?,
        })
    }
}

/// Begins to accept connections on this thread.
pub(super) fn listen(place: Arc<Place>) -> Result<(), Errno> {
    with(|worker| {
        worker
            .watch
            .add_listener(&place.listener, LISTENER | place.id)?;
        worker.places.push(Watched {
            place,
            is_armed: true,
        });
        Ok(())
    })?
}

/// Accepts no more connections on this thread. `listen` was called here.
pub(super) fn stop_listening(place: u64) {
    let _ = with(|worker| {
        for watched in worker
            .places
            .extract_if(.., |watched| watched.place.id == place)
        {
            worker.watch.remove_listener(&watched.place.listener);
        }
    });
}

/// Drops connections to a place that have not chosen an export.
pub(super) fn drop_undecided(place: u64) {
    let _ = with(|worker| {
        for index in 0..worker.connections.len() {
            let undecided = worker.connection(index).is_some_and(|connection| {
                connection.place() == place && connection.export().is_none()
            });
            if undecided {
                worker.close_cold(index, None);
            }
        }
    });
}

/// Takes over a connection. It is dropped where that cannot be.
pub(super) fn adopt(socket: Socket, visit: Visit) {
    if let Err(errno) = with(|worker| worker.adopt(socket, visit)) {
        log_error!("nbd: a connection was dropped: {errno}");
    }
}

/// Ends the connections of an export when what they have in flight is done. The future ends when the
/// last one has gone.
pub(super) fn close_export(id: u64) -> Option<Completion<()>> {
    with(|worker| {
        for index in 0..worker.connections.len() {
            let Some(connection) = worker.connections.get_mut(index).and_then(Option::as_mut)
            else {
                continue;
            };
            if connection.export().is_some_and(|export| export.id == id) {
                connection.shut();
                worker.heat(index);
            } else if connection.is_bound_for(id) {
                // It would keep the export open for as long as its client takes no answer.
                worker.close_cold(index, None);
            }
        }
        let (sender, done) = completion();
        worker.find_served(id)?.waiting.push(sender);
        worker.end_served(id);
        Some(done)
    })
    .ok()
    .flatten()
}

impl Worker {
    fn connection(&self, index: usize) -> Option<&Connection> {
        self.connections.get(index)?.as_deref()
    }

    /// One turn of the reactor.
    #[inline]
    fn turn(&mut self) -> Polled {
        let mut busy = self.memory.reap();
        if self.places.is_empty() && self.connections.len() == self.gaps.len() {
            return Polled::Idle;
        }
        self.turns = self.turns.wrapping_add(1);
        if self.hot.is_empty() || self.turns.is_multiple_of(WATCH_TURNS) {
            busy |= self.watch();
        }
        // Who becomes cold leaves; nobody joins meanwhile.
        let mut at = 0;
        while let Some(index) = self.hot.get(at).copied() {
            busy |= self.run(index) || self.can_sleep && self.is_asked(index);
            if self.is_hot(index) {
                at += 1;
            } else {
                self.hot.swap_remove(at);
            }
        }
        if busy { Polled::Busy } else { Polled::Idle }
    }

    /// Whether a connection's socket does not tell when there is something.
    fn is_asked(&self, index: usize) -> bool {
        self.connection(index)
            .is_some_and(|connection| !connection.is_watched)
    }

    /// Whether a connection is to be run in the next turn, too. One that was quiet for long is watched
    /// from now on.
    #[inline]
    fn is_hot(&mut self, index: usize) -> bool {
        let Some(Some(connection)) = self.connections.get_mut(index) else {
            return false;
        };
        if connection.is_watched && connection.is_busy() {
            // It is to be asked whether there is room for more, too.
            self.watch.remove(connection.socket());
            connection.is_watched = false;
            connection.is_hot = true;
        } else if connection.is_quiet() {
            let added = self.watch.add(
                connection.socket(),
                index as u64,
                connection.waits_for_room(),
            );
            connection.is_watched = added.is_ok();
        }
        connection.is_hot
    }

    /// Looks at what is watched; whether anything has happened.
    fn watch(&mut self) -> bool {
        let (mut busy, mut is_called) = (false, false);
        let Self {
            watch,
            connections,
            hot,
            ..
        } = self;
        watch.poll(|event: Event| {
            busy = true;
            if event.token & LISTENER != 0 {
                is_called = true;
                return;
            }
            let index = event.token as usize;
            // It may have gone since.
            if let Some(Some(connection)) = connections.get_mut(index) {
                connection.note(event);
                if connection.is_watched {
                    watch.remove(connection.socket());
                    connection.is_watched = false;
                }
                if !connection.is_hot {
                    connection.is_hot = true;
                    hot.push(index);
                }
            }
        });
        if is_called {
            self.accept();
        }
        busy
    }

    /// Runs a connection, and closes it if it is over; whether there was anything to do.
    #[inline]
    fn run(&mut self, index: usize) -> bool {
        let Some(mut connection) = self.connections.get_mut(index).and_then(Option::take) else {
            return false;
        };
        let outcome = connection.run(self);
        if let Some(place) = self.connections.get_mut(index) {
            *place = Some(connection);
        }
        match outcome {
            Ok(busy) => busy,
            Err(end) => {
                self.over(index, &end);
                true
            }
        }
    }

    #[cold]
    fn over(&mut self, index: usize, end: &End) {
        let name = self
            .connection(index)
            .and_then(|connection| connection.export())
            .map_or("(none yet)", |export| &export.name);
        match end {
            End::Done | End::Broken(Errno::EPIPE) => {}
            // Not as many lines as a client likes.
            _ if self.complaints == COMPLAINTS_MAX => {}
            End::Broken(errno) => log_notice!("nbd export {name}: a connection ended: {errno}"),
            End::Violation(violation) => {
                log_warn!("nbd export {name}: a connection was dropped: {violation}");
            }
        }
        if !matches!(end, End::Done) {
            self.complaints = COMPLAINTS_MAX.min(self.complaints + 1);
        }
        self.close(index, None);
    }

    /// Drops a connection, and says why, if there is more to say.
    fn close(&mut self, index: usize, why: Option<&str>) {
        let Some(connection) = self.connections.get_mut(index).and_then(Option::take) else {
            return;
        };
        let export = connection.export().map(Arc::clone);
        if let Some(why) = why {
            let name = export.as_ref().map_or("(none yet)", |export| &export.name);
            log_warn!("nbd export {name}: a connection was dropped: {why}");
        }
        drop(connection);
        self.gaps.push(index);
        if let Some(export) = export {
            if let Some(served) = self.find_served(export.id) {
                served.connections -= 1;
            }
            self.end_served(export.id);
        }
        // There is room for one more.
        self.arm();
    }

    /// As `close`, outside of a turn.
    fn close_cold(&mut self, index: usize, why: Option<&str>) {
        self.hot.retain(|hot| *hot != index);
        self.close(index, why);
    }

    fn find_served(&mut self, id: u64) -> Option<&mut Served> {
        self.served.iter_mut().find(|served| served.export.id == id)
    }

    /// Forgets an export that is to end, if its last connection has gone.
    fn end_served(&mut self, id: u64) {
        self.served.retain_mut(|served| {
            let ends =
                served.export.id == id && served.connections == 0 && !served.waiting.is_empty();
            if ends {
                served.waiting.drain(..).for_each(|sender| sender.send(()));
            }
            !ends
        });
    }

    fn heat(&mut self, index: usize) {
        if let Some(Some(connection)) = self.connections.get_mut(index)
            && !connection.is_hot
        {
            connection.is_hot = true;
            self.hot.push(index);
        }
    }

    fn adopt(&mut self, socket: Socket, visit: Visit) {
        let index = self.gaps.last().copied().unwrap_or(self.connections.len());
        let connection = Some(Box::new(Connection::new(socket, visit)));
        match self.connections.get_mut(index) {
            Some(gap) => {
                *gap = connection;
                self.gaps.pop();
            }
            None => self.connections.push(connection),
        }
        self.heat(index);
    }

    fn second_passed(&mut self) {
        self.arm();
        self.complaints = 0;
        let was_short = self.memory.was_short();
        for index in 0..self.connections.len() {
            let why = self
                .connections
                .get_mut(index)
                .and_then(Option::as_mut)
                .and_then(|connection| connection.second_passed(was_short));
            if why.is_some() {
                self.close_cold(index, why);
            }
        }
    }
}

impl Host for Worker {
    fn channel(&mut self, export: &Arc<Export>) -> Result<(Channel, Rc<Memory>), Errno> {
        let memory = Rc::clone(&self.memory);
        if let Some(served) = self.find_served(export.id) {
            if !served.waiting.is_empty() {
                return Err(Errno::ESHUTDOWN);
            }
            served.connections += 1;
            return Ok((served.channel.clone(), memory));
        }
        // Whoever closes it has not come here yet, or has found nothing to close.
        if export.is_closing.load(Ordering::Acquire) {
            return Err(Errno::ESHUTDOWN);
        }
        let channel = Channel::new(&export.desc)?;
        self.served.push(Served {
            export: Arc::clone(export),
            channel: channel.clone(),
            connections: 1,
            waiting: Vec::new(),
        });
        Ok((channel, memory))
    }
}
