//! Sockets that never wait, and epoll. All system calls of the NBD server are here.

use alloc::ffi::CString;
use core::ffi::c_int;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::net::SocketAddr;
use core::ptr;

use barespdk::errno::Errno;
use libc::{iovec, sockaddr, socklen_t};

use super::address::Address;

/// How many connections may wait to be accepted.
const BACKLOG: c_int = 256;

/// What a socket may hold of what is on its way, in bytes; the kernel cuts it to its own limit.
const SOCKET_BUFFER_BYTES: c_int = 4 << 20;

fn last_error() -> Errno {
    // SAFETY: the location is the calling thread's own.
    Errno::new(unsafe { *libc::__errno_location() })
}

fn check(rc: c_int) -> Result<c_int, Errno> {
    if rc < 0 { Err(last_error()) } else { Ok(rc) }
}

fn check_size(rc: isize) -> Result<usize, Errno> {
    usize::try_from(rc).map_err(|_| last_error())
}

/// A file descriptor, closed when it is dropped.
#[derive(Debug)]
struct Fd(c_int);

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: open, and ours alone.
        unsafe { libc::close(self.0) };
    }
}

/// A piece of memory to be sent.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Piece<'a> {
    raw: iovec,
    _bytes: PhantomData<&'a [u8]>,
}

impl<'a> Piece<'a> {
    pub(crate) const EMPTY: Self = Self::new(&[]);

    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            raw: iovec {
                iov_base: bytes.as_ptr().cast_mut().cast(),
                iov_len: bytes.len(),
            },
            _bytes: PhantomData,
        }
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: Fd,
}

impl Socket {
    /// Receives into `first`, and then into `second`: as much as there is; 0 at the end of the stream.
    ///
    /// # Errors
    /// `EAGAIN` where there is nothing yet; others mean that the connection is over.
    pub(crate) fn receive(&self, first: &mut [u8], second: &mut [u8]) -> Result<usize, Errno> {
        let mut pieces = [first, second].map(|bytes| iovec {
            iov_base: bytes.as_mut_ptr().cast(),
            iov_len: bytes.len(),
        });
        // SAFETY: the pieces are borrowed for the call, apart from each other, and for writing.
        check_size(unsafe { libc::readv(self.fd.0, pieces.as_mut_ptr(), 2) })
    }

    /// Sends as much as there is room for.
    ///
    /// # Errors
    /// `EAGAIN` where there is none; others mean that the connection is over.
    pub(crate) fn send(&self, pieces: &[Piece<'_>]) -> Result<usize, Errno> {
        // SAFETY: all zeroes are a message of nothing.
        let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        message.msg_iov = pieces.as_ptr().cast_mut().cast();
        message.msg_iovlen = pieces.len() as _;
        // SAFETY: a piece is an iovec, whose memory is borrowed; the kernel only reads it.
        check_size(unsafe { libc::sendmsg(self.fd.0, &message, libc::MSG_NOSIGNAL) })
    }

    fn set(&self, level: c_int, name: c_int, value: c_int) {
        // What is set so makes things faster, and no more than that.
        // SAFETY: the value is read during the call.
        let _ = unsafe {
            libc::setsockopt(
                self.fd.0,
                level,
                name,
                (&raw const value).cast(),
                size_of::<c_int>() as socklen_t,
            )
        };
    }
}

/// Where connections come in. A unix socket is removed with it.
#[derive(Debug)]
pub(crate) struct Listener {
    fd: Fd,
    _file: Option<SocketFile>,
    address: Address,
}

impl Listener {
    /// Listens at an address.
    ///
    /// # Errors
    /// `EADDRINUSE` where somebody else does; `EEXIST` where the path is that of something else than a
    /// socket; and those of the system.
    pub(crate) fn bind(address: &Address) -> Result<Self, Errno> {
        match address {
            Address::Unix(path) => Self::bind_unix(path),
            Address::Tcp(address) => Self::bind_tcp(*address),
        }
    }

