//! Where an NBD server listens, as users write it: `unix:PATH` or `tcp:HOST:PORT`.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The kernel takes paths of sockets of no more bytes.
const SOCKET_PATH_LEN_MAX: usize = 107;

/// An address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NbdAddress {
    /// A unix socket, by its absolute path.
    Unix(PathBuf),
    /// TCP: a host, without brackets, and a port.
    Tcp(String, u16),
}

impl NbdAddress {
    /// Reads one. A relative path is one of the current directory.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::unix(path);
        }
        if let Some(place) = text.strip_prefix("tcp:") {
            return Self::tcp(place);
        }
        Err(format!(
            "expected unix:PATH or tcp:HOST:PORT, found '{text}'"
        ))
    }

    fn unix(path: &str) -> Result<Self, String> {
        if path.is_empty() {
            return Err("expected a path after unix:".into());
        }
        let absolute = std::path::absolute(Path::new(path))
            .map_err(|error| format!("the path '{path}': {error}"))?;
        let len = absolute.as_os_str().len();
        if len > SOCKET_PATH_LEN_MAX {
            return Err(format!(
                "the path '{}' has {len} bytes, and sockets at most {SOCKET_PATH_LEN_MAX}",
                absolute.display()
            ));
        }
        Ok(Self::Unix(absolute))
    }

    fn tcp(place: &str) -> Result<Self, String> {
        let (host, port) = place
            .rsplit_once(':')
            .ok_or_else(|| format!("expected HOST:PORT after tcp:, found '{place}'"))?;
        let port = match port.parse() {
            Ok(port @ 1..) => port,
            _ => return Err(format!("expected a port from 1 to 65535, found '{port}'")),
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        match bare.unwrap_or(host) {
            "" => Err(format!("expected a host before the port, found '{place}'")),
            host if host.contains(':') && bare.is_none() => Err(format!(
                "an IPv6 address stands in brackets, found '{host}'"
            )),
            // NBD knows neither users nor secrets, so that raid1 serves this machine alone.
            host if !is_of_this_machine(host) => Err(format!(
                "expected localhost, 127.0.0.1 or [::1] after tcp:, found '{host}'"
            )),
            host => Ok(Self::Tcp(host.to_owned(), port)),
        }
    }

    /// What NBD clients take (the NBD URI specification) for an export of this name.
    pub(crate) fn uri(&self, export: &str) -> String {
        let export = escape(export, b"");
        match self {
            Self::Unix(path) => format!(
                "nbd+unix:///{export}?socket={}",
                escape(&path.to_string_lossy(), b"/")
            ),
            Self::Tcp(..) => format!("nbd://{}/{export}", self.place()),
        }
    }

    /// The path, or `HOST:PORT`.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Unix(path) => path.to_string_lossy().into_owned(),
            Self::Tcp(host, port) if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp(host, port) => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for NbdAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Unix(_) => "unix",
            Self::Tcp(..) => "tcp",
        };
        write!(f, "{kind}:{}", self.place())
    }
}

fn is_of_this_machine(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Percent-encodes what may not stand in a part of a URI, but for the bytes of `kept`.
fn escape(text: &str, kept: &[u8]) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            escaped.push(byte.into());
        } else {
            escaped += &format!("%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> NbdAddress {
        NbdAddress::parse(text).unwrap()
    }

    #[test]
    fn addresses() {
        let unix = parse("unix:/tmp/a b.sock");
        assert_eq!(unix, NbdAddress::Unix("/tmp/a b.sock".into()));
        assert_eq!(unix.to_string(), "unix:/tmp/a b.sock");
        assert_eq!(unix.uri("m/0"), "nbd+unix:///m%2F0?socket=/tmp/a%20b.sock");
        let tcp = parse("tcp:localhost:10809");
        assert_eq!(tcp, NbdAddress::Tcp("localhost".into(), 10809));
        assert_eq!(tcp.to_string(), "tcp:localhost:10809");
        assert_eq!(tcp.uri("m0"), "nbd://localhost:10809/m0");
        let tcp = parse("tcp:[::1]:1");
        assert_eq!(tcp, NbdAddress::Tcp("::1".into(), 1));
        assert_eq!(tcp.to_string(), "tcp:[::1]:1");
        assert!(matches!(parse("unix:x"), NbdAddress::Unix(path) if path.is_absolute()));
    }

    #[test]
    fn wrong_addresses_are_named() {
        let long = format!("unix:/{}", "x".repeat(107));
        for (text, part) in [
            ("", "expected unix:PATH or tcp:HOST:PORT, found ''"),
            ("/tmp/x", "found '/tmp/x'"),
            ("unix:", "expected a path"),
            (long.as_str(), "has 108 bytes"),
            ("tcp:", "HOST:PORT"),
            ("tcp:host", "found 'host'"),
            ("tcp:localhost:0", "found '0'"),
            ("tcp:localhost:65536", "found '65536'"),
            ("tcp:0.0.0.0:1", "found '0.0.0.0'"),
            ("tcp:example.org:1", "found 'example.org'"),
            ("tcp::1", "expected a host"),
            ("tcp:::1:5", "in brackets, found '::1'"),
        ] {
            let error = NbdAddress::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
