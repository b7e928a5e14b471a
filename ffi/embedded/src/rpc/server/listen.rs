//! The socket that clients connect to, and the lock that makes it ours.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

/// Clients that may wait for us to take them.
const BACKLOG: libc::c_int = 512;

/// Why there is no server.
#[derive(Debug)]
pub(crate) enum ListenError {
    /// There is no path.
    Empty,
    /// The path does not fit into an address: its bytes, and how many do.
    TooLong(usize, usize),
    /// The lock file cannot be opened.
    Lock(PathBuf, io::Error),
    /// Another process has the lock.
    InUse(String),
    /// The socket cannot be made.
    Socket(String, io::Error),
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the path of the RPC socket is empty"),
            Self::TooLong(len, max) => write!(
                f,
                "the path of the RPC socket has {len} bytes, which is more than the {max} of an \
                 address"
            ),
            Self::Lock(path, error) => {
                write!(f, "cannot open the lock file {}: {error}", path.display())
            }
            Self::InUse(path) => write!(
                f,
                "the RPC socket {path} is in use by another process; give another with -r"
            ),
            Self::Socket(path, error) => write!(f, "cannot listen at {path}: {error}"),
        }
    }
}

/// A socket, its path and its lock; all gone when dropped.
#[derive(Debug)]
pub(super) struct Listener {
    socket: UnixListener,
    path: PathBuf,
    lock_path: PathBuf,
    /// Holds the lock as long as it is open.
    _lock: File,
}

impl Listener {
    pub(super) fn bind(path: &str) -> Result<Self, ListenError> {
        let address = address(path)?;
        let lock_path = PathBuf::from(format!("{path}.lock"));
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|error| ListenError::Lock(lock_path.clone(), error))?;
        // SAFETY: an open file; no memory is involved.
        if unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
            return Err(ListenError::InUse(path.into()));
        }
        // The lock is ours, so whoever left a socket here is gone.
        let _ = fs::remove_file(path);
        let socket = bound(&address).map_err(|error| {
            let _ = fs::remove_file(&lock_path);
            ListenError::Socket(path.into(), error)
        })?;
        Ok(Self {
            socket,
            path: path.into(),
            lock_path,
            _lock: lock,
        })
    }

    /// A client that waits, if there is one.
    pub(super) fn accept(&self) -> Option<UnixStream> {
        let (stream, _) = self.socket.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some(stream)
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // What cannot be removed is in nobody's way: the next server replaces it.
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.lock_path);
    }
}

fn address(path: &str) -> Result<libc::sockaddr_un, ListenError> {
    let mut address = libc::sockaddr_un {
        sun_family: libc::AF_UNIX as libc::sa_family_t,
        sun_path: [0; 108],
    };
    if path.is_empty() {
        // It would become an address that nobody knows.
        return Err(ListenError::Empty);
    }
    let len_max = address.sun_path.len() - 1;
    if path.len() > len_max {
        return Err(ListenError::TooLong(path.len(), len_max));
    }
    for (to, from) in address.sun_path.iter_mut().zip(path.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(address)
}

/// A socket at an address, with mode 0600 from the beginning.
fn bound(address: &libc::sockaddr_un) -> io::Result<UnixListener> {
    let check = |code: libc::c_int| match code {
        -1 => Err(io::Error::last_os_error()),
        code => Ok(code),
    };
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: takes numbers only.
    let fd = check(unsafe { libc::socket(libc::AF_UNIX, kind, 0) })?;
    // SAFETY: just opened, and owned by nothing else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // The file that `bind` makes gets the mode that the socket has then: nobody else can connect
    // before it is set.
    // SAFETY: an open socket.
    check(unsafe { libc::fchmod(fd, 0o600) })?;
    let len = size_of_val(address) as libc::socklen_t;
    // SAFETY: the address has the length that is given.
    check(unsafe { libc::bind(fd, std::ptr::from_ref(address).cast(), len) })?;
    // SAFETY: an open socket.
    check(unsafe { libc::listen(fd, BACKLOG) })?;
    Ok(UnixListener::from(socket))
}
