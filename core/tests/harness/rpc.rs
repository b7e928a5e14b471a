//! A client of the application's RPCs.

use std::future::Future;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use barespdk::message::oneshot;

use super::{Failure, Outcome, PATIENCE};

fn call(method: &str, params: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(crate::SUITE.socket())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let params = match params {
        "" => String::new(),
        params => format!(r#","params":{params}"#),
    };
    write!(
        stream,
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"{params}}}"#
    )?;
    let (mut response, mut part) = (Vec::new(), [0; 1 << 14]);
    while !response.ends_with(b"\n") {
        match stream.read(&mut part)? {
            0 => break,
            len => response.extend_from_slice(&part[..len]),
        }
    }
    Ok(String::from_utf8_lossy(&response).into_owned())
}

/// Calls an RPC, as a client would; at once, not when what it returns is polled.
pub(crate) fn begin_rpc(
    method: &'static str,
    params: &str,
) -> impl Future<Output = Result<String, Failure>> + use<> {
    let params = params.to_owned();
    let (sender, receiver) = oneshot();
    std::thread::spawn(move || sender.send(call(method, &params)));
    async move {
        let response = receiver.await?;
        response.map_err(|error| Failure(format!("{method}: {error}")))
    }
}

/// Calls an RPC. The whole response.
pub(crate) async fn rpc(method: &'static str, params: &str) -> Result<String, Failure> {
    begin_rpc(method, params).await
}

/// Calls an RPC that must succeed.
pub(crate) async fn rpc_done(method: &'static str, params: &str) -> Outcome {
    let response = rpc(method, params).await?;
    if response.contains(r#""error":"#) {
        return Err(Failure(format!("{method} {params}: {response}")));
    }
    Ok(())
}
