//! One client, from its arrival to its end.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use barespdk::bdev::Channel;
use barespdk::errno::Errno;

use super::export::{Export, Visit};
use super::memory::Memory;
use super::protocol::{GREETING, Handshake, INPUT_BYTES_MAX, Step};
use super::session::{End, Readiness, Session};
use super::socket::{Event, Piece, Socket};

/// How many turns without anything to do it takes for a socket to be watched instead of asked. What is
/// watched costs its client more: each of its calls then goes through epoll.
const QUIET_TURNS: u32 = 512;

/// In every so many turns without anything to do, a socket is asked.
const ASK_TURNS: u32 = 2;

/// How long a handshake may take, in seconds.
const HANDSHAKE_SECONDS_MAX: u32 = 10;

/// How long a client may leave a request half sent, or replies untaken, in seconds.
const STALL_SECONDS_MAX: u32 = 60;

/// The same, in seconds, while others wait for the memory that this takes.
const HOARD_SECONDS_MAX: u32 = 5;

/// How long a client has to take its last replies when its export stops, in seconds.
const ENDING_SECONDS_MAX: u32 = 5;

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    readiness: Readiness,
    phase: Phase,
    visit: Visit,
    /// Whether the worker runs this in each turn.
    pub(crate) is_hot: bool,
    /// Whether the socket tells when there is something; else it is asked.
    pub(crate) is_watched: bool,
    /// For how many turns there was nothing to do.
    quiet_turns: u32,
    /// Since when nothing of use has come or gone, in seconds.
    quiet_seconds: u32,
    is_shut: bool,
}

#[derive(Debug)]
enum Phase {
    Greeting(Box<Greeting>),
    Serving(Box<Session>),
}

/// A handshake, and what is on its way.
#[derive(Debug)]
struct Greeting {
    handshake: Handshake,
    input: Vec<u8>,
    received: usize,
    output: Vec<u8>,
    sent: usize,
    /// What follows when all of `output` has gone.
    next: Next,
}

#[derive(Debug)]
enum Next {
    Option,
    Serve(Arc<Export>),
    End,
}

/// What a connection in the handshake needs of its worker.
pub(crate) trait Host {
    /// A way to a bdev of an export that is served, and memory.
    fn channel(&mut self, export: &Arc<Export>) -> Result<(Channel, Rc<Memory>), Errno>;
}

impl Connection {
    pub(crate) fn new(socket: Socket, visit: Visit) -> Self {
        Self {
            socket,
            readiness: Readiness {
                readable: false,
                writable: true,
                hangup: false,
            },
            phase: Phase::Greeting(Box::new(Greeting {
                handshake: Handshake::default(),
                input: vec![0; INPUT_BYTES_MAX],
                received: 0,
                output: GREETING.to_vec(),
                sent: 0,
                next: Next::Option,
            })),
            visit,
            is_hot: false,
            is_watched: false,
            quiet_turns: 0,
            quiet_seconds: 0,
            is_shut: false,
        }
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The place that it came to.
    pub(crate) fn place(&self) -> u64 {
        self.visit.0.id
    }

    /// The export that it has chosen.
    pub(crate) fn export(&self) -> Option<&Arc<Export>> {
        match &self.phase {
            Phase::Greeting(_) => None,
            Phase::Serving(session) => Some(&session.export),
        }
    }

    /// Whether it has chosen an export, which its client has not been told.
    pub(crate) fn is_bound_for(&self, id: u64) -> bool {
        match &self.phase {
            Phase::Greeting(greeting) => {
                matches!(&greeting.next, Next::Serve(export) if export.id == id)
            }
            Phase::Serving(_) => false,
        }
    }

    /// Notes what the socket tells.
    #[inline]
    pub(crate) fn note(&mut self, event: Event) {
        self.readiness.readable |= event.readable;
        self.readiness.writable |= event.writable;
        self.readiness.hangup |= event.hangup;
    }

    /// Its export stops.
    pub(crate) fn shut(&mut self) {
        self.is_shut = true;
        self.quiet_seconds = 0;
        if let Phase::Serving(session) = &mut self.phase {
            session.shut();
        }
    }

    /// A second has passed, in which others may have waited for memory: whether the client has used up
    /// its time, and with what.
    pub(crate) fn second_passed(&mut self, others_wait: bool) -> Option<&'static str> {
        self.quiet_seconds += 1;
        let (limit, what) = match &self.phase {
            Phase::Greeting(_) => (HANDSHAKE_SECONDS_MAX, "the handshake takes too long"),
            Phase::Serving(session) if session.is_working() => {
                self.quiet_seconds = 0;
                return None;
            }
            Phase::Serving(_) if self.is_shut => {
                (ENDING_SECONDS_MAX, "its last replies are not taken")
            }
            Phase::Serving(session) if others_wait && session.holds_memory() => (
                HOARD_SECONDS_MAX,
                "it holds memory that others wait for, and does nothing",
            ),
            Phase::Serving(session) if session.waits_for_client() => (
                STALL_SECONDS_MAX,
                "a request is left half sent, or replies are not taken",
            ),
            Phase::Serving(_) => {
                self.quiet_seconds = 0;
                return None;
            }
        };
        (self.quiet_seconds > limit).then_some(what)
    }

