//! A reader of the declarations in a C header. It knows as much of C as SPDK's headers use, and it
//! reads the header as it is written, without the preprocessor: what it finds are places in the
//! text, for the names of parameters and for mutations. Layouts and types come from the compiler.

use std::ops::Range;
use std::path::Path;

use crate::bindings::Kind;
use crate::declaration::{Aggregate, Callable, Enum};
use crate::parser::{Declarations, parse};
use crate::token::{Macro, split};

/// A header and what it declares.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) text: String,
    pub(crate) aggregates: Vec<Aggregate>,
    pub(crate) enums: Vec<Enum>,
    pub(crate) callables: Vec<Callable>,
    pub(crate) macros: Vec<Macro>,
}

impl Header {
    /// Reads a header file.
    ///
    /// # Errors
    ///
    /// A sentence for the user when the file cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let bytes =
            std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        Ok(Self::parse(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Reads the text of a header.
    pub(crate) fn parse(text: String) -> Self {
        let (tokens, macros) = split(&text);
        let Declarations {
            aggregates,
            enums,
            callables,
        } = parse(&text, &tokens);
        Self {
            aggregates,
            enums,
            callables,
            macros,
            text,
        }
    }

    /// The definition of a struct or union, also of one within another.
    pub(crate) fn aggregate(&self, kind: Kind, tag: &str) -> Option<&Aggregate> {
        fn find<'a>(items: &'a [Aggregate], kind: Kind, tag: &str) -> Option<&'a Aggregate> {
            items.iter().find_map(|item| {
                if item.kind == kind && item.tag.as_deref() == Some(tag) {
                    return Some(item);
                }
                let inner = item
                    .members
                    .iter()
                    .filter_map(|member| member.inner.as_ref());
                inner
                    .into_iter()
                    .find_map(|inner| find(std::slice::from_ref(inner), kind, tag))
            })
        }
        find(&self.aggregates, kind, tag)
    }

    /// The function or callback typedef of a name.
    pub(crate) fn callable(&self, name: &str) -> Option<&Callable> {
        self.callables.iter().find(|callable| callable.name == name)
    }

    /// Text of a place.
    pub(crate) fn slice(&self, span: &Range<usize>) -> &str {
        &self.text[span.clone()]
    }
}
