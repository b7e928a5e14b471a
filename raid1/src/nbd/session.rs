//! A connection in the transmission phase.
//!
//! ```text
//!   socket ──readv──► input ──► parse ──► slot: bdev I/O ──► news ──► outbox ──sendmsg──► socket
//!               └────► buffer of a write                                └ many replies at once
//! ```
//!
//! Many requests are taken by one `readv`, and many replies sent by one `sendmsg`. Data goes between the
//! socket and the buffer of its I/O directly, but for what of a write has arrived together with its
//! request. Where slots or memory run out, nothing more is read: the client waits in its own socket.

mod input;
mod output;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::sync::atomic::Ordering;
use core::task::{Context, Poll};

use barespdk::bdev::{Channel, IoError, IoType, Status};
use barespdk::errno::Errno;

use super::export::Export;
use super::memory::{Lent, Memory};
use super::news::News;
use super::orphans::Orphans;
use super::protocol::{Command, Error, Geometry, Violation};
use super::slot::{Kind, SLOTS_MAX, Slot, Work};
use super::socket::Socket;

/// How much is received at a time, in bytes, besides the data of a write.
const INPUT_BYTES: usize = 64 << 10;

/// How many bytes of memory the requests of one connection hold, unless it is one request.
const LENT_BYTES_MAX: usize = 8 << 20;

/// What comes or goes with less than a request or a reply counts as progress when it is so much, in
/// bytes: single bytes do not keep a connection alive.
const PROGRESS_BYTES: usize = 64 << 10;

/// Why a session is over.
#[derive(Debug)]
pub(crate) enum End {
    /// The client has said goodbye, or has gone, or was told to go, and all is done.
    Done,
    /// The connection is broken.
    Broken(Errno),
    /// The client has broken the rules.
    Violation(Violation),
}

/// What is to be made of the input.
#[derive(Clone, Copy, Debug)]
enum Pending {
    /// A request begins.
    Header,
    /// A request waits for a slot, or for memory. Nothing behind it is looked at.
    Parked(u64, Command),
    /// An error that waits for a slot, behind data to be skipped.
    Refused(u64, Error, u32),
    /// So many bytes of a write's data are there.
    Data(usize, usize),
}

/// Whether the socket can be read from, or written to, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// Nothing will be sent any more, so that it is not enough to read less than there was room for.
    pub(crate) hangup: bool,
}

/// Counts what is not yet in the statistics of the export.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    reads: u64,
    writes: u64,
    others: u64,
    bytes_read: u64,
    bytes_written: u64,
    errors: u64,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) export: Arc<Export>,
    channel: Channel,
    geometry: Geometry,
    can_flush: bool,
    align: usize,
    memory: Rc<Memory>,
    news: Arc<News>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// Slots whose replies wait to be sent, or are being sent.
    outbox: VecDeque<usize>,
    /// How much of the first reply is sent.
    sent_bytes: usize,
    input: Box<[u8]>,
    /// What of the input was received, and not looked at.
    start: usize,
    end: usize,
    pending: Pending,
    lent_bytes: usize,
    /// Nothing more is received.
    is_ending: bool,
    /// The export stops: requests are refused.
    is_shut: bool,
    /// How many bytes have come or gone since the last request or reply did, and whether one did.
    moved_bytes: usize,
    has_progress: bool,
    tally: Tally,
}

impl Session {
    /// `input` is what the client has sent behind the handshake.
    pub(crate) fn new(
        export: Arc<Export>,
        channel: Channel,
        memory: Rc<Memory>,
        early: &[u8],
    ) -> Self {
        let statistics = &export.statistics;
        statistics.connections.fetch_add(1, Ordering::Relaxed);
        statistics.connections_total.fetch_add(1, Ordering::Relaxed);
        let mut input = vec![0; INPUT_BYTES.max(early.len())].into_boxed_slice();
        input.split_at_mut(early.len()).0.copy_from_slice(early);
        Self {
            geometry: export.geometry(),
            can_flush: !export.read_only && export.desc.supports(IoType::FLUSH),
            align: export.desc.buf_align().max(1),
            export,
            channel,
            memory,
            news: Arc::default(),
            slots: Vec::new(),
            free: Vec::with_capacity(SLOTS_MAX),
            outbox: VecDeque::with_capacity(SLOTS_MAX),
            sent_bytes: 0,
            input,
            start: 0,
            end: early.len(),
            pending: Pending::Header,
            lent_bytes: 0,
            is_ending: false,
            is_shut: false,
            moved_bytes: 0,
            has_progress: true,
            tally: Tally::default(),
        }
    }