    /// The address, with the port that the system has picked where that was 0.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    fn bind_unix(path: &str) -> Result<Self, Errno> {
        let (raw, length) = unix_address(path)?;
        let fd = open(libc::AF_UNIX)?;
        let c_path = CString::new(path).map_err(|_| Errno::EINVAL)?;
        if let Some(mode) = mode_of(&c_path) {
            if mode & libc::S_IFMT != libc::S_IFSOCK {
                return Err(Errno::EEXIST);
            }
            // A socket where nobody listens is what a process has left that was killed.
            let probe = open(libc::AF_UNIX)?;
            // SAFETY: an address of this length.
            match check(unsafe { libc::connect(probe.0, (&raw const raw).cast(), length) }) {
                Err(errno) if errno.number() == libc::ECONNREFUSED => {
                    // SAFETY: a C string.
                    check(unsafe { libc::unlink(c_path.as_ptr()) })?;
                }
                _ => return Err(Errno::EADDRINUSE),
            }
        }
        // SAFETY: the mode is that of the file which `bind` makes; an address of this length.
        unsafe {
            check(libc::fchmod(fd.0, 0o600))?;
            check(libc::bind(fd.0, (&raw const raw).cast(), length))?;
        }
        let file = Some(SocketFile::new(c_path));
        // SAFETY: a socket that is bound.
        check(unsafe { libc::listen(fd.0, BACKLOG) })?;
        Ok(Self {
            fd,
            _file: file,
            address: Address::Unix(path.into()),
        })
    }

    fn bind_tcp(address: SocketAddr) -> Result<Self, Errno> {
        let family = if address.is_ipv4() {
            libc::AF_INET
        } else {
            libc::AF_INET6
        };
        let socket = Socket { fd: open(family)? };
        socket.set(libc::SOL_SOCKET, libc::SO_REUSEADDR, 1);
        let fd = socket.fd;
        let (raw, length) = tcp_address(address);
        let mut bound = raw;
        let mut bound_length = size_of_val(&bound) as socklen_t;
        // SAFETY: an address of this length; one of any length fits where the name is put.
        unsafe {
            check(libc::bind(fd.0, (&raw const raw).cast(), length))?;
            check(libc::listen(fd.0, BACKLOG))?;
            check(libc::getsockname(
                fd.0,
                (&raw mut bound).cast(),
                &raw mut bound_length,
            ))?;
        }
        let port = u16::from_be(port_of(&bound));
        Ok(Self {
            fd,
            _file: None,
            address: Address::Tcp(SocketAddr::new(address.ip(), port)),
        })
    }

    /// Takes a connection.
    ///
    /// # Errors
    /// `EAGAIN` where there is none; `EMFILE` and others where there is no room for one.
    pub(crate) fn accept(&self) -> Result<Socket, Errno> {
        // SAFETY: the peer's address is not asked for.
        let fd = check(unsafe {
            libc::accept4(
                self.fd.0,
                ptr::null_mut::<sockaddr>(),
                ptr::null_mut(),
                libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
            )
        })?;
        let socket = Socket { fd: Fd(fd) };
        socket.set(libc::SOL_SOCKET, libc::SO_SNDBUF, SOCKET_BUFFER_BYTES);
        if matches!(self.address, Address::Tcp(_)) {
            socket.set(libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
        }
        Ok(socket)
    }
}

/// The file of a unix socket, removed when it is dropped if it is still the same.
#[derive(Debug)]
struct SocketFile {
    path: CString,
    identity: Option<(libc::dev_t, libc::ino_t)>,
}

impl SocketFile {
    fn new(path: CString) -> Self {
        let identity = stat(&path).map(|stat| (stat.st_dev, stat.st_ino));
        Self { path, identity }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let now = stat(&self.path).map(|stat| (stat.st_dev, stat.st_ino));
        if now.is_some() && now == self.identity {
            // SAFETY: a C string.
            unsafe { libc::unlink(self.path.as_ptr()) };
        }
    }
}

fn stat(path: &CString) -> Option<libc::stat> {
    let mut stat = MaybeUninit::uninit();
    // SAFETY: a C string, and room for the answer, which is there if the call went well.
    unsafe {
        check(libc::lstat(path.as_ptr(), stat.as_mut_ptr())).ok()?;
        Some(stat.assume_init())
    }
}

fn mode_of(path: &CString) -> Option<libc::mode_t> {
    stat(path).map(|stat| stat.st_mode)
}

fn open(family: c_int) -> Result<Fd, Errno> {
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: plain numbers.
    check(unsafe { libc::socket(family, kind, 0) }).map(Fd)
}

fn unix_address(path: &str) -> Result<(libc::sockaddr_un, socklen_t), Errno> {
    let mut raw = libc::sockaddr_un {
        sun_family: libc::AF_UNIX as libc::sa_family_t,
        sun_path: [0; 108],
    };
    // One is left for the NUL.
    if path.len() >= raw.sun_path.len() {
        return Err(Errno::ENAMETOOLONG);
    }
    for (to, from) in raw.sun_path.iter_mut().zip(path.bytes()) {
        *to = from as _;
    }
    Ok((raw, size_of_val(&raw) as socklen_t))
}

fn tcp_address(address: SocketAddr) -> (libc::sockaddr_in6, socklen_t) {
    // SAFETY: all zeroes are an address of nothing.
    let mut raw: libc::sockaddr_in6 = unsafe { MaybeUninit::zeroed().assume_init() };
    match address {
        SocketAddr::V4(address) => {
            let v4 = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from_ne_bytes(address.ip().octets()),
                },
                sin_zero: [0; 8],
            };
            // SAFETY: the larger one has room for the smaller, at the same alignment.
            unsafe { (&raw mut raw).cast::<libc::sockaddr_in>().write(v4) };
            (raw, size_of::<libc::sockaddr_in>() as socklen_t)
        }
        SocketAddr::V6(address) => {
            raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            raw.sin6_port = address.port().to_be();
            raw.sin6_addr.s6_addr = address.ip().octets();
            (raw, size_of::<libc::sockaddr_in6>() as socklen_t)
        }
    }
}

