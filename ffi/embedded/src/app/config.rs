//! A configuration: methods to call at the start, grouped by subsystem.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::fmt;

use barespdk_sys::{
    SPDK_JSON_VAL_ARRAY_BEGIN, SPDK_JSON_VAL_NULL, SPDK_JSON_VAL_OBJECT_BEGIN,
    SPDK_JSON_VAL_STRING, SPDK_RPC_RUNTIME, SPDK_RPC_STARTUP,
};
use serde_json::Value;

use super::methods::SUBSYSTEMS;
use crate::json::{Document, Failure, Token, scan, to_value};
use crate::rpc::{self, State};

/// One call.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    subsystem: String,
    method: String,
    params: Option<Value>,
    /// Where it stands in the text, counted from 1.
    line: usize,
}

/// The calls of a configuration, in their order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Config {
    /// The file, or what stands for it.
    name: String,
    entries: Vec<Entry>,
    /// Whether to go on after a call that fails.
    ignores_errors: bool,
}

/// What is wrong with a text, and where.
#[derive(Debug, PartialEq)]
pub(super) struct ConfigError {
    line: usize,
    column: usize,
    what: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {}",
            self.line, self.column, self.what
        )
    }
}

/// Line and column of a place in a text, counted from 1.
fn place(text: &[u8], at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    (line, at - start + 1)
}

impl Config {
    /// Reads a configuration. `name` is for messages.
    pub(super) fn parse(
        name: &str,
        text: &[u8],
        ignores_errors: bool,
    ) -> Result<Self, ConfigError> {
        let error = |at: usize, what: String| {
            let (line, column) = place(text, at);
            ConfigError { line, column, what }
        };
        let document = scan(text, true).map_err(|fault| {
            error(
                fault.at,
                match fault.failure {
                    Failure::Incomplete => "the JSON ends too early".into(),
                    Failure::Invalid => {
                        let found = text.get(fault.at..).unwrap_or_default();
                        let found = String::from_utf8_lossy(&found[..found.len().min(4)]);
                        let found = found.chars().next().unwrap_or_default();
                        format!("this is no JSON: unexpected {found:?}")
                    }
                    Failure::TooDeep => "too many arrays and objects in one another".into(),
                },
            )
        })?;
        let mut reader = Reader {
            text,
            error: &error,
            entries: Vec::new(),
        };
        reader.document(&document)?;
        if reader.entries.is_empty() {
            notice_log!("{name}: there are no methods to call\n");
        }
        Ok(Self {
            name: name.to_owned(),
            entries: reader.entries,
            ignores_errors,
        })
    }

    /// Calls the methods that are for the state that the application is in: first those for the
    /// start, then, in a second call, the others. `done` gets 0 or a negative errno value. On the
    /// app thread. If the application is asked to end meanwhile, `done` is not called.
    pub(super) fn load(self, done: fn(c_int)) {
        step(
            self.entries.into_iter().collect(),
            self.name,
            self.ignores_errors,
            done,
        );
    }
}

/// Calls the first of `entries` that is to be called now, and then the rest.
fn step(mut entries: VecDeque<Entry>, name: String, ignores_errors: bool, done: fn(c_int)) {
    if super::start::is_stopping() {
        return;
    }
    while let Some(entry) = entries.pop_front() {
        let Some(mask) = rpc::state_mask(&entry.method) else {
            if ignores_errors {
                continue;
            }
            if !SUBSYSTEMS.contains(&entry.subsystem.as_str()) {
                if rpc::state() == State::Runtime {
                    // It was said the first time.
                    continue;
                }
                notice_log!(
                    "{name}:{}: skipping method '{}': its subsystem '{}' is not part of this \
                     application\n",
                    entry.line,
                    entry.method,
                    entry.subsystem
                );
                continue;
            }
            error_log!(
                "{name}:{}: method '{}' was not found\n",
                entry.line,
                entry.method
            );
            return done(-libc::ENOENT);
        };
        if !is_for(mask, rpc::state()) {
            continue;
        }
        let Entry {
            method,
            params,
            line,
            ..
        } = entry;
        let method_name = method.clone();
        return rpc::call(&method, params.as_ref(), move |outcome| {
            if let Err(error) = outcome {
                error_log!(
                    "{name}:{line}: method '{method_name}' failed: {} ({})\n",
                    error.message,
                    error.code
                );
                if !ignores_errors {
                    return done(-libc::EINVAL);
                }
            }
            step(entries, name, ignores_errors, done);
        });
    }
    done(0);
}

/// Whether a method is to be called in a state. One for all states is called in the first.
fn is_for(mask: u32, state: State) -> bool {
    let always = SPDK_RPC_STARTUP | SPDK_RPC_RUNTIME;
    mask & state.mask() != 0 && (mask & always != always || state == State::Startup)
}

/// Walks through the tokens of a text.
struct Reader<'a, E> {
    text: &'a [u8],
    error: &'a E,
    entries: Vec<Entry>,
}