    /// The export stops: what is in flight is finished, what comes is refused, then the session ends.
    pub(crate) fn shut(&mut self) {
        self.is_shut = true;
        self.is_ending = true;
    }

    /// Whether a client owes the rest of a request, or has to take replies, for this not to stand
    /// still.
    pub(crate) fn waits_for_client(&self) -> bool {
        !self.outbox.is_empty()
            || self.start != self.end
            || !matches!(self.pending, Pending::Header)
    }

    /// Whether there is anything to be done without news from the socket.
    #[inline]
    pub(crate) fn is_hot(&self, readiness: Readiness) -> bool {
        self.is_working()
            || self.start != self.end
            || (readiness.writable && !self.outbox.is_empty())
            || self.is_parked()
            || self.is_ending
            || readiness.readable
    }

    /// Whether the requests hold memory that others may wait for.
    pub(crate) fn holds_memory(&self) -> bool {
        self.lent_bytes > 0
    }

    /// Whether the client has done anything of use since this was last asked.
    #[inline]
    pub(crate) fn take_progress(&mut self) -> bool {
        if self.moved_bytes >= PROGRESS_BYTES {
            self.progress();
        }
        mem::take(&mut self.has_progress)
    }

    /// A request has come, or the data of one, or a reply has gone.
    #[inline]
    fn progress(&mut self) {
        self.moved_bytes = 0;
        self.has_progress = true;
    }

