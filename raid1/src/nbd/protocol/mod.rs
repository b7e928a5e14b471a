//! The NBD protocol, fixed newstyle, as its specification (`doc/proto.md` of the NBD project) has it.
//!
//! Bytes in, values out, and back: no sockets, no bdevs, nothing that waits. All that a client says
//! goes through here, and none of it can do more than end its own connection.
//!
//! ```text
//!   Handshake::step ── options ──► Step::Go ──► Header::parse ── check ──► Verdict ──► reply
//! ```

mod handshake;
mod request;
#[cfg(test)]
mod tests;

pub(crate) use handshake::{Catalogue, GREETING, Handshake, INPUT_BYTES_MAX, Step};
pub(crate) use request::{
    Command, Geometry, HEADER_BYTES, Header, REPLY_BYTES, Span, Verdict, check, reply,
};

use core::fmt;

/// The most that one request may carry, either way, in bytes: what clients take for granted when they
/// have not been told.
pub(crate) const PAYLOAD_BYTES_MAX: u32 = 32 << 20;

/// The data of a write that is too long is skipped up to here, in bytes, so that its sender can be
/// told; beyond, the connection ends.
pub(crate) const DISCARD_BYTES_MAX: u32 = 64 << 20;

/// The longest name of an export, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 4096;

/// What a client did that ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// Flags that were not offered.
    ClientFlags(u32),
    /// No option, where one has to begin.
    OptionMagic(u64),
    /// An option with more data than anybody needs.
    OptionLength(u32),
    /// `NBD_OPT_EXPORT_NAME` of an export that is not there: there is no way to say so.
    ExportName,
    /// No request, where one has to begin.
    RequestMagic(u32),
    /// A write of more than [`DISCARD_BYTES_MAX`].
    WriteLength(u32),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::ClientFlags(flags) => write!(f, "unknown client flags {flags:#x}"),
            Violation::OptionMagic(magic) => write!(f, "{magic:#018x} where an option begins"),
            Violation::OptionLength(length) => write!(f, "an option of {length} bytes"),
            Violation::ExportName => f.write_str("no export of the name asked for"),
            Violation::RequestMagic(magic) => write!(f, "{magic:#010x} where a request begins"),
            Violation::WriteLength(length) => write!(f, "a write of {length} bytes"),
        }
    }
}

/// An error of one request, as the protocol numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Error(u32);

impl Error {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const PERM: Self = Self(1);
    pub(crate) const IO: Self = Self(5);
    pub(crate) const NOMEM: Self = Self(12);
    pub(crate) const INVAL: Self = Self(22);
    pub(crate) const NOSPC: Self = Self(28);
    pub(crate) const NOTSUP: Self = Self(95);
    pub(crate) const SHUTDOWN: Self = Self(108);
}

/// The bytes at `at`, as an array; zeroes where there are not so many.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes
        .get(at..)
        .and_then(|bytes| bytes.first_chunk())
        .copied()
        .unwrap_or([0; N])
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(array(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(array(bytes, at))
}
