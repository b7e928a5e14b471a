//! Why a command did not do what it was asked for, in words and as an exit code.

use std::fmt;
use std::io;
use std::process::ExitCode;

use serde_json::{Value, json};

/// An error response of JSON-RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RpcFailure {
    pub(crate) method: String,
    /// A negated errno, or one of JSON-RPC's own.
    pub(crate) code: i64,
    pub(crate) message: String,
}

impl RpcFailure {
    /// JSON-RPC's code for a method that the server does not have.
    pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
    /// SPDK's code for a method that is not allowed now: before the start has ended.
    pub(crate) const INVALID_STATE: i64 = -1;
    /// `-ENODEV`
    pub(crate) const NO_DEVICE: i64 = -19;
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The application answered with an error.
    Rpc {
        error: RpcFailure,
        hint: Option<String>,
    },
    /// What the command is about does not exist, or has an odd shape.
    Refused {
        message: String,
        hint: Option<String>,
    },
    /// No application could be reached, or it went away.
    Connection {
        message: String,
        hint: Option<String>,
    },
    /// The output could not be written.
    Output(io::Error),
}

impl Failure {
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::Refused {
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn connection(message: impl Into<String>) -> Self {
        Self::Connection {
            message: message.into(),
            hint: None,
        }
    }

    /// Says what the user may do about it.
    pub(crate) fn with_hint(mut self, text: impl Into<Option<String>>) -> Self {
        match &mut self {
            Self::Rpc { hint, .. } | Self::Refused { hint, .. } | Self::Connection { hint, .. } => {
                *hint = text.into();
            }
            Self::Output(_) => (),
        }
        self
    }

    /// Whether the application knows no bdev, mirror or leg of a name.
    pub(crate) fn is_of_unknown_name(&self) -> bool {
        matches!(self, Self::Rpc { error, .. } if error.code == RpcFailure::NO_DEVICE)
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Rpc { .. } | Self::Refused { .. } => 1,
            Self::Connection { .. } => 3,
            // Who reads our output has seen enough: `raid1ctl list | head -1`.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Output(_) => 1,
        })
    }

    /// Shows it on the standard error.
    pub(crate) fn report(&self, as_json: bool) {
        if matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe) {
            return;
        }
        let text = if as_json {
            self.to_json().to_string()
        } else {
            format!("raid1ctl: {self}")
        };
        // There is nowhere else to report to.
        let _ = io::Write::write_all(&mut io::stderr(), format!("{text}\n").as_bytes());
    }

    fn hint(&self) -> Option<&str> {
        match self {
            Self::Rpc { hint, .. } | Self::Refused { hint, .. } | Self::Connection { hint, .. } => {
                hint.as_deref()
            }
            Self::Output(_) => None,
        }
    }

    fn to_json(&self) -> Value {
        let mut error = match self {
            Self::Rpc { error, .. } => json!({
                "kind": "rpc",
                "method": error.method,
                "code": error.code,
                "message": error.message,
            }),
            Self::Refused { message, .. } => json!({"kind": "refused", "message": message}),
            Self::Connection { message, .. } => json!({"kind": "connection", "message": message}),
            Self::Output(error) => json!({"kind": "output", "message": error.to_string()}),
        };
        if let (Some(hint), Some(object)) = (self.hint(), error.as_object_mut()) {
            object.insert("hint".into(), hint.into());
        }
        json!({ "error": error })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rpc { error, .. } => {
                let RpcFailure {
                    method,
                    code,
                    message,
                } = error;
                write!(f, "{message}\n  ({method}: error {code})")?;
            }
            Self::Refused { message, .. } | Self::Connection { message, .. } => {
                f.write_str(message)?;
            }
            Self::Output(error) => write!(f, "the output cannot be written: {error}")?,
        }
        match self.hint() {
            Some(hint) => write!(f, "\n  hint: {}", hint.replace('\n', "\n        ")),
            None => Ok(()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<RpcFailure> for Failure {
    fn from(error: RpcFailure) -> Self {
        Self::Rpc { error, hint: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_json() {
        let failure = Failure::from(RpcFailure {
            method: "raid1_delete".into(),
            code: -19,
            message: "no such mirror".into(),
        })
        .with_hint("did you mean 'm0'?\nThere is: m0".to_owned());
        assert_eq!(
            failure.to_string(),
            "no such mirror\n  (raid1_delete: error -19)\n  \
             hint: did you mean 'm0'?\n        There is: m0"
        );
        assert_eq!(
            failure.to_json(),
            json!({"error": {"kind": "rpc", "method": "raid1_delete", "code": -19,
                "message": "no such mirror", "hint": "did you mean 'm0'?\nThere is: m0"}})
        );
        let failure = Failure::connection("gone");
        assert_eq!(failure.to_string(), "gone");
        assert_eq!(
            failure.to_json(),
            json!({"error": {"kind": "connection", "message": "gone"}})
        );
    }
}
