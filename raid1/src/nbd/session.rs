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

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::Ordering;
use core::task::{Context, Poll};

use barespdk::bdev::{Channel, IoError, IoType, Status};
use barespdk::errno::Errno;

use super::export::Export;
use super::memory::{Lent, Memory};
use super::news::News;
use super::protocol::{
    self, Command, Error, Geometry, HEADER_BYTES, Header, PAYLOAD_BYTES_MAX, Verdict, Violation,
};
use super::slot::{Kind, SLOTS_MAX, Slot, Work};
use super::socket::{Piece, Socket};

/// How much is received at a time, in bytes, besides the data of a write.
const INPUT_BYTES: usize = 64 << 10;

/// How much is received behind the data of a large write, in bytes. It is likely to be the begin of
/// another one, whose data would have to be copied.
const INPUT_BEHIND_BYTES: usize = 4 << 10;

/// How many bytes of memory the requests of one connection hold, unless it is one request.
const LENT_BYTES_MAX: usize = PAYLOAD_BYTES_MAX as usize;

/// How many replies are sent at a time, at most.
const REPLIES_MAX: usize = 64;

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

    /// Receives, and looks at what was received.
    fn receive(&mut self, socket: &Socket, readiness: &mut Readiness) -> Result<bool, End> {
        // What is left is less than a request.
        if self.start > 0 {
            self.input.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let mut filled = 0;
        let (mut data, mut room): (&mut [u8], _) = (&mut [], self.input.len());
        if let Pending::Data(index, at) = self.pending
            && let Some(buffer) = self
                .slots
                .get_mut(index)
                .and_then(|slot| slot.buffer.as_mut())
        {
            filled = at;
            data = buffer.as_mut_slice().get_mut(at..).unwrap_or(&mut []);
            if data.len() >= INPUT_BYTES {
                room = INPUT_BEHIND_BYTES;
            }
        }
        let missing = data.len();
        let behind = self.input.get_mut(self.end..room).unwrap_or(&mut []);
        let wanted = missing + behind.len();
        let received = match socket.receive(data, behind) {
            Ok(0) => {
                self.is_ending = true;
                return Ok(true);
            }
            Ok(received) => received,
            Err(Errno::EAGAIN) => {
                readiness.readable = false;
                return Ok(false);
            }
            Err(Errno::EINTR) => return Ok(true),
            Err(errno) => return Err(End::Broken(errno)),
        };
        // Less than there was room for means that there is no more, for now.
        readiness.readable = received == wanted || readiness.hangup;
        let direct = received.min(missing);
        self.end += received - direct;
        if let Pending::Data(index, _) = self.pending {
            self.pending = Pending::Data(index, filled + direct);
        }
        self.parse()?;
        Ok(true)
    }

    /// Looks at the input, until it is used up or has to wait; whether anything was done.
    fn parse(&mut self) -> Result<bool, End> {
        let mut busy = false;
        loop {
            let available = self.end - self.start;
            match self.pending {
                Pending::Header => {
                    let here = self.input.get(self.start..self.end);
                    let Some(bytes) = here.and_then(<[u8]>::first_chunk::<HEADER_BYTES>) else {
                        return Ok(busy);
                    };
                    let header = Header::parse(bytes).map_err(End::Violation)?;
                    self.start += HEADER_BYTES;
                    let verdict =
                        protocol::check(&header, &self.geometry).map_err(End::Violation)?;
                    self.pending = match verdict {
                        Verdict::Disconnect => {
                            self.is_ending = true;
                            self.start = self.end;
                            return Ok(true);
                        }
                        Verdict::Do(Command::Write(_, length, _)) if self.is_shut => {
                            Pending::Refused(header.cookie, Error::SHUTDOWN, length)
                        }
                        Verdict::Do(_) if self.is_shut => {
                            Pending::Refused(header.cookie, Error::SHUTDOWN, 0)
                        }
                        Verdict::Do(command) => Pending::Parked(header.cookie, command),
                        Verdict::Refuse(error, skip) => {
                            Pending::Refused(header.cookie, error, skip)
                        }
                    };
                }
                Pending::Parked(cookie, command) => {
                    if !self.begin(cookie, command) {
                        return Ok(busy);
                    }
                }
                Pending::Refused(cookie, error, skip) if skip > 0 => {
                    let here = available.min(skip as usize);
                    if here == 0 {
                        return Ok(busy);
                    }
                    self.start += here;
                    self.pending = Pending::Refused(cookie, error, skip - here as u32);
                }
                Pending::Refused(cookie, error, _) => {
                    let Some(index) = self.take_slot(cookie, Kind::Other) else {
                        return Ok(busy);
                    };
                    self.pending = Pending::Header;
                    self.complete(index, error);
                }
                Pending::Data(index, filled) => {
                    if !self.fill(index, filled) {
                        return Ok(busy);
                    }
                }
            }
            busy = true;
        }
    }

    /// Copies data of a write that has arrived with its request; submits the write when all of it is
    /// there, and tells so.
    fn fill(&mut self, index: usize, filled: usize) -> bool {
        let Some(slot) = self.slots.get_mut(index) else {
            return false;
        };
        let Some(mut buffer) = slot.buffer.take() else {
            return false;
        };
        let here = self.input.get(self.start..self.end).unwrap_or_default();
        let missing = buffer.as_mut_slice().get_mut(filled..).unwrap_or_default();
        let copied = here.len().min(missing.len());
        let is_complete = copied == missing.len();
        missing
            .split_at_mut(copied)
            .0
            .copy_from_slice(here.split_at(copied).0);
        self.start += copied;
        if !is_complete {
            self.pending = Pending::Data(index, filled + copied);
            slot.buffer = Some(buffer);
            return copied > 0;
        }
        slot.work = Work::Transfer(self.channel.write_buf(buffer, slot.span.offset_blocks));
        self.pending = Pending::Header;
        self.advance(index);
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
            match self.memory.lend(length, self.align) {
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
                Ok(()) if core::mem::take(&mut slot.flush) => {
                    let span = slot.span;
                    let flush = self.channel.flush(span.offset_blocks, span.num_blocks);
                    slot.work = Work::Plain(flush);
                }
                Ok(()) => return self.complete(index, Error::NONE),
                Err(error) => return self.complete(index, error_of(error, self.is_shut)),
            }
        }
    }

    /// Puts a reply into the outbox.
    #[inline]
    fn complete(&mut self, index: usize, error: Error) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        slot.reply = protocol::reply(slot.cookie, error);
        let bytes = slot.bytes as u64;
        match slot.kind {
            _ if error != Error::NONE => self.tally.errors += 1,
            Kind::Read => {
                self.tally.reads += 1;
                self.tally.bytes_read += bytes;
            }
            Kind::Write => {
                self.tally.writes += 1;
                self.tally.bytes_written += bytes;
            }
            Kind::Other => self.tally.others += 1,
        }
        if slot.kind != Kind::Read || error != Error::NONE {
            slot.buffer = None;
            let bytes = core::mem::take(&mut slot.bytes);
            self.lent_bytes -= bytes;
            self.memory.returned(bytes);
        }
        self.outbox.push_back(index);
    }

    /// Sends replies; whether any went.
    fn send(&mut self, socket: &Socket, readiness: &mut Readiness) -> Result<bool, End> {
        let mut busy = false;
        while !self.outbox.is_empty() {
            let sent = {
                let mut pieces = [Piece::EMPTY; 2 * REPLIES_MAX];
                let mut count = 0;
                let mut skip = self.sent_bytes;
                for index in self.outbox.iter().take(REPLIES_MAX) {
                    let Some(slot) = self.slots.get(*index) else {
                        continue;
                    };
                    let data = slot
                        .buffer
                        .as_ref()
                        .map_or(&[][..], |buffer| buffer.as_slice());
                    for bytes in [&slot.reply[..], data] {
                        let cut = skip.min(bytes.len());
                        skip -= cut;
                        if let (Some(rest), Some(piece)) = (
                            bytes.get(cut..).filter(|rest| !rest.is_empty()),
                            pieces.get_mut(count),
                        ) {
                            *piece = Piece::new(rest);
                            count += 1;
                        }
                    }
                }
                socket.send(pieces.get(..count).unwrap_or_default())
            };
            match sent {
                Ok(sent) => {
                    busy = true;
                    self.sent(sent);
                }
                Err(Errno::EAGAIN) => {
                    readiness.writable = false;
                    break;
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(End::Broken(errno)),
            }
        }
        Ok(busy)
    }

    /// So many bytes have gone: frees the slots whose replies went with them.
    fn sent(&mut self, sent: usize) {
        let mut bytes = self.sent_bytes + sent;
        while let Some(index) = self.outbox.front().copied() {
            let Some(slot) = self.slots.get_mut(index) else {
                break;
            };
            let whole = slot.reply.len() + slot.buffer.as_ref().map_or(0, |buffer| buffer.len());
            if bytes < whole {
                break;
            }
            bytes -= whole;
            slot.buffer = None;
            let lent = core::mem::take(&mut slot.bytes);
            self.lent_bytes -= lent;
            self.memory.returned(lent);
            self.outbox.pop_front();
            self.free.push(index);
        }
        self.sent_bytes = bytes;
    }

    /// Adds what was done to the export's statistics.
    fn account(&mut self) {
        let tally = core::mem::take(&mut self.tally);
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
        self.memory.returned(self.lent_bytes);
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