    /// Whether there are replies to be sent.
    pub(crate) fn has_replies(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Whether I/O is in flight.
    #[inline]
    pub(crate) fn is_working(&self) -> bool {
        // What is being filled is neither sent nor in flight.
        let is_filling = matches!(self.pending, Pending::Data(..));
        let waiting = self.outbox.len() + usize::from(is_filling);
        self.slots.len() - self.free.len() > waiting
    }

    fn is_parked(&self) -> bool {
        matches!(
            self.pending,
            Pending::Parked(..) | Pending::Refused(_, _, 0)
        )
    }

    /// Does what can be done now; whether that was anything.
    ///
    /// # Errors
    /// The session is over.
    #[inline]
    pub(crate) fn run(&mut self, socket: &Socket, readiness: &mut Readiness) -> Result<bool, End> {
        let mut busy = self.collect();
        if !self.outbox.is_empty() && readiness.writable {
            busy |= self.send(socket, readiness)?;
        }
        if self.is_parked() {
            busy |= self.parse()?;
        }
        if readiness.readable && !self.is_ending && !self.is_parked() {
            busy |= self.receive(socket, readiness)?;
        } else if self.start != self.end {
            busy |= self.parse()?;
        }
        if busy {
            self.account();
        }
        // What is being filled will never be full.
        if self.is_ending && self.outbox.is_empty() && !self.is_parked() && !self.is_working() {
            return Err(End::Done);
        }
        Ok(busy)
    }

    /// Looks after I/O that has ended.
    #[inline]
    fn collect(&mut self) -> bool {
        if !self.news.any() {
            return false;
        }
        let news = Arc::clone(&self.news);
        news.drain(|index| self.advance(index));
        true
    }

    /// Begins what a request asks for; `false` where that has to wait.
    #[inline]
    fn begin(&mut self, cookie: u64, command: Command) -> bool {
        if self.free.is_empty() && self.slots.len() >= SLOTS_MAX {
            return false;
        }
        let (kind, length, skip) = match command {
            Command::Read(_, length) => (Kind::Read, length as usize, 0),
            Command::Write(_, length, _) => (Kind::Write, length as usize, length),
            _ => (Kind::Other, 0, 0),
        };
        let buffer = if length == 0 {
            None
        } else if self.lent_bytes > 0 && self.lent_bytes + length > LENT_BYTES_MAX {
            return false;
        } else {
            match self.memory.lend(length, self.align, self.lent_bytes == 0) {
                Lent::Buffer(buffer) => Some(buffer),
                Lent::Later => return false,
                Lent::Never => {
                    self.pending = Pending::Refused(cookie, Error::NOMEM, skip);
                    return true;
                }
            }
        };
        self.lent_bytes += length;
        let Some(index) = self.take_slot(cookie, kind) else {
            return false;
        };
        let channel = &self.channel;
        let Some(slot) = self.slots.get_mut(index) else {
            return false;
        };
        slot.bytes = length;
        self.pending = Pending::Header;
        match (command, buffer) {
            (Command::Read(span, _), Some(buffer)) => {
                slot.work = Work::Transfer(channel.read_buf(buffer, span.offset_blocks));
            }
            (Command::Write(span, _, fua), Some(buffer)) => {
                slot.buffer = Some(buffer);
                slot.span = span;
                slot.flush = fua && self.can_flush;
                self.pending = Pending::Data(index, 0);
                return true;
            }
            (Command::Flush, _) if self.can_flush => {
                slot.work = Work::Plain(channel.flush(0, self.geometry.num_blocks));
            }
            (Command::Trim(span, fua), _) => {
                slot.span = span;
                slot.flush = fua && self.can_flush;
                slot.work = Work::Plain(channel.unmap(span.offset_blocks, span.num_blocks));
            }
            (Command::WriteZeroes(span, fua), _) => {
                slot.span = span;
                slot.flush = fua && self.can_flush;
                slot.work = Work::Plain(channel.write_zeroes(span.offset_blocks, span.num_blocks));
            }
            _ => {
                self.complete(index, Error::NONE);
                return true;
            }
        }
        self.advance(index);
        true
    }

    /// A slot for a request, if there is one more.
    #[inline]
    fn take_slot(&mut self, cookie: u64, kind: Kind) -> Option<usize> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() < SLOTS_MAX => {
                self.slots.push(Slot::new(&self.news, self.slots.len()));
                self.slots.len() - 1
            }
            None => return None,
        };
        let slot = self.slots.get_mut(index)?;
        slot.cookie = cookie;
        slot.kind = kind;
        slot.flush = false;
        Some(index)
    }

    /// Asks how far a slot's I/O is, and does what comes next.
    #[inline]
    fn advance(&mut self, index: usize) {
        loop {
            let Some(slot) = self.slots.get_mut(index) else {
                return;
            };
            let mut context = Context::from_waker(&slot.waker);
            let outcome = match &mut slot.work {
                Work::Nothing => return,
                Work::Transfer(io) => match Pin::new(io).poll(&mut context) {
                    Poll::Pending => return,
                    Poll::Ready((outcome, buffer)) => {
                        slot.buffer = buffer;
                        outcome
                    }
                },
                Work::Plain(io) => match Pin::new(io).poll(&mut context) {
                    Poll::Pending => return,
                    Poll::Ready(outcome) => outcome,
                },
            };
            slot.work = Work::Nothing;
            match outcome {
                Ok(()) if mem::take(&mut slot.flush) => {
                    let span = slot.span;
                    let flush = self.channel.flush(span.offset_blocks, span.num_blocks);
                    slot.work = Work::Plain(flush);
                }
                Ok(()) => return self.complete(index, Error::NONE),
                Err(error) => return self.complete(index, error_of(error, self.is_shut)),
            }
        }
    }

    /// Adds what was done to the export's statistics.
    fn account(&mut self) {
        let tally = mem::take(&mut self.tally);
        let statistics = &self.export.statistics;
        for (total, count) in [
            (&statistics.reads, tally.reads),
            (&statistics.writes, tally.writes),
            (&statistics.others, tally.others),
            (&statistics.bytes_read, tally.bytes_read),
            (&statistics.bytes_written, tally.bytes_written),
            (&statistics.errors, tally.errors),
        ] {
            if count > 0 {
                total.fetch_add(count, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.account();
        // What is in flight keeps its memory until it is over, but is not waited for.
        let orphans = Orphans::of(Arc::clone(&self.news), mem::take(&mut self.slots));
        self.memory.returned(self.lent_bytes - orphans.bytes());
        self.memory.adopt(orphans);
        self.export
            .statistics
            .connections
            .fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the client is told of an I/O that was not done.
#[cold]
fn error_of(error: IoError, is_shut: bool) -> Error {
    match error {
        IoError::Failed(Status::Aborted) if is_shut => Error::SHUTDOWN,
        IoError::Failed(_) => Error::IO,
        IoError::Submit(Errno::ENOMEM) => Error::NOMEM,
        IoError::Submit(Errno::EINVAL) => Error::INVAL,
        IoError::Submit(Errno::ENOTSUP) => Error::NOTSUP,
        IoError::Submit(Errno::EPERM) => Error::PERM,
        IoError::Submit(Errno::ENODEV | Errno::ESHUTDOWN) => Error::SHUTDOWN,
        IoError::Submit(_) => Error::IO,
    }
}