    /// Does what can be done now; whether that was anything.
    ///
    /// # Errors
    /// The connection is over.
    #[inline]
    pub(crate) fn run(&mut self, host: &mut impl Host) -> Result<bool, End> {
        if !self.is_watched && self.quiet_turns.is_multiple_of(ASK_TURNS) {
            self.readiness.readable = true;
            self.readiness.writable = true;
        }
        let busy = match &mut self.phase {
            Phase::Serving(session) => session.run(&self.socket, &mut self.readiness)?,
            Phase::Greeting(_) => self.greet(host)?,
        };
        if busy
            && !self.is_shut
            && let Phase::Serving(session) = &mut self.phase
            && session.take_progress()
        {
            self.quiet_seconds = 0;
        }
        self.quiet_turns = if busy {
            0
        } else {
            // One whose I/O takes for ever may get round.
            self.quiet_turns.wrapping_add(1).max(1)
        };
        self.is_hot = !self.is_watched
            || match &self.phase {
                Phase::Serving(session) => session.is_hot(self.readiness),
                Phase::Greeting(greeting) => {
                    self.readiness.readable
                        || self.readiness.writable && greeting.sent < greeting.output.len()
                }
            };
        Ok(busy)
    }

    /// Whether there was something to do in the last turn.
    #[inline]
    pub(crate) fn is_busy(&self) -> bool {
        self.quiet_turns == 0
    }

    /// Whether there is something to be sent.
    pub(crate) fn waits_for_room(&self) -> bool {
        match &self.phase {
            Phase::Serving(session) => session.has_replies(),
            Phase::Greeting(greeting) => greeting.sent < greeting.output.len(),
        }
    }

    /// Whether the socket has been asked in vain for long enough.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet_turns >= QUIET_TURNS && !self.is_watched
    }

    /// Goes on with the handshake.
    fn greet(&mut self, host: &mut impl Host) -> Result<bool, End> {
        let Phase::Greeting(greeting) = &mut self.phase else {
            return Ok(false);
        };
        let mut busy = false;
        loop {
            if !greeting.send(&self.socket, &mut self.readiness)? {
                return Ok(busy);
            }
            match &greeting.next {
                Next::End => return Err(End::Done),
                Next::Serve(export) => {
                    let export = Arc::clone(export);
                    // Gone in the meantime: the client learns that from the end of the connection.
                    let (channel, memory) = host.channel(&export).map_err(End::Broken)?;
                    let early = greeting.input.get(..greeting.received).unwrap_or_default();
                    let session = Session::new(export, channel, memory, early);
                    self.phase = Phase::Serving(Box::new(session));
                    return Ok(true);
                }
                Next::Option => {}
            }
            let input = greeting.input.get(..greeting.received).unwrap_or_default();
            let step = greeting
                .handshake
                .step(input, &*self.visit.0, &mut greeting.output)
                .map_err(End::Violation)?;
            match step {
                Step::More => {
                    // Once in a turn: who sends without an end does not keep the thread from others.
                    if busy || !greeting.receive(&self.socket, &mut self.readiness)? {
                        return Ok(busy);
                    }
                    busy = true;
                }
                Step::Used(used) => greeting.use_up(used),
                Step::Go(used, export) => {
                    greeting.use_up(used);
                    greeting.next = Next::Serve(export);
                }
                Step::End(used) => {
                    greeting.use_up(used);
                    greeting.next = Next::End;
                }
            }
        }
    }
}

impl Greeting {
    /// Sends what there is; whether all has gone.
    fn send(&mut self, socket: &Socket, readiness: &mut Readiness) -> Result<bool, End> {
        while let Some(rest) = self.output.get(self.sent..).filter(|rest| !rest.is_empty()) {
            if !readiness.writable {
                return Ok(false);
            }
            match socket.send(&[Piece::new(rest)]) {
                Ok(sent) => self.sent += sent,
                Err(Errno::EAGAIN) => readiness.writable = false,
                Err(Errno::EINTR) => {}
                // Who says goodbye need not wait for the answer.
                Err(_) if matches!(self.next, Next::End) => return Err(End::Done),
                Err(errno) => return Err(End::Broken(errno)),
            }
        }
        self.output.clear();
        self.sent = 0;
        Ok(true)
    }

    /// Receives more; whether anything came.
    fn receive(&mut self, socket: &Socket, readiness: &mut Readiness) -> Result<bool, End> {
        if !readiness.readable {
            return Ok(false);
        }
        let room = self.input.get_mut(self.received..).unwrap_or_default();
        match socket.receive(room, &mut []) {
            Ok(0) => Err(End::Done),
            Ok(received) => {
                self.received += received;
                Ok(true)
            }
            Err(Errno::EAGAIN) => {
                readiness.readable = false;
                Ok(false)
            }
            Err(Errno::EINTR) => Ok(true),
            Err(errno) => Err(End::Broken(errno)),
        }
    }

    fn use_up(&mut self, used: usize) {
        self.input.copy_within(used..self.received, 0);
        self.received -= used;
    }
}
