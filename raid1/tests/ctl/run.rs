//! Runs raid1ctl.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::application::Application;

/// What it did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Outcome {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// The standard output holds this.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text), "no {text:?} in {}", self.out);
        self
    }

    /// The standard error holds this.
    #[track_caller]
    pub(crate) fn complains(self, text: &str) -> Self {
        assert!(self.err.contains(text), "no {text:?} in {}", self.err);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The standard error, which is one line of JSON.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        assert_eq!(self.out, "");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        serde_json::from_str::<Value>(&self.err).unwrap()["error"].take()
    }
}

/// raid1ctl, without anything of the environment that it reads.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raid1ctl"));
    command
        .args(arguments)
        .env_remove("RAID1_SOCKET")
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn run(arguments: &[&str]) -> Outcome {
    command(arguments).output().unwrap().into()
}

/// Runs it on an application.
pub(crate) fn on(application: &Application, arguments: &[&str]) -> Outcome {
    let socket = application.socket();
    let all = [&["--socket", socket.to_str().unwrap()], arguments].concat();
    run(&all)
}
