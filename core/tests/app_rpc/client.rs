//! A client of the application, and its process.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The application, running.
pub(crate) struct Running {
    /// `None` once it has ended.
    child: Option<Child>,
    socket: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn command(mode: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("our path"));
    command.args(["--child", mode]);
    command
}

/// Arguments that make SPDK start on any machine, beside others.
pub(crate) const ANYWHERE: [&str; 7] = [
    "-m",
    "0x1",
    "--no-huge",
    "-s",
    "1024",
    "--no-pci",
    "--disable-cpumask-locks",
];

impl Running {
    pub(crate) fn start(mode: &str) -> Self {
        Self::start_with(mode, &[])
    }

    pub(crate) fn start_with(mode: &str, args: &[&str]) -> Self {
        Self::spawn(mode, args, "framework_wait_init")
    }

    /// Starts without initialising subsystems.
    pub(crate) fn start_waiting() -> Self {
        Self::spawn("serve", &["--wait-for-rpc"], "spdk_get_version")
    }

    /// Starts, and waits until `probe` is answered.
    fn spawn(mode: &str, args: &[&str], probe: &str) -> Self {
        let socket = std::env::temp_dir().join(format!("barespdk-{}.sock", std::process::id()));
        let child = command(mode)
            .args(ANYWHERE)
            .args(args)
            .arg("-r")
            .arg(&socket)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("our own program");
        let mut running = Self {
            child: Some(child),
            socket,
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !running.is_up(probe) {
            let child = running.child.as_mut().expect("not ended");
            if child.try_wait().expect("a child").is_some() || Instant::now() > deadline {
                let _ = child.kill();
                panic!("no start: {:?}", running.end());
            }
            thread::sleep(Duration::from_millis(20));
        }
        running
    }

    /// Whether the application has started and answers.
    fn is_up(&self, probe: &str) -> bool {
        let Ok(mut stream) = UnixStream::connect(&self.socket) else {
            return false;
        };
        let request = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{probe}"}}"#);
        stream.write_all(request.as_bytes()).is_ok()
            && matches!(stream.read(&mut [0; 1000]), Ok(len) if len != 0)
    }

    /// The path of the socket.
    pub(crate) fn path(&self) -> &str {
        self.socket.to_str().expect("UTF-8")
    }

    /// A connection.
    pub(crate) fn socket(&self) -> UnixStream {
        UnixStream::connect(&self.socket).expect("the socket")
    }

    pub(crate) fn connect(&self, method: &str, params: &str) -> UnixStream {
        let mut stream = self.socket();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a timeout");
        let params = if params.is_empty() {
            String::new()
        } else {
            format!(r#","params":{params}"#)
        };
        write!(
            stream,
            r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"{params}}}"#
        )
        .expect("sent");
        stream
    }

    /// The response without what is the same in all of them.
    pub(crate) fn call(&mut self, method: &str, params: &str) -> String {
        let mut stream = self.connect(method, params);
        let mut response = String::new();
        let mut buf = [0; 1 << 16];
        while !response.ends_with('\n') {
            let len = stream.read(&mut buf).expect("a response");
            assert_ne!(len, 0, "{method}: connection closed");
            response.push_str(std::str::from_utf8(&buf[..len]).expect("UTF-8"));
        }
        let response = response.trim_end();
        let body = response
            .strip_prefix(r#"{"jsonrpc":"2.0","id":1,"#)
            .expect(response);
        body.strip_suffix('}').expect(response).to_owned()
    }

    #[track_caller]
    pub(crate) fn result(&mut self, method: &str, params: &str, result: &str) {
        let expected = format!(r#""result":{result}"#);
        assert_eq!(self.call(method, params), expected, "{method} {params}");
    }

    #[track_caller]
    pub(crate) fn error(&mut self, method: &str, params: &str, code: i32, message: &str) {
        let expected = format!(r#""error":{{"code":{code},"message":"{message}"}}"#);
        assert_eq!(self.call(method, params), expected, "{method} {params}");
    }

    /// Waits for the end: exit code, standard output and error.
    pub(crate) fn end(mut self) -> (i32, String, String) {
        let child = self.child.take().expect("not ended");
        outcome(&child.wait_with_output().expect("a child"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("not ended").id()
    }

    pub(crate) fn stop(mut self) {
        self.result("test_stop", r#"{"code":0}"#, "true");
        let (code, _, log) = self.end();
        assert_eq!(code, 0, "{log}");
    }
}

#[track_caller]
fn outcome(output: &Output) -> (i32, String, String) {
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code();
    let code = code.unwrap_or_else(|| panic!("killed: {:?}\n{log}", output.status));
    (
        code,
        String::from_utf8_lossy(&output.stdout).into_owned(),
        log,
    )
}

pub(crate) fn run(mode: &str, args: &[&str]) -> (i32, String, String) {
    outcome(&command(mode).args(args).output().expect("our own program"))
}
