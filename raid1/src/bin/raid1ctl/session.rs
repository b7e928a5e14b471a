//! What every command has: the connection, and the output.

use std::io::{StdoutLock, Write};
use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::Cli;
use crate::client::Client;
use crate::failure::{Failure, RpcFailure};
use crate::hint;
use crate::mirror::{Bdev, Mirror};

/// A command that is being carried out.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) socket: PathBuf,
    pub(crate) json: bool,
    pub(crate) out: StdoutLock<'static>,
}

impl Session {
    pub(crate) fn connect(cli: &Cli) -> Result<Self, Failure> {
        Ok(Self {
            client: Client::connect(&cli.socket, cli.timeout)?,
            socket: cli.socket.clone(),
            json: cli.json,
            out: std::io::stdout().lock(),
        })
    }

    /// Calls a method that changes something, and explains its errors as far as anyone can.
    pub(crate) fn change(
        &mut self,
        what: &str,
        method: &str,
        params: Value,
    ) -> Result<Value, Failure> {
        let outcome = self.client.call(what, method, params);
        outcome.map_err(|failure| self.explain(failure))
    }

    /// As `change`; `hint` says which names there are where it is one that the application does not
    /// know.
    pub(crate) fn change_named(
        &mut self,
        what: &str,
        method: &str,
        params: Value,
        hint: impl FnOnce(&mut Self) -> Option<String>,
    ) -> Result<Value, Failure> {
        self.change(what, method, params).map_err(|failure| {
            let is_of_unknown_name = failure.is_of_unknown_name();
            match is_of_unknown_name.then(|| hint(self)).flatten() {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            }
        })
    }

    /// The mirrors: all, or the one of this name.
    pub(crate) fn mirrors(&mut self, name: Option<&str>) -> Result<Vec<Mirror>, Failure> {
        self.mirrors_in("all", name)
    }

    /// The mirrors in a state: all, or the one of this name.
    pub(crate) fn mirrors_in(
        &mut self,
        category: &str,
        name: Option<&str>,
    ) -> Result<Vec<Mirror>, Failure> {
        let outcome = self
            .client
            .get("raid1_get_bdevs", json!({ "category": category }));
        let mut mirrors: Vec<Mirror> = outcome.map_err(|failure| self.explain(failure))?;
        if let Some(name) = name {
            let names: Vec<_> = mirrors.iter().map(|mirror| mirror.name.clone()).collect();
            mirrors.retain(|mirror| mirror.name == name);
            if mirrors.is_empty() {
                return Err(Failure::refused(format!("there is no mirror '{name}'"))
                    .with_hint(hint::names("mirror", name, &names)));
            }
        }
        Ok(mirrors)
    }

    /// All bdevs.
    pub(crate) fn bdevs(&mut self) -> Result<Vec<Bdev>, Failure> {
        self.client.get("bdev_get_bdevs", Value::Null)
    }

    /// Prints a line.
    pub(crate) fn say(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.out, "{line}")?;
        Ok(())
    }

    /// Says that something was done: what the application has answered with `--json`, else a line.
    pub(crate) fn say_done(&mut self, answer: &Value, line: &str) -> Result<(), Failure> {
        if self.json {
            return self.say_json(answer);
        }
        self.say(line)
    }

    /// Prints JSON.
    pub(crate) fn say_json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(std::io::Error::from)?;
        writeln!(self.out, "{text}")?;
        Ok(())
    }

    /// Adds what may help to an error of the application.
    pub(crate) fn explain(&mut self, failure: Failure) -> Failure {
        let Failure::Rpc { error, hint: None } = &failure else {
            return failure;
        };
        let hint = match error.code {
            RpcFailure::METHOD_NOT_FOUND => self.explain_missing_method(),
            RpcFailure::INVALID_STATE if error.message.contains("RPC-s are allowed") => {
                "the application has not finished its start".to_owned()
            }
            _ => return failure,
        };
        failure.with_hint(hint)
    }

    fn explain_missing_method(&mut self) -> String {
        let methods: Vec<String> = self
            .client
            .get("rpc_get_methods", Value::Null)
            .unwrap_or_default();
        let socket = self.socket.display();
        if methods.iter().any(|method| method == "raid1_create") {
            format!(
                "the raid1 at {socket} cannot do this: it is of another version than raid1ctl,\n\
                 or cannot do it yet"
            )
        } else {
            format!(
                "the application at {socket} has no mirrors of ours: start raid1, or an\n\
                 application of SPDK with libbarespdk_raid1.so in LD_PRELOAD"
            )
        }
    }
}
