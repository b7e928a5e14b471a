//! Asks the C compiler what SPDK's headers say.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::compiler::Compiler;
use crate::ctype::{CType, CTypes, Id};
use crate::dwarf;

/// One question: a line of the probe.
#[derive(Clone, Debug)]
pub(crate) enum Query {
    /// Size, alignment and members of a struct or union, by a C expression for the type.
    Layout(String),
    /// The enumerators of `enum NAME`.
    Enum(String),
    /// The value of a macro or enumerator.
    Number(String),
    /// The value of a macro that is a string.
    Text(String),
    /// The type of a typedef.
    Typedef(String),
    /// The type of a function or variable.
    Declared(String),
}

/// What C says to a [`Query`].
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// C does not know it; the compiler's words.
    Missing(String),
    Layout {
        id: Id,
        size: u64,
        align: u64,
    },
    Enum(Id),
    Number(i128),
    Text(Vec<u8>),
    Type(CType),
}

/// All answers of one compilation.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) types: CTypes,
    pub(crate) answers: Vec<Answer>,
}

impl Query {
    fn line(&self, index: usize) -> String {
        match self {
            Query::Layout(ty) => format!(
                "__typeof__({ty}) *abi_type_{index}; \
                 const unsigned long long abi_layout_{index}[2] = {{ sizeof({ty}), _Alignof({ty}) }};"
            ),
            Query::Enum(name) => format!("enum {name} abi_type_{index};"),
            Query::Number(name) => {
                format!("const struct abi_number abi_number_{index} = ABI_NUMBER({name});")
            }
            Query::Text(name) => format!("const char abi_text_{index}[] = {name};"),
            Query::Typedef(name) => format!("{name} *abi_type_{index};"),
            Query::Declared(name) => format!("__typeof__({name}) *abi_type_{index};"),
        }
    }
}

/// A compiler, the include directories and a directory for the files of a probe.
#[derive(Debug)]
pub(crate) struct Prober<'a> {
    pub(crate) compiler: &'a Compiler,
    pub(crate) includes: Vec<PathBuf>,
    pub(crate) directory: &'a Path,
    /// Further flags for every compilation.
    pub(crate) flags: &'a [&'a str],
    /// A header that every C file includes first, for the sake of speed.
    pub(crate) prefix: Option<&'a str>,
}

/// How a probe is compiled.
pub(crate) const PROBE_FLAGS: [&str; 5] = ["-w", "-O0", "-g", "-gdwarf-5", "-gz=none"];

const PRELUDE: &str = "struct abi_number { unsigned long long value; unsigned char negative; };\n\
    #define ABI_NUMBER(x) { (unsigned long long)(x), (x) < 0 }\n";

