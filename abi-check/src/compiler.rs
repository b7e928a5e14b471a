//! The C compiler.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A C compiler: `cc`, or what the environment variable `CC` names.
#[derive(Clone, Debug)]
pub(crate) struct Compiler {
    command: Vec<OsString>,
}

/// An error or warning that the compiler gave.
#[derive(Clone, Debug)]
pub(crate) struct Diagnostic {
    /// The line of the compiled file, or `None` if the error is in a header.
    pub(crate) line: Option<usize>,
    /// The text, with the place for an error in a header.
    pub(crate) text: String,
}

impl Compiler {
    /// Takes `CC` of the environment into account; it may hold arguments.
    pub(crate) fn from_environment() -> Self {
        let named = std::env::var("CC").unwrap_or_default();
        let mut command: Vec<OsString> = named.split_whitespace().map(OsString::from).collect();
        if command.is_empty() {
            command.push("cc".into());
        }
        Self { command }
    }

    /// Compiles `source` with `flags`; the errors are those of the compiler, none for success.
    ///
    /// # Errors
    ///
    /// A sentence for the user when the compiler cannot be run or fails without saying why.
    pub(crate) fn compile(
        &self,
        source: &Path,
        includes: &[PathBuf],
        flags: &[&str],
        output: Option<&Path>,
    ) -> Result<Vec<Diagnostic>, String> {
        let mut command = Command::new(&self.command[0]);
        command
            .args(&self.command[1..])
            .args(["-std=gnu11", "-fno-diagnostics-color"]);
        command.args(flags);
        for include in includes {
            command.arg("-I").arg(include);
        }
        command.arg(source).env("LC_ALL", "C").stdin(Stdio::null());
        if let Some(output) = output {
            command.arg("-o").arg(output);
        }
        let name = self.command[0].to_string_lossy();
        let result = command
            .output()
            .map_err(|e| format!("cannot run the C compiler {name}: {e}"))?;
        if result.status.success() {
            return Ok(Vec::new());
        }
        let text = String::from_utf8_lossy(&result.stderr);
        let diagnostics: Vec<_> = text
            .lines()
            .filter_map(|line| diagnostic(line, source))
            .collect();
        if diagnostics.is_empty() {
            return Err(format!(
                "the C compiler {name} failed ({}): {}",
                result.status,
                text.trim()
            ));
        }
        Ok(diagnostics)
    }
}

/// Reads `file:line:column: error: text`.
fn diagnostic(line: &str, source: &Path) -> Option<Diagnostic> {
    let (place, text) = line
        .split_once(": error: ")
        .or_else(|| line.split_once(": fatal error: "))?;
    let in_source = place
        .strip_prefix(&*source.to_string_lossy())
        .and_then(|rest| rest.strip_prefix(':'))
        .and_then(|rest| rest.split(':').next()?.parse().ok());
    Some(match in_source {
        Some(line) => Diagnostic {
            line: Some(line),
            text: text.to_string(),
        },
        None => Diagnostic {
            line: None,
            text: line.to_string(),
        },
    })
}
