//! A request in flight.

use alloc::sync::Arc;
use core::task::Waker;

use barespdk::bdev::{BufIo, Io};
use barespdk::dma::DmaBuf;

use super::news::News;
use super::protocol::{REPLY_BYTES, Span};

/// How many requests of one connection are in flight at a time. Further ones wait in the socket.
pub(crate) const SLOTS_MAX: usize = 256;

/// What is under way for a request.
#[derive(Debug)]
pub(crate) enum Work {
    Nothing,
    Transfer(BufIo),
    Plain(Io),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    Other,
}

/// A request from its arrival until the last byte of its reply is sent.
///
/// ```text
///   free ──► filling (of a write) ──► working ──► flushing (FUA) ──► replying ──► free
/// ```
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) work: Work,
    pub(crate) buffer: Option<DmaBuf>,
    /// How many bytes of memory were lent for it.
    pub(crate) bytes: usize,
    pub(crate) cookie: u64,
    pub(crate) kind: Kind,
    /// What is to be written, once its data is there.
    pub(crate) span: Span,
    /// Whether `span` is to be flushed before the reply.
    pub(crate) flush: bool,
    pub(crate) reply: [u8; REPLY_BYTES],
    pub(crate) waker: Waker,
}

impl Slot {
    pub(crate) fn new(news: &Arc<News>, index: usize) -> Self {
        Self {
            work: Work::Nothing,
            buffer: None,
            bytes: 0,
            cookie: 0,
            kind: Kind::Other,
            span: Span {
                offset_blocks: 0,
                num_blocks: 0,
            },
            flush: false,
            reply: [0; REPLY_BYTES],
            waker: News::waker(news, index),
        }
    }
}
