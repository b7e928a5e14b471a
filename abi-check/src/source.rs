//! The Rust files of the bindings: where they are, their documentation and their constants.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use syn::{Attribute, Item, Lit};

use crate::evaluate::Constants;
use crate::invocations::EnumerationInvocation;

/// Finds all `.rs` files of a directory and its subdirectories.
pub(crate) fn collect(directory: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
    Ok(())
}

/// Makes the constants of a file known, public or not.
pub(crate) fn collect_constants(items: &[Item], constants: &mut Constants) {
    for item in items {
        match item {
            Item::Const(item) => {
                constants.insert(item.ident.to_string(), (*item.expr).clone());
            }
            Item::Macro(item) if item.mac.path.is_ident("enumeration") => {
                if let Ok(enumeration) = item.mac.parse_body::<EnumerationInvocation>() {
                    for entry in enumeration.entries {
                        constants.insert(entry.name.to_string(), entry.value);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The doc comment of an item, one line of text a line.
pub(crate) fn doc_of(attributes: &[Attribute]) -> String {
    let mut doc = String::new();
    for attribute in attributes {
        if attribute.path().is_ident("doc")
            && let Ok(value) = attribute.meta.require_name_value()
            && let syn::Expr::Lit(literal) = &value.value
            && let Lit::Str(text) = &literal.lit
        {
            doc.push_str(&text.value());
            doc.push('\n');
        }
    }
    doc
}

/// The header of a `//! C: spdk/bdev.h` line.
pub(crate) fn header_of(attributes: &[Attribute]) -> Option<Arc<str>> {
    let doc = doc_of(attributes);
    let first = doc.lines().find(|line| !line.trim().is_empty())?;
    Some(
        first
            .trim()
            .strip_prefix("C:")?
            .trim()
            .trim_matches('`')
            .into(),
    )
}