impl Prober<'_> {
    /// The start of every C file: the headers.
    pub(crate) fn prelude(&self, headers: &[Arc<str>]) -> String {
        let mut text = String::new();
        if let Some(prefix) = self.prefix {
            text.push_str(&format!("#include \"{prefix}\"\n"));
        }
        text.push_str("#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n");
        for header in headers {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "#include <{header}>");
        }
        text
    }

    /// Compiles a file of the directory.
    pub(crate) fn compile(
        &self,
        name: &str,
        text: &str,
        flags: &[&str],
        output: Option<&Path>,
    ) -> Result<Vec<crate::compiler::Diagnostic>, String> {
        let source = self.directory.join(name);
        fs::write(&source, text).map_err(|e| format!("cannot write {}: {e}", source.display()))?;
        let flags: Vec<&str> = self.flags.iter().chain(flags).copied().collect();
        self.compiler
            .compile(&source, &self.includes, &flags, output)
    }

    /// Proves that all headers of SPDK come from the include directories, and not from another
    /// SPDK that the compiler finds by itself.
    ///
    /// # Errors
    ///
    /// A sentence for the user that names the first header from elsewhere.
    pub(crate) fn check_origin(&self, headers: &[Arc<str>]) -> Result<(), String> {
        let list = self.directory.join("dependencies");
        let Some(list_name) = list.to_str() else {
            return Ok(());
        };
        let flags = ["-w", "-M", "-MF", list_name];
        // What does not compile is reported by the questions.
        self.compile("origin.c", &self.prelude(headers), &flags, None)?;
        let text = fs::read_to_string(&list).unwrap_or_default();
        let foreign = text.split_whitespace().map(Path::new).find(|path| {
            path.parent().is_some_and(|parent| parent.ends_with("spdk"))
                && !self
                    .includes
                    .iter()
                    .any(|include| path.starts_with(include))
        });
        match foreign {
            Some(path) => Err(format!(
                "the headers include {} of another SPDK",
                path.display()
            )),
            None => Ok(()),
        }
    }

    /// Puts the questions to the compiler.
    ///
    /// # Errors
    ///
    /// A sentence for the user when the headers themselves do not compile.
    pub(crate) fn ask(&self, headers: &[Arc<str>], queries: &[Query]) -> Result<Facts, String> {
        let head = self.prelude(headers) + PRELUDE;
        let first_line = head.lines().count() + 1;
        let mut missing: Vec<Option<String>> = vec![None; queries.len()];
        let object = self.directory.join("probe.o");
        // Every round drops the questions that do not compile; more than a few rounds come only
        // from compilers that stop after a number of errors.
        for _ in 0..=queries.len() {
            let mut text = head.clone();
            for (index, query) in queries.iter().enumerate() {
                match &missing[index] {
                    None => text.push_str(&query.line(index)),
                    Some(_) => text.push_str("/* not in C */"),
                }
                text.push('\n');
            }
            let flags: Vec<&str> = PROBE_FLAGS.iter().copied().chain(["-c"]).collect();
            let diagnostics = self.compile("probe.c", &text, &flags, Some(&object))?;
            if diagnostics.is_empty() {
                let bytes = fs::read(&object).map_err(|e| format!("no object file: {e}"))?;
                return answers(&bytes, queries, missing);
            }
            let mut dropped = false;
            for diagnostic in &diagnostics {
                let index = diagnostic
                    .line
                    .and_then(|line| line.checked_sub(first_line));
                if let Some(missing) = index.and_then(|index| missing.get_mut(index)) {
                    dropped |= missing.is_none();
                    missing.get_or_insert_with(|| diagnostic.text.clone());
                }
            }
            if !dropped {
                let lines: Vec<_> = diagnostics
                    .iter()
                    .take(5)
                    .map(|d| d.text.as_str())
                    .collect();
                return Err(format!("the headers do not compile:\n{}", lines.join("\n")));
            }
        }
        Err("the probe does not compile".to_string())
    }
}

fn answers(
    object: &[u8],
    queries: &[Query],
    missing: Vec<Option<String>>,
) -> Result<Facts, String> {
    let facts = dwarf::read(object)?;
    let answers = queries
        .iter()
        .zip(missing)
        .enumerate()
        .map(|(index, (query, missing))| {
            if let Some(text) = missing {
                return Answer::Missing(text);
            }
            let ty = || facts.variables.get(&format!("abi_type_{index}")).cloned();
            let target = || match ty()? {
                CType::Pointer(to) => Some(*to),
                other => Some(other),
            };
            let bytes = |name: &str| facts.contents.get(&format!("abi_{name}_{index}"));
            let word = |bytes: &[u8], at: usize| {
                let bytes = bytes.get(at * 8..at * 8 + 8)?.try_into().ok()?;
                Some(u64::from_ne_bytes(bytes))
            };
            let answer = match query {
                Query::Layout(_) => target().and_then(|ty| match *ty.bare() {
                    CType::Aggregate(id) => {
                        let numbers = bytes("layout")?;
                        Some(Answer::Layout {
                            id,
                            size: word(numbers, 0)?,
                            align: word(numbers, 1)?,
                        })
                    }
                    _ => None,
                }),
                Query::Enum(_) => ty().and_then(|ty| match *ty.bare() {
                    CType::Enum(id) => Some(Answer::Enum(id)),
                    _ => None,
                }),
                Query::Number(_) => bytes("number").and_then(|bytes| {
                    let value = word(bytes, 0)?;
                    let negative = *bytes.get(8)? != 0;
                    let value = if negative {
                        value.cast_signed().into()
                    } else {
                        value.into()
                    };
                    Some(Answer::Number(value))
                }),
                Query::Text(_) => bytes("text")
                    .map(|bytes| Answer::Text(bytes.strip_suffix(&[0]).unwrap_or(bytes).to_vec())),
                Query::Typedef(_) | Query::Declared(_) => target().map(Answer::Type),
            };
            answer.unwrap_or_else(|| Answer::Missing("not what the name should be".to_string()))
        });
    let answers = answers.collect();
    Ok(Facts {
        answers,
        types: facts.types,
    })
}
