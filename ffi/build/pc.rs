//! The `.pc` files of pkg-config: what SPDK's libraries are called and which others they need.

use std::collections::HashMap;

/// What a `.pc` file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pc {
    /// Names of other `.pc` files, those of `Requires.private` too.
    pub(crate) requires: Vec<String>,
    /// Linker arguments, those of `Libs.private` too.
    pub(crate) libs: Vec<String>,
    /// Compiler arguments.
    pub(crate) cflags: Vec<String>,
}

impl Pc {
    /// Reads the text of a `.pc` file. Unknown lines are ignored and unknown variables are empty, as
    /// pkg-config has it.
    pub(crate) fn parse(text: &str) -> Pc {
        let mut pc = Pc::default();
        let mut variables = HashMap::new();
        for line in text.lines() {
            let line = expand(line.trim(), &variables);
            // A variable's name ends in `=`, a field's in `:`; whichever comes first decides.
            let Some(end) = line.find(['=', ':']) else {
                continue;
            };
            let (name, value) = (line[..end].trim(), line[end + 1..].trim());
            if line[end..].starts_with('=') {
                variables.insert(name.to_owned(), value.to_owned());
                continue;
            }
            match name {
                "Requires" | "Requires.private" => pc.requires.extend(packages(value)),
                "Libs" | "Libs.private" => pc.libs.extend(words(value)),
                "Cflags" | "CFlags" => pc.cflags.extend(words(value)),
                _ => {}
            }
        }
        pc
    }

    /// Directories of `-L`.
    pub(crate) fn lib_dirs(&self) -> impl Iterator<Item = &str> {
        self.libs.iter().filter_map(|arg| arg.strip_prefix("-L"))
    }

    /// Directories of `-I`.
    pub(crate) fn include_dirs(&self) -> impl Iterator<Item = &str> {
        self.cflags.iter().filter_map(|arg| arg.strip_prefix("-I"))
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace().map(str::to_owned)
}

/// Names in a list such as `a, b >= 1.2 c`.
fn packages(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut words = text.split([' ', '\t', ',']).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        if word.starts_with(['<', '>', '=', '!']) {
            words.next();
        } else {
            names.push(word.to_owned());
        }
    }
    names
}

fn expand(text: &str, variables: &HashMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            rest = after;
            break;
        };
        expanded.push_str(variables.get(name).map_or("", String::as_str));
        rest = after;
    }
    expanded.push_str(rest);
    expanded
}
