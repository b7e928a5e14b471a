//! A directory for the files of a test, and raid1 in it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// A start takes a second or so; on a loaded machine, with the memory of all of SPDK, longer.
const START_MAX: Duration = Duration::from_secs(60);

/// A directory.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        // The names of sockets are short.
        Self(TempDir::with_prefix_in("raid1-", "/tmp").unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes a file of so many bytes.
    pub(crate) fn file(&self, name: &str, size_bytes: u64) {
        let file = fs::File::create(self.path(name)).unwrap();
        file.set_len(size_bytes).unwrap();
    }

    pub(crate) fn size_of(&self, name: &str) -> u64 {
        fs::metadata(self.path(name)).unwrap().size()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// raid1 with these arguments, in the directory, with an RPC socket in it.
    pub(crate) fn raid1(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_raid1"));
        command
            .current_dir(self.0.path())
            .args(arguments)
            .args(["-r", "rpc.sock", "--disable-cpumask-locks"])
            .stdin(Stdio::null());
        command
    }

    /// Runs raid1 to its end, which is an early one.
    pub(crate) fn fails(&self, arguments: &[&str], code: i32) -> String {
        let output = self.raid1(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        text
    }

    /// Starts raid1 and waits until it says that it is ready.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut child = self
            .raid1(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
                let _ = sender.send(std::mem::take(&mut line));
            }
        });
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let log = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = std::io::Read::read_to_end(&mut errors, &mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut running = Running {
            child,
            lines,
            log: Some(log),
            text: String::new(),
        };
        running.wait_until_ready();
        running
    }

    /// Waits until no mirror of the application lacks anything.
    pub(crate) fn wait_until_whole(&self) {
        for _ in 0..600 {
            match self.raid1ctl(&["status"]) {
                Some(output) if output.status.code() != Some(0) => {
                    thread::sleep(Duration::from_millis(100));
                }
                _ => return,
            }
        }
        panic!("{:?}", self.raid1ctl(&["status"]));
    }

    /// raid1ctl on the application of this directory.
    pub(crate) fn raid1ctl(&self, arguments: &[&str]) -> Option<Output> {
        let program = option_env!("CARGO_BIN_EXE_raid1ctl")?;
        let mut command = Command::new(program);
        command.arg("-s").arg(self.path("rpc.sock")).args(arguments);
        Some(command.output().unwrap())
    }
}

/// raid1, ready. It is killed at the end of the test, at the latest.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    log: Option<thread::JoinHandle<String>>,
    /// What it has said.
    pub(crate) text: String,
}

impl Running {
    fn wait_until_ready(&mut self) {
        while !self.text.contains("Ctrl-C stops it") {
            match self.lines.recv_timeout(START_MAX) {
                Ok(line) => self.text += &line,
                Err(_) => {
                    let _ = self.child.kill();
                    let log = self.log.take().map(|log| log.join().unwrap());
                    panic!("not ready: {}\n{}", self.text, log.unwrap_or_default());
                }
            }
        }
    }

    /// Sends a signal by its name, as a shell does, and returns the exit code and the log.
    pub(crate) fn stop(mut self, signal: &str) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(killed.success());
        let code = self.child.wait().unwrap().code();
        let log = self.log.take().map(|log| log.join().unwrap());
        (code, log.unwrap_or_default())
    }
}

impl Running {
    /// Ends it as a crash does.
    pub(crate) fn crash(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