/// The port, in network byte order: at the same place for both families.
fn port_of(raw: &libc::sockaddr_in6) -> u16 {
    raw.sin6_port
}

const _: () = assert!(
    core::mem::offset_of!(libc::sockaddr_in, sin_port)
        == core::mem::offset_of!(libc::sockaddr_in6, sin6_port)
);

/// How many events are taken at once.
const EVENTS_MAX: usize = 64;

/// What has happened to a file descriptor that is watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) token: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The other end will send nothing more, or is gone.
    pub(crate) hangup: bool,
}

/// The file descriptors that a thread watches. One file descriptor itself, to be waited for where a
/// reactor sleeps.
#[derive(Debug)]
pub(crate) struct Watch {
    fd: Fd,
}

impl Watch {
    pub(crate) fn new() -> Result<Self, Errno> {
        // SAFETY: plain numbers.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        Ok(Self { fd: Fd(fd) })
    }

    /// The file descriptor that is readable when there are events.
    pub(crate) fn raw_fd(&self) -> c_int {
        self.fd.0
    }

    /// Tells when a connection has something to be read, and, with `room`, room for what is to be sent.
    pub(crate) fn add(&self, socket: &Socket, token: u64, room: bool) -> Result<(), Errno> {
        let room = if room { libc::EPOLLOUT } else { 0 };
        let events = libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET | room;
        self.control(libc::EPOLL_CTL_ADD, &socket.fd, events as u32, token)
    }

    /// Tells of connections that come in as long as there are any.
    pub(crate) fn add_listener(&self, listener: &Listener, token: u64) -> Result<(), Errno> {
        self.control(
            libc::EPOLL_CTL_ADD,
            &listener.fd,
            libc::EPOLLIN as u32,
            token,
        )
    }

    pub(crate) fn remove(&self, socket: &Socket) {
        let _ = self.control(libc::EPOLL_CTL_DEL, &socket.fd, 0, 0);
    }

    pub(crate) fn remove_listener(&self, listener: &Listener) {
        let _ = self.control(libc::EPOLL_CTL_DEL, &listener.fd, 0, 0);
    }

    fn control(&self, what: c_int, fd: &Fd, events: u32, token: u64) -> Result<(), Errno> {
        let mut event = libc::epoll_event { events, u64: token };
        // SAFETY: both are open; the event is read during the call.
        check(unsafe { libc::epoll_ctl(self.fd.0, what, fd.0, &raw mut event) }).map(drop)
    }

    /// Calls `each` with what has happened since; does not wait.
    #[inline]
    pub(crate) fn poll(&self, mut each: impl FnMut(Event)) {
        let mut events = [MaybeUninit::<libc::epoll_event>::uninit(); EVENTS_MAX];
        // SAFETY: room for so many events.
        let count = unsafe {
            libc::epoll_wait(
                self.fd.0,
                events.as_mut_ptr().cast(),
                EVENTS_MAX as c_int,
                0,
            )
        };
        for event in events.iter().take(usize::try_from(count).unwrap_or(0)) {
            // SAFETY: the kernel has written so many.
            let event = unsafe { event.assume_init() };
            let is = |mask: c_int| event.events & mask as u32 != 0;
            let hangup = is(libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR);
            each(Event {
                token: event.u64,
                readable: is(libc::EPOLLIN) || hangup,
                writable: is(libc::EPOLLOUT) || hangup,
                hangup,
            });
        }
    }
}

const _: () = assert!(size_of::<Piece<'_>>() == size_of::<iovec>());
