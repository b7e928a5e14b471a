//! Names what `ffi/` declares and no layer above uses: a binding that nobody calls is a binding
//! that nobody tests.
//!
//! ```text
//! rustc --edition 2024 -o ffi_usage ci/ffi_usage.rs && ./ffi_usage ffi/src core/src core/tests ..
//! ```
//!
//! The first directory declares, the others use: the sources of the layers above, their tests,
//! benches and examples, and those of the embedded backend, whose parts call each other by what is
//! declared. To define a function is no use of it. An item is used if one of them names it, or if an
//! item that is used does.
//! An enumeration counts as one item with its enumerators, a struct as one with its bit-fields. Exit
//! codes: 0 all used, 1 some are not, 2 the directories are no good.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

/// Something that `ffi/` declares.
#[derive(Debug, Default)]
struct Item {
    /// The name, and for an enumeration those of its enumerators.
    names: Vec<String>,
    /// Every word of its declaration.
    words: HashSet<String>,
}

/// Splits source into words and single punctuation marks; comments and literals are left out.
fn tokens(source: &str) -> Vec<String> {
    let text: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let length = match rest[0] {
            '/' if rest.starts_with(&['/', '/']) => until(rest, |tail| tail[0] == '\n'),
            '/' if rest.starts_with(&['/', '*']) => {
                until(rest, |tail| tail.starts_with(&['*', '/'])) + 2
            }
            '"' => string_length(rest),
            '\'' if rest.get(2) == Some(&'\'') => 3,
            first if first.is_alphanumeric() || first == '_' => {
                let length = until(rest, |tail| !(tail[0].is_alphanumeric() || tail[0] == '_'));
                found.push(rest[..length].iter().collect());
                length
            }
            first => {
                if !first.is_whitespace() {
                    found.push(first.to_string());
                }
                1
            }
        };
        at += length;
    }
    found
}

/// Number of characters before the first place where `stop` holds.
fn until(text: &[char], stop: impl Fn(&[char]) -> bool) -> usize {
    (0..text.len())
        .find(|&at| stop(&text[at..]))
        .unwrap_or(text.len())
}

/// Length of the string literal that `text` begins with.
fn string_length(text: &[char]) -> usize {
    let mut at = 1;
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// Cuts tokens into declarations: each ends with a `;` or a `}` outside of all brackets.
fn declarations(tokens: &[String]) -> Vec<&[String]> {
    let (mut depth, mut start, mut found) = (0_usize, 0, Vec::new());
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && (token == ";" || token == "}") {
            found.push(&tokens[start..=at]);
            start = at + 1;
        }
    }
    found
}

/// A declaration without the attributes before it.
fn without_attributes(mut declaration: &[String]) -> &[String] {
    while declaration.first().is_some_and(|token| token == "#") {
        let Some(length) = bracketed(declaration, "[", "]") else {
            break;
        };
        declaration = &declaration[length..];
    }
    declaration
}

/// Number of tokens up to the end of the first bracket pair.
fn bracketed(tokens: &[String], open: &str, close: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        if token == open {
            depth += 1;
        } else if token == close {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(at + 1);
            }
        }
    }
    None
}

/// What stands between the braces of a declaration.
fn body(declaration: &[String]) -> &[String] {
    let open = declaration
        .iter()
        .position(|token| token == "{")
        .map_or(0, |at| at + 1);
    &declaration[open..declaration.len() - 1]
}

