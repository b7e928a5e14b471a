//! What goes to the client: replies, and the data of reads.

use barespdk::errno::Errno;

use super::{End, Readiness, Session};
use crate::nbd::protocol::{self, Error};
use crate::nbd::slot::Kind;
use crate::nbd::socket::{Piece, Socket};

/// How many replies are sent at a time, at most.
const REPLIES_MAX: usize = 64;

impl Session {
    /// Puts a reply into the outbox.
    #[inline]
    pub(super) fn complete(&mut self, index: usize, error: Error) {
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
    pub(super) fn send(&mut self, socket: &Socket, readiness: &mut Readiness) -> Result<bool, End> {
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
    pub(super) fn sent(&mut self, sent: usize) {
        let mut bytes = self.sent_bytes + sent;
        self.moved_bytes += sent;
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
            self.progress();
        }
        self.sent_bytes = bytes;
    }
}
