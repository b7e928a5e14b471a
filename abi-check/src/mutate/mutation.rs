//! One change to one header.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::header::Header;
use crate::selection::Selection;
use crate::token::split;

/// The kinds of changes, for the score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MutationKind {
    FieldSwappedSameType,
    FieldSwappedOtherType,
    FieldRetyped,
    FieldConst,
    FieldInserted,
    FieldRemoved,
    BitFieldMoved,
    BitFieldRetyped,
    StructPacked,
    StructUnpacked,
    EnumeratorRenumbered,
    EnumeratorInserted,
    EnumeratorRemoved,
    ConstantChanged,
    ConstantRemoved,
    ParameterAdded,
    ParameterRemoved,
    ParameterRetyped,
    ParameterSwapped,
    ParameterConst,
    ResultChanged,
    ResultConst,
    FunctionRemoved,
}

impl fmt::Display for MutationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::FieldSwappedSameType => "field swapped with a neighbour of the same type",
            Self::FieldSwappedOtherType => "field swapped with a neighbour of another type",
            Self::FieldRetyped => "field retyped to the same size",
            Self::FieldConst => "field: const dropped or added",
            Self::FieldInserted => "field inserted",
            Self::FieldRemoved => "field removed",
            Self::BitFieldMoved => "bit-field moved",
            Self::BitFieldRetyped => "bit-field retyped",
            Self::StructPacked => "struct packed",
            Self::StructUnpacked => "struct no longer packed",
            Self::EnumeratorRenumbered => "enumerator renumbered",
            Self::EnumeratorInserted => "enumerator inserted",
            Self::EnumeratorRemoved => "enumerator removed",
            Self::ConstantChanged => "constant changed",
            Self::ConstantRemoved => "constant removed",
            Self::ParameterAdded => "parameter added",
            Self::ParameterRemoved => "parameter removed",
            Self::ParameterRetyped => "parameter retyped",
            Self::ParameterSwapped => "parameter swapped with its neighbour",
            Self::ParameterConst => "parameter: const dropped or added",
            Self::ResultChanged => "return type changed",
            Self::ResultConst => "return type: const dropped or added",
            Self::FunctionRemoved => "function or callback type removed",
        })
    }
}

/// A replacement of a part of the text.
pub(crate) type Edit = (Range<usize>, String);

/// One change to one header.
#[derive(Clone, Debug)]
pub(crate) struct Mutation {
    pub(crate) kind: MutationKind,
    /// The header that is changed.
    pub(crate) header: Arc<str>,
    /// In the order of the text, without overlaps.
    pub(crate) edits: Vec<Edit>,
    /// What is changed, for the report.
    pub(crate) what: String,
    /// Index of what is mirrored and ought to notice.
    pub(crate) target: usize,
}

/// What the bindings mirror of one C declaration.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// What its C file includes.
    pub(crate) includes: Vec<Arc<str>>,
    pub(crate) selection: Selection,
}

/// A name changed wherever the header uses it, so that the header stays C.
pub(super) fn renamed(header: &Header, name: &str, new: &str) -> Vec<Edit> {
    let tokens = split(&header.text)
        .0
        .into_iter()
        .map(|token| token.start..token.end);
    let uses = tokens.filter(|span| header.slice(span) == name);
    uses.map(|span| (span, new.to_string())).collect()
}

/// The text with the edits made.
pub(crate) fn edited(text: &str, edits: &[Edit]) -> String {
    let mut result = String::with_capacity(text.len() + 64);
    let mut at = 0;
    for (range, replacement) in edits {
        result.push_str(&text[at..range.start]);
        result.push_str(replacement);
        at = range.end;
    }
    result.push_str(&text[at..]);
    result
}