/// The items of one source file.
fn items(tokens: &[String]) -> Vec<Item> {
    let mut found = Vec::new();
    for declaration in declarations(tokens) {
        let words: Vec<&str> = without_attributes(declaration)
            .iter()
            .map(String::as_str)
            .collect();
        let words_of = |names: Vec<String>| Item {
            names,
            words: words.iter().map(|word| (*word).to_owned()).collect(),
        };
        match words.as_slice() {
            ["unsafe", "extern", "{", ..] => found.extend(items(body(declaration))),
            ["opaque", "!", ..] => {
                found.extend(
                    without_attributes(body(declaration))
                        .first()
                        .map(|name| words_of(vec![name.clone()])),
                );
            }
            ["enumeration", "!", ..] => found.push(words_of(enumeration_names(body(declaration)))),
            ["bit_fields", "!", "{", owner, ..] | ["impl", owner, ..] => {
                found.push(words_of(vec![(*owner).to_owned()]));
            }
            ["pub", ..] => found.extend(public_name(&words).map(|name| words_of(vec![name]))),
            _ => {}
        }
    }
    found
}

/// The name of a `pub` declaration, unless it is a module or an import.
fn public_name(words: &[&str]) -> Option<String> {
    let keyword = words.iter().position(|word| {
        matches!(
            *word,
            "fn" | "struct" | "union" | "type" | "static" | "mod" | "use"
        ) || *word == "const"
    })?;
    // `pub const fn f` and `pub const C: T` both begin with `const`.
    let keyword =
        if words.get(keyword + 1) == Some(&"fn") || words.get(keyword + 1) == Some(&"unsafe") {
            words.iter().position(|word| *word == "fn")?
        } else {
            keyword
        };
    let skip = usize::from(words.get(keyword + 1) == Some(&"mut"));
    (!matches!(words[keyword], "mod" | "use"))
        .then(|| words.get(keyword + 1 + skip).map(|name| (*name).to_owned()))?
}

/// The name of an enumeration and those of its enumerators.
fn enumeration_names(body: &[String]) -> Vec<String> {
    let mut names: Vec<String> = without_attributes(body)
        .first()
        .cloned()
        .into_iter()
        .collect();
    for (at, token) in body.iter().enumerate() {
        if token == "=" && at > 0 {
            names.push(body[at - 1].clone());
        }
    }
    names
}

/// The names of what is not used, in order.
fn unused(items: &[Item], above: &HashSet<String>) -> Vec<String> {
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        for name in &item.names {
            by_name.entry(name).or_default().push(at);
        }
    }
    let mut used = vec![false; items.len()];
    let mut pending: Vec<&String> = above.iter().collect();
    while let Some(word) = pending.pop() {
        for &at in by_name.get(word.as_str()).into_iter().flatten() {
            if !used[at] {
                used[at] = true;
                pending.extend(&items[at].words);
            }
        }
    }
    let mut found: Vec<String> = items
        .iter()
        .zip(used)
        .filter(|(_, used)| !used)
        .map(|(item, _)| item.names[0].clone())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Every Rust file below a directory.
fn sources(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

/// The tokens of every Rust file below a directory, file by file.
fn read(directory: &Path) -> io::Result<Vec<Vec<String>>> {
    sources(directory)?
        .iter()
        .map(|path| Ok(tokens(&fs::read_to_string(path)?)))
        .collect()
}

/// The words of a source file that use what they name: not the names of functions that it defines, nor
/// those whose types it proves.
fn uses(tokens: Vec<String>) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = tokens.as_slice();
    while let Some((token, behind)) = rest.split_first() {
        rest = match token.as_str() {
            "fn" => behind.get(1..).unwrap_or_default(),
            "same_as_declared" => {
                let list = behind.get(1..).unwrap_or_default();
                let length = bracketed(list, "(", ")").unwrap_or(0);
                &list[length..]
            }
            _ => {
                found.push(token.clone());
                behind
            }
        };
    }
    found
}

fn check(declaring: &Path, using: &[PathBuf]) -> io::Result<(usize, Vec<String>)> {
    let items: Vec<Item> = read(declaring)?
        .iter()
        .flat_map(|file| items(file))
        .collect();
    let mut above = HashSet::new();
    for directory in using {
        above.extend(read(directory)?.into_iter().flat_map(uses));
    }
    Ok((items.len(), unused(&items, &above)))
}

