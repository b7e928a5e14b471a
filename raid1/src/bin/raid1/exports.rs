//! Where mirrors are to be exported, looked at before anything is made: what is refused later is told
//! of by RPCs that the user has not called.

use std::ffi::CString;
use std::io;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::nbd_address::NbdAddress;

/// Whether the server can listen at all of these.
///
/// # Errors
/// Says to the user what is wrong, by the name of the option.
pub(crate) fn check(addresses: &[NbdAddress]) -> Result<(), String> {
    for address in addresses {
        let checked = match address {
            NbdAddress::Unix(path) => check_unix(path),
            NbdAddress::Tcp(host, port) => TcpListener::bind((host.as_str(), *port))
                .map(drop)
                .map_err(|error| match error.kind() {
                    io::ErrorKind::AddrInUse => "another server listens there".into(),
                    _ => format!("cannot listen there: {error}"),
                }),
        };
        checked.map_err(|error| format!("--nbd {address}: {error}"))?;
    }
    Ok(())
}

fn check_unix(path: &Path) -> Result<(), String> {
    match path.symlink_metadata() {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err("there is something else than a socket".into());
        }
        // The socket of a server that was killed is replaced.
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err("another server listens there".into());
        }
        _ => {}
    }
    let directory = path.parent().unwrap_or(path);
    if !directory.is_dir() {
        return Err(format!("there is no directory {}", directory.display()));
    }
    let Ok(c_path) = CString::new(directory.as_os_str().as_bytes()) else {
        return Err("the path has a NUL".into());
    };
    // SAFETY: the path ends in NUL and is only read.
    match unsafe { libc::access(c_path.as_ptr(), libc::W_OK | libc::X_OK) } {
        0 => Ok(()),
        _ => Err(format!(
            "no socket can be made in {}: {}",
            directory.display(),
            io::Error::last_os_error()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::net::UnixListener;

    #[test]
    fn what_is_wrong_with_addresses() {
        let directory = std::env::temp_dir().join(format!("raid1-exports-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let path = |name: &str| NbdAddress::Unix(directory.join(name));
        fs::write(directory.join("file"), "").unwrap();
        drop(UnixListener::bind(directory.join("left")).unwrap());
        let _unix = UnixListener::bind(directory.join("served")).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        assert_eq!(check(&[path("new"), path("left")]), Ok(()));
        for (address, part) in [
            (path("file"), "something else than a socket"),
            (path("served"), "another server listens there"),
            (path("none/new"), "there is no directory"),
            (
                NbdAddress::Tcp("127.0.0.1".into(), port),
                "another server listens there",
            ),
        ] {
            let error = check(&[path("new"), address.clone()]).unwrap_err();
            assert!(error.starts_with(&format!("--nbd {address}: ")), "{error}");
            assert!(error.contains(part), "{error}");
        }
        assert!(!directory.join("new").exists());
        drop(tcp);
        assert_eq!(check(&[NbdAddress::Tcp("127.0.0.1".into(), port)]), Ok(()));
        fs::remove_dir_all(&directory).unwrap();
    }
}
