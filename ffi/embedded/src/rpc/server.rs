//! The server: a unix socket with its clients, polled on the app thread.
//!
//! ```text
//!   accept ──► Conn: text in ──► requests, one after the other ──► registry
//!                 ▲   text out ◄── responses, in the order they come
//!                 └─ closed: by the client, by what it sends, or by us
//! ```
//!
//! A client that breaks a rule loses its connection and nothing else does. A response whose client
//! has left is dropped. A client that sends but does not read is not read from either.

pub(super) mod conn;
mod listen;
mod watch;

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use barespdk_sys::{
    SPDK_POLLER_BUSY, SPDK_POLLER_IDLE, spdk_poller, spdk_poller_pause, spdk_poller_register_named,
    spdk_poller_resume, spdk_poller_unregister,
};

use super::call;
use super::request::Sink;
use conn::{Conn, Input};
pub(crate) use listen::ListenError;
use listen::Listener;
use watch::Watch;

/// How often the sockets are looked at, where nothing wakes us for them.
const PERIOD_US: u64 = 4000;
/// Most clients at a time; more wait in the backlog.
const CONNS_MAX: usize = 64;

struct Server {
    /// Before what it watches, so that it goes first.
    watch: Option<Watch>,
    listener: Listener,
    conns: Vec<Conn>,
    next_number: u64,
    /// Whether clients wait until this changes.
    paused: bool,
    poller: *mut spdk_poller,
}

// SAFETY: the poller and the watches are used on the app thread alone; the rest is plain.
unsafe impl Send for Server {}

impl Server {
    /// Forgets clients that are done, and sees to it that we are woken for what comes next: by the
    /// descriptors, or by the poller where they cannot. On the app thread.
    fn settle(&mut self) {
        self.conns.retain(|conn| !conn.is_done());
        let listens = !self.paused && self.conns.len() < CONNS_MAX;
        Watch::set(&mut self.watch, listens, &self.listener);
        let mut polls = listens && self.watch.is_none();
        for conn in &mut self.conns {
            polls |= conn.settle(!self.paused);
        }
        if polls {
            // SAFETY: a live poller of this thread.
            unsafe { spdk_poller_resume(self.poller) };
        } else {
            // SAFETY: as above.
            unsafe { spdk_poller_pause(self.poller) };
        }
    }
}

/// The server while there is one. Used on the app thread alone; the lock is never held while a
/// handler runs.
static SERVER: Mutex<Option<Server>> = Mutex::new(None);

fn server() -> MutexGuard<'static, Option<Server>> {
    SERVER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the server at the path of a unix socket. On the app thread.
pub(crate) fn listen(path: &str) -> Result<(), ListenError> {
    let listener = Listener::bind(path)?;
    // SAFETY: on the app thread, by our contract. The function takes no context.
    let poller = unsafe {
        spdk_poller_register_named(
            Some(poll),
            ptr::null_mut(),
            PERIOD_US,
            c"rpc_subsystem_poll_servers".as_ptr(),
        )
    };
    let mut new = Server {
        watch: None,
        listener,
        conns: Vec::new(),
        next_number: 0,
        paused: false,
        poller,
    };
    new.settle();
    *server() = Some(new);
    Ok(())
}

/// Lets clients wait: requests stay in the sockets.
pub(crate) fn pause() {
    if let Some(server) = &mut *server() {
        server.paused = true;
        server.settle();
    }
}

/// Takes requests again.
pub(crate) fn resume() {
    if let Some(server) = &mut *server() {
        server.paused = false;
        server.settle();
    }
}

/// Ends the server; responses to come are dropped. On the app thread.
pub(crate) fn shutdown() {
    let ended = server().take();
    if let Some(mut ended) = ended {
        // What is answered already and fits into the socket still arrives, as the answer to the
        // request that led here.
        for conn in &mut ended.conns {
            let _ = conn.send();
        }
        // SAFETY: registered by `listen` on this thread, and unregistered here alone.
        unsafe { spdk_poller_unregister(&raw mut ended.poller) };
    }
}

/// Sends a response to a client, if it is still there. Empty for a request that wants none.
pub(super) fn respond(client: u64, text: Vec<u8>) {
    if let Some(server) = &mut *server()
        && let Some(conn) = server.conns.iter_mut().find(|conn| conn.number == client)
    {
        conn.answered(text);
        conn.send();
        server.settle();
    }
}

unsafe extern "C" fn poll(_: *mut c_void) -> c_int {
    if poll_once() {
        SPDK_POLLER_BUSY as c_int
    } else {
        SPDK_POLLER_IDLE as c_int
    }
}

/// Looks at all sockets once. Tells whether there was something to do.
fn poll_once() -> bool {
    let mut busy = false;
    let clients: Vec<u64> = {
        let mut server = server();
        let Some(server) = server.as_mut().filter(|server| !server.paused) else {
            return false;
        };
        while server.conns.len() < CONNS_MAX
            && let Some(stream) = server.listener.accept()
        {
            busy = true;
            server.next_number += 1;
            server.conns.push(Conn::new(server.next_number, stream));
        }
        server.conns.iter().map(|conn| conn.number).collect()
    };
    for client in clients {
        busy |= poll_client(client);
    }
    if let Some(server) = &mut *server() {
        server.settle();
    }
    busy
}

/// Runs what may change the server or end it: each step looks for the client again.
fn poll_client(client: u64) -> bool {
    let with_conn = |use_conn: &mut dyn FnMut(&mut Conn) -> bool| {
        let mut server = server();
        let server = server.as_mut().filter(|server| !server.paused);
        let conns = server.map(|server| &mut server.conns);
        let conn = conns.and_then(|conns| conns.iter_mut().find(|conn| conn.number == client));
        conn.is_some_and(use_conn)
    };
    let mut busy = with_conn(&mut |conn| {
        let sent = conn.send();
        conn.receive() || sent
    });
    loop {
        let mut input = Input::Nothing;
        with_conn(&mut |conn| {
            input = conn.next_input();
            true
        });
        let sink = Sink::Client(client);
        match input {
            Input::Nothing => break,
            Input::Request(document, text) => call::take(&document, &text, sink),
            Input::NoJson => call::refuse(sink),
        }
        busy = true;
    }
    busy
}