impl<'a, E: Fn(usize, String) -> ConfigError> Reader<'a, E> {
    fn document(&mut self, document: &Document) -> Result<(), ConfigError> {
        let members = self.members(&document.tokens, "the configuration")?;
        let Some((_, subsystems)) = members.iter().find(|(name, _)| name == "subsystems") else {
            warn_log!("The configuration has no 'subsystems'\n");
            return Ok(());
        };
        for subsystem in self.elements(subsystems, "'subsystems'")? {
            self.subsystem(subsystem)?;
        }
        Ok(())
    }

    fn subsystem(&mut self, tokens: &[Token]) -> Result<(), ConfigError> {
        let members = self.members(tokens, "a subsystem")?;
        let [subsystem, config] =
            self.known(tokens, &members, ["subsystem", "config"], "a subsystem")?;
        let subsystem = self.string(tokens, subsystem, "'subsystem'")?;
        let Some(config) = config else {
            return Err((self.error)(
                tokens[0].start,
                format!("the subsystem '{subsystem}' has no 'config'"),
            ));
        };
        if config[0].kind == SPDK_JSON_VAL_NULL {
            return Ok(());
        }
        for entry in self.elements(config, "'config'")? {
            let members = self.members(entry, "an entry of 'config'")?;
            let [method, params] = self.known(
                entry,
                &members,
                ["method", "params"],
                "an entry of 'config'",
            )?;
            let method = self.string(entry, method, "'method'")?;
            if let Some(params) = params
                && params[0].kind != SPDK_JSON_VAL_OBJECT_BEGIN
            {
                return Err(self.expected(params, "'params'", "an object"));
            }
            let params = params.map(|params| {
                to_value(params, self.text).map_err(|twice| {
                    let what = format!("the parameter '{}' is given twice", twice.0);
                    (self.error)(params[0].start, what)
                })
            });
            self.entries.push(Entry {
                subsystem: subsystem.clone(),
                method,
                params: params.transpose()?,
                line: place(self.text, entry[0].start).0,
            });
        }
        Ok(())
    }

    fn expected(&self, tokens: &[Token], what: &str, kind: &str) -> ConfigError {
        (self.error)(tokens[0].start, format!("{what} must be {kind}"))
    }

    /// The members of an object: their names and values.
    fn members<'t>(
        &self,
        tokens: &'t [Token],
        what: &str,
    ) -> Result<Vec<(String, &'t [Token])>, ConfigError> {
        if tokens[0].kind != SPDK_JSON_VAL_OBJECT_BEGIN {
            return Err(self.expected(tokens, what, "an object"));
        }
        let mut rest = &tokens[1..=tokens[0].len];
        let mut members = Vec::new();
        while let Some((name, behind)) = rest.split_first() {
            let (value, behind) = behind.split_at(value_len(behind));
            let name = String::from_utf8_lossy(name.text(self.text)).into_owned();
            members.push((name, value));
            rest = behind;
        }
        Ok(members)
    }

    fn elements<'t>(
        &self,
        tokens: &'t [Token],
        what: &str,
    ) -> Result<Vec<&'t [Token]>, ConfigError> {
        if tokens[0].kind != SPDK_JSON_VAL_ARRAY_BEGIN {
            return Err(self.expected(tokens, what, "an array"));
        }
        let mut rest = &tokens[1..=tokens[0].len];
        let mut elements = Vec::new();
        while !rest.is_empty() {
            let (element, behind) = rest.split_at(value_len(rest));
            elements.push(element);
            rest = behind;
        }
        Ok(elements)
    }

    /// The values of the two members that there may be.
    fn known<'t>(
        &self,
        tokens: &[Token],
        members: &[(String, &'t [Token])],
        names: [&str; 2],
        what: &str,
    ) -> Result<[Option<&'t [Token]>; 2], ConfigError> {
        let mut found = [None; 2];
        for (name, value) in members {
            let Some(index) = names.iter().position(|known| known == name) else {
                let what = format!("{what} has an unknown member '{name}'");
                return Err((self.error)(value[0].start, what));
            };
            if found[index].replace(*value).is_some() {
                let what = format!("{what} has '{name}' twice");
                return Err((self.error)(tokens[0].start, what));
            }
        }
        Ok(found)
    }

    fn string(
        &self,
        owner: &[Token],
        value: Option<&[Token]>,
        what: &str,
    ) -> Result<String, ConfigError> {
        match value {
            Some(value) if value[0].kind == SPDK_JSON_VAL_STRING => {
                match to_value(value, self.text) {
                    Ok(Value::String(text)) => Ok(text),
                    _ => Ok(String::new()),
                }
            }
            Some(value) => Err(self.expected(value, what, "a string")),
            None => Err((self.error)(
                owner[0].start,
                format!("{what} is missing here"),
            )),
        }
    }
}

/// How many tokens the first value has.
fn value_len(tokens: &[Token]) -> usize {
    match tokens[0].kind {
        SPDK_JSON_VAL_ARRAY_BEGIN | SPDK_JSON_VAL_OBJECT_BEGIN => tokens[0].len + 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests;
