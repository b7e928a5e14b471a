//! Where an export is served.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The longest path of a unix socket, in bytes: what `sockaddr_un` holds beside the NUL.
pub(crate) const PATH_BYTES_MAX: usize = 107;

/// Where an export is served: `unix:PATH`, or `tcp:HOST:PORT` with a host of this machine alone, as
/// NBD knows neither users nor secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Unix(String),
    Tcp(SocketAddr),
}

impl Address {
    /// # Errors
    /// Says to a person what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.len() {
                0 => Err("there is no path behind 'unix:'".to_string()),
                1..=PATH_BYTES_MAX if path.contains('\0') => Err("the path has a NUL".to_string()),
                1..=PATH_BYTES_MAX => Ok(Self::Unix(path.to_string())),
                length => Err(format!(
                    "the path has {length} bytes, of at most {PATH_BYTES_MAX}"
                )),
            };
        }
        let Some(place) = text.strip_prefix("tcp:") else {
            return Err(format!(
                "expected unix:PATH or tcp:HOST:PORT, found '{text}'"
            ));
        };
        let address = match place.strip_prefix("localhost:") {
            Some(port) => port
                .parse()
                .map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
                .ok(),
            None => place.parse().ok(),
        };
        match address {
            Some(address) if address.ip().is_loopback() => Ok(Self::Tcp(address)),
            Some(address) => Err(format!(
                "only addresses of this machine are served (127.0.0.0/8, [::1]), found '{}'",
                address.ip()
            )),
            None => Err(format!(
                "expected tcp:127.0.0.1:PORT, tcp:[::1]:PORT or tcp:localhost:PORT, found '{text}'"
            )),
        }
    }

    /// The URI that clients of libnbd and qemu take.
    pub(crate) fn uri(&self, export_name: &str) -> String {
        let name = Escaped(export_name, false);
        match self {
            Self::Unix(path) => format!("nbd+unix:///{name}?socket={}", Escaped(path, true)),
            Self::Tcp(address) => format!("nbd://{address}/{name}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{path}"),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

/// A text as a part of a URI; a path keeps its slashes.
struct Escaped<'a>(&'a str, bool);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            let plain =
                byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (self.1 && byte == b'/');
            if plain {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parsed(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn addresses_of_this_machine() {
        for text in ["unix:/run/m.sock", "tcp:127.0.0.1:10809", "tcp:[::1]:0"] {
            assert_eq!(parsed(text).to_string(), text);
        }
        assert_eq!(parsed("tcp:localhost:7"), parsed("tcp:127.0.0.1:7"));
    }

    #[test]
    fn others_are_refused() {
        let long = format!("unix:/{}", "x".repeat(PATH_BYTES_MAX));
        for text in [
            "",
            "unix:",
            "unix:a\0b",
            &long,
            "tcp:",
            "tcp:0.0.0.0:10809",
            "tcp:[::]:10809",
            "tcp:192.0.2.1:10809",
            "tcp:example.org:10809",
            "tcp:localhost",
            "tcp:localhost:65536",
            "tcp:127.0.0.1",
            "/run/m.sock",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn uris() {
        let unix = parsed("unix:/run/a b.sock");
        assert_eq!(unix.uri("M/0"), "nbd+unix:///M%2F0?socket=/run/a%20b.sock");
        assert_eq!(parsed("tcp:[::1]:10809").uri(""), "nbd://[::1]:10809/");
    }
}
