//! What comes from the client: requests, and the data of writes.

use barespdk::errno::Errno;

use super::{End, INPUT_BYTES, Pending, Readiness, Session};
use crate::nbd::protocol::{self, Command, Error, HEADER_BYTES, Header, Verdict};
use crate::nbd::slot::{Kind, Work};
use crate::nbd::socket::Socket;

/// How much is received behind the data of a large write, in bytes. It is likely to be the begin of
/// another one, whose data would have to be copied.
const INPUT_BEHIND_BYTES: usize = 4 << 10;

impl Session {
    /// Receives, and looks at what was received.
    pub(super) fn receive(
        &mut self,
        socket: &Socket,
        readiness: &mut Readiness,
    ) -> Result<bool, End> {
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
        self.moved_bytes += received;
        if let Pending::Data(index, _) = self.pending {
            self.pending = Pending::Data(index, filled + direct);
        }
        self.parse()?;
        Ok(true)
    }

    /// Looks at the input, until it is used up or has to wait; whether anything was done.
    pub(super) fn parse(&mut self) -> Result<bool, End> {
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
                    self.progress();
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
    pub(super) fn fill(&mut self, index: usize, filled: usize) -> bool {
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
        self.progress();
        self.advance(index);
        true
    }
}
