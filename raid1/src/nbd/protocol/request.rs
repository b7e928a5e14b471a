//! The transmission phase: requests, whether they may be, and replies.

use super::{DISCARD_BYTES_MAX, Error, PAYLOAD_BYTES_MAX, Violation, u16_at, u32_at, u64_at};

/// The length of a request without its data.
pub(crate) const HEADER_BYTES: usize = 28;

/// The length of a reply without its data.
pub(crate) const REPLY_BYTES: usize = 16;

const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;

const CMD_READ: u16 = 0;
const CMD_WRITE: u16 = 1;
const CMD_DISC: u16 = 2;
const CMD_FLUSH: u16 = 3;
const CMD_TRIM: u16 = 4;
const CMD_WRITE_ZEROES: u16 = 6;

const CMD_FLAG_FUA: u16 = 1 << 0;
const CMD_FLAG_NO_HOLE: u16 = 1 << 1;

/// `NBD_FLAG_*`: what is said of an export.
mod flag {
    pub(super) const HAS_FLAGS: u16 = 1 << 0;
    pub(super) const READ_ONLY: u16 = 1 << 1;
    pub(super) const SEND_FLUSH: u16 = 1 << 2;
    pub(super) const SEND_FUA: u16 = 1 << 3;
    pub(super) const SEND_TRIM: u16 = 1 << 5;
    pub(super) const SEND_WRITE_ZEROES: u16 = 1 << 6;
    pub(super) const CAN_MULTI_CONN: u16 = 1 << 8;
}

/// What there is to know of an export to judge its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) num_blocks: u64,
    /// Bytes per block, a power of two: the unit of offsets and lengths.
    pub(crate) block_size: u32,
    /// The size that suits the device, in bytes: a power of two, at least `block_size`.
    pub(crate) block_preferred: u32,
    pub(crate) read_only: bool,
    pub(crate) can_trim: bool,
}

impl Geometry {
    /// The size of the export in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.num_blocks.saturating_mul(self.block_size.into())
    }

    /// What the client is told that it may do. Flushing is always offered: where the bdev has no
    /// volatile cache it is done at once. All connections see one bdev, hence `CAN_MULTI_CONN`.
    pub(crate) fn transmission_flags(&self) -> u16 {
        let mut flags = flag::HAS_FLAGS | flag::SEND_FLUSH | flag::SEND_FUA | flag::CAN_MULTI_CONN;
        if self.read_only {
            return flags | flag::READ_ONLY;
        }
        flags |= flag::SEND_WRITE_ZEROES;
        if self.can_trim {
            flags |= flag::SEND_TRIM;
        }
        flags
    }
}

/// A request, before anything of it but its begin was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) flags: u16,
    pub(crate) kind: u16,
    /// What the reply has to say again.
    pub(crate) cookie: u64,
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

impl Header {
    #[inline]
    pub(crate) fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Violation> {
        let magic = u32_at(bytes, 0);
        if magic != REQUEST_MAGIC {
            return Err(Violation::RequestMagic(magic));
        }
        Ok(Self {
            flags: u16_at(bytes, 4),
            kind: u16_at(bytes, 6),
            cookie: u64_at(bytes, 8),
            offset: u64_at(bytes, 16),
            length: u32_at(bytes, 24),
        })
    }

    /// How many bytes of data follow.
    fn payload(&self) -> u32 {
        if self.kind == CMD_WRITE {
            self.length
        } else {
            0
        }
    }
}

/// A range of the export: inside of it, in whole blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) offset_blocks: u64,
    pub(crate) num_blocks: u64,
}

/// What is to be done. With `fua`, on the medium before the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Read(Span, u32),
    Write(Span, u32, bool),
    Flush,
    Trim(Span, bool),
    WriteZeroes(Span, bool),
    /// A request of no bytes: there is nothing to do but to say so.
    Nothing,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Do(Command),
    /// The client is told; as many bytes of data are to be skipped first.
    Refuse(Error, u32),
    /// The client says goodbye: no reply, and nothing is read after it.
    Disconnect,
}

/// Judges a request.
#[inline]
pub(crate) fn check(header: &Header, geometry: &Geometry) -> Result<Verdict, Violation> {
    let payload = header.payload();
    if payload > DISCARD_BYTES_MAX {
        return Err(Violation::WriteLength(payload));
    }
    if header.kind == CMD_DISC {
        return Ok(Verdict::Disconnect);
    }
    Ok(match command(header, geometry) {
        Ok(command) => Verdict::Do(command),
        Err(error) => Verdict::Refuse(error, payload),
    })
}

#[inline]
fn command(header: &Header, geometry: &Geometry) -> Result<Command, Error> {
    let known = match header.kind {
        CMD_READ | CMD_WRITE | CMD_FLUSH | CMD_TRIM => CMD_FLAG_FUA,
        CMD_WRITE_ZEROES => CMD_FLAG_FUA | CMD_FLAG_NO_HOLE,
        _ => return Err(Error::INVAL),
    };
    if header.flags & !known != 0 {
        return Err(Error::INVAL);
    }
    let fua = header.flags & CMD_FLAG_FUA != 0;
    if header.kind == CMD_FLUSH {
        return match (header.offset, header.length) {
            (0, 0) => Ok(Command::Flush),
            _ => Err(Error::INVAL),
        };
    }
    if header.kind != CMD_READ && geometry.read_only {
        return Err(Error::PERM);
    }
    if header.kind == CMD_TRIM && !geometry.can_trim {
        return Err(Error::INVAL);
    }
    if matches!(header.kind, CMD_READ | CMD_WRITE) && header.length > PAYLOAD_BYTES_MAX {
        return Err(Error::INVAL);
    }
    let span = span(header, geometry)?;
    if header.length == 0 {
        return Ok(Command::Nothing);
    }
    Ok(match header.kind {
        CMD_READ => Command::Read(span, header.length),
        CMD_WRITE => Command::Write(span, header.length, fua),
        CMD_TRIM => Command::Trim(span, fua),
        _ => Command::WriteZeroes(span, fua),
    })
}

#[inline]
fn span(header: &Header, geometry: &Geometry) -> Result<Span, Error> {
    let length = u64::from(header.length);
    let is_inside = header
        .offset
        .checked_add(length)
        .is_some_and(|end| end <= geometry.size());
    if !is_inside {
        return Err(match header.kind {
            CMD_WRITE | CMD_WRITE_ZEROES => Error::NOSPC,
            _ => Error::INVAL,
        });
    }
    // A power of two, so that the division is none.
    let shift = geometry.block_size.trailing_zeros();
    if (header.offset | length) & (u64::from(geometry.block_size) - 1) != 0 {
        return Err(Error::INVAL);
    }
    Ok(Span {
        offset_blocks: header.offset >> shift,
        num_blocks: length >> shift,
    })
}

/// A reply, without data.
#[inline]
pub(crate) fn reply(cookie: u64, error: Error) -> [u8; REPLY_BYTES] {
    let mut bytes = [0; REPLY_BYTES];
    let (magic, rest) = bytes.split_at_mut(4);
    let (number, handle) = rest.split_at_mut(4);
    magic.copy_from_slice(&REPLY_MAGIC.to_be_bytes());
    number.copy_from_slice(&error.0.to_be_bytes());
    handle.copy_from_slice(&cookie.to_be_bytes());
    bytes
}
