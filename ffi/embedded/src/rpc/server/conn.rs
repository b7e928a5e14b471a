//! One client.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use super::super::call::is_too_large;
use super::watch::Watch;
use crate::json::{Document, Failure, scan};

/// Longest request in bytes, with what the client sent ahead of its turn.
const RECEIVED_MAX: usize = 32 << 10;
/// A client with as many bytes of responses unread is not read from.
const UNREAD_MAX: usize = 1 << 20;

/// A client that waits for as many answers is not read from.
const OUTSTANDING_MAX: usize = 1024;

/// What a client has sent.
pub(in crate::rpc) enum Input {
    /// Nothing whole.
    Nothing,
    /// A value, and the text that begins with it.
    Request(Document, Vec<u8>),
    /// Something that is no JSON. It is the last that comes: where the next request would begin
    /// cannot be told.
    NoJson,
}

#[derive(Debug)]
pub(in crate::rpc) struct Conn {
    pub(in crate::rpc) number: u64,
    /// Before the stream that it watches, so that it goes first.
    watch: Option<Watch>,
    stream: UnixStream,
    received: Vec<u8>,
    responses: VecDeque<Vec<u8>>,
    /// Bytes of the first response that are sent.
    sent: usize,
    unread: usize,
    /// Requests not answered yet.
    outstanding: usize,
    /// Whether the client sends no more, or is not listened to any more.
    deaf: bool,
    /// Whether the connection does not work any more.
    broken: bool,
}

impl Conn {
    pub(in crate::rpc) fn new(number: u64, stream: UnixStream) -> Self {
        Self {
            number,
            watch: None,
            stream,
            received: Vec::new(),
            responses: VecDeque::new(),
            sent: 0,
            unread: 0,
            outstanding: 0,
            deaf: false,
            broken: false,
        }
    }

    /// Whether there is nothing to do any more, so that it can be closed.
    pub(in crate::rpc) fn is_done(&self) -> bool {
        self.broken || self.deaf && self.outstanding == 0 && self.responses.is_empty()
    }

    fn listens(&self) -> bool {
        !self.deaf
            && !self.broken
            && self.unread <= UNREAD_MAX
            && self.outstanding < OUTSTANDING_MAX
    }

    /// Sees to it that we are woken when the client sends something, if that is `wanted`. Tells
    /// whether polling is needed: for what the socket does not take yet, or if nothing wakes us.
    pub(super) fn settle(&mut self, wanted: bool) -> bool {
        let listens = wanted && self.listens();
        Watch::set(&mut self.watch, listens, &self.stream);
        listens && self.watch.is_none() || !self.responses.is_empty()
    }

    /// Takes what the client has sent. Tells whether that was something.
    pub(in crate::rpc) fn receive(&mut self) -> bool {
        if !self.listens() {
            return false;
        }
        let before = self.received.len();
        if before == RECEIVED_MAX {
            // Full, and no request: SPDK hangs up too.
            self.deaf = true;
            return true;
        }
        self.received.resize(RECEIVED_MAX, 0);
        let outcome = self.stream.read(&mut self.received[before..]);
        let count = *outcome.as_ref().unwrap_or(&0);
        self.received.truncate(before + count);
        match outcome {
            Ok(0) => self.deaf = true,
            Ok(_) => (),
            Err(error) if is_transient(error.kind()) => return false,
            Err(_) => self.broken = true,
        }
        true
    }

    /// The next of what has been received.
    pub(in crate::rpc) fn next_input(&mut self) -> Input {
        if self.received.is_empty() || self.broken {
            return Input::Nothing;
        }
        let document = match scan(&self.received, false) {
            Ok(document) if !is_too_large(&document) => document,
            Err(fault) if fault.failure == Failure::Incomplete => return Input::Nothing,
            _ => {
                self.received.clear();
                self.deaf = true;
                self.outstanding += 1;
                return Input::NoJson;
            }
        };
        self.outstanding += 1;
        let rest = self.received.split_off(document.end);
        let text = std::mem::replace(&mut self.received, rest);
        Input::Request(document, text)
    }

    /// Queues the response to a request; an empty one only ends the request.
    pub(in crate::rpc) fn answered(&mut self, text: Vec<u8>) {
        self.outstanding = self.outstanding.saturating_sub(1);
        if !text.is_empty() {
            self.unread += text.len();
            self.responses.push_back(text);
        }
    }

    /// Sends as much as the socket takes. Tells whether that was something.
    pub(in crate::rpc) fn send(&mut self) -> bool {
        let mut busy = false;
        while let Some(response) = self.responses.front() {
            if self.broken {
                break;
            }
            match self.stream.write(&response[self.sent..]) {
                Ok(count) => {
                    busy = true;
                    self.sent += count;
                    self.unread = self.unread.saturating_sub(count);
                    if self.sent >= response.len() {
                        self.responses.pop_front();
                        self.sent = 0;
                    }
                }
                Err(error) if is_transient(error.kind()) => break,
                Err(_) => self.broken = true,
            }
        }
        busy
    }
}

fn is_transient(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
