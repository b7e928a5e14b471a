//! Connections that come in.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use barespdk::errno::Errno;
use barespdk::{log_error, log_warn};

use super::{LISTENER, Worker, adopt};
use crate::nbd::export::{CONNECTIONS_MAX, Place};
use crate::nbd::socket::Socket;

/// How many connections are accepted in one turn.
const ACCEPTS_MAX: usize = 16;

impl Worker {
    /// Accepts connections, and spreads them over the threads.
    #[cold]
    pub(super) fn accept(&mut self) {
        for at in 0..self.places.len() {
            let Some(watched) = self.places.get(at) else {
                return;
            };
            if !watched.is_armed {
                continue;
            }
            let place = Arc::clone(&watched.place);
            for _ in 0..ACCEPTS_MAX {
                match place.listener.accept() {
                    Ok(socket) => self.admit(&place, socket),
                    Err(Errno::EAGAIN) => break,
                    // The client has gone already, or a signal came.
                    Err(errno) if [libc::ECONNABORTED, libc::EINTR].contains(&errno.number()) => {}
                    Err(errno) => {
                        log_error!(
                            "nbd {}: no connection can be accepted for now: {errno}",
                            place.listener.address()
                        );
                        self.disarm(at);
                        break;
                    }
                }
            }
        }
    }

    fn admit(&self, place: &Arc<Place>, socket: Socket) {
        let Some(visit) = place.enter() else {
            if !place.is_full.swap(true, Ordering::Relaxed) {
                log_warn!(
                    "nbd {}: there are {CONNECTIONS_MAX} connections, the most there can be; further \
                     ones are refused",
                    place.listener.address()
                );
            }
            return;
        };
        let turn = self.next_worker.get();
        self.next_worker.set(turn.wrapping_add(1));
        let Some(worker) = place.workers.get(turn % place.workers.len().max(1)) else {
            return;
        };
        if let Err(error) = worker.send(move || adopt(socket, visit)) {
            log_error!("nbd: a connection was dropped: {}", error.errno);
        }
    }

    /// Stops asking for connections that cannot be accepted, which would be told again and again.
    fn disarm(&mut self, at: usize) {
        if let Some(watched) = self.places.get_mut(at) {
            self.watch.remove_listener(&watched.place.listener);
            watched.is_armed = false;
        }
    }

    /// Accepts connections again.
    pub(super) fn arm(&mut self) {
        for watched in self.places.iter_mut().filter(|watched| !watched.is_armed) {
            let token = LISTENER | watched.place.id;
            watched.is_armed = self
                .watch
                .add_listener(&watched.place.listener, token)
                .is_ok();
        }
    }
}