fn main() -> ExitCode {
    let directories: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let Some((declaring, using)) = directories
        .split_first()
        .filter(|(_, using)| !using.is_empty())
    else {
        eprintln!("usage: ffi_usage DECLARING_DIR USING_DIR..");
        return ExitCode::from(2);
    };
    match check(declaring, using) {
        Err(error) => {
            eprintln!("ffi_usage: {error}");
            ExitCode::from(2)
        }
        Ok((0, _)) => {
            eprintln!("ffi_usage: {} declares nothing", declaring.display());
            ExitCode::from(2)
        }
        Ok((count, unused)) if unused.is_empty() => {
            println!("{count} declarations, all used by the layers above");
            ExitCode::SUCCESS
        }
        Ok((count, unused)) => {
            println!(
                "{} of {count} declarations are used by no layer above:",
                unused.len()
            );
            unused.iter().for_each(|name| println!("  {name}"));
            ExitCode::from(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARING: &str = r#"
        //! spdk_in_a_comment
        use core::ffi::c_int;
        opaque! {
            /// Doc with a brace }.
            spdk_thread
        }
        #[repr(C)]
        pub struct spdk_inner { pub value: c_int }
        layout! { struct spdk_inner: size 4, align 4 { value: 0 } }
        #[repr(C)]
        pub struct spdk_outer { pub inner: spdk_inner }
        bit_fields! { spdk_outer._bits0: u32 { spdk_flag: 0 + 1 } }
        enumeration! {
            /// Doc.
            spdk_kind: c_uint {
                /// Doc = with a sign.
                SPDK_KIND_A = 0,
                SPDK_KIND_B = 1,
            }
        }
        pub const SPDK_SIZE: usize = 96;
        unsafe extern "C" {
            pub fn spdk_call(outer: *mut spdk_outer);
            pub fn spdk_other(thread: *mut spdk_thread);
        }
        #[inline]
        pub const unsafe fn spdk_inline() -> usize { SPDK_SIZE }
    "#;

    fn unused_by(using: &str) -> Vec<String> {
        unused(
            &items(&tokens(DECLARING)),
            &uses(tokens(using)).into_iter().collect(),
        )
    }

    #[test]
    fn everything_is_unused_without_a_user() {
        let all = [
            "SPDK_SIZE",
            "spdk_call",
            "spdk_inline",
            "spdk_inner",
            "spdk_kind",
            "spdk_other",
            "spdk_outer",
            "spdk_thread",
        ];
        assert_eq!(unused_by("fn main() {}"), all);
    }

    #[test]
    fn a_comment_or_a_literal_is_no_use() {
        assert_eq!(
            unused_by("// spdk_call\n/* spdk_call */ let a = \"spdk_call\";").len(),
            8
        );
    }

    #[test]
    fn a_definition_is_no_use() {
        let defined = "extern \"C\" fn spdk_call() {} same_as_declared!(spdk_call, spdk_other);";
        assert_eq!(unused_by(defined).len(), 8);
        assert!(!unused_by("fn a() { spdk_call() }").contains(&"spdk_call".to_owned()));
    }

    #[test]
    fn what_a_used_item_names_is_used() {
        let left = [
            "SPDK_SIZE",
            "spdk_inline",
            "spdk_kind",
            "spdk_other",
            "spdk_thread",
        ];
        assert_eq!(unused_by("spdk_call(outer)"), left);
        assert!(!unused_by("spdk_inline()").contains(&"SPDK_SIZE".to_owned()));
    }

    #[test]
    fn one_enumerator_uses_its_enumeration() {
        assert!(!unused_by("SPDK_KIND_B").contains(&"spdk_kind".to_owned()));
    }

    #[test]
    fn an_item_does_not_use_itself() {
        let left = unused_by("spdk_call(); spdk_other(); spdk_inline();");
        assert_eq!(left, ["spdk_kind"]);
    }
}
