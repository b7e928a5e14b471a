//! What a C header declares, as places in its text.

use std::ops::Range;

use crate::bindings::Kind;

/// One declared name with its own part of the declaration: `*x[4]` of `int *x[4]`.
#[derive(Clone, Debug)]
pub(crate) struct Declarator {
    pub(crate) name: Option<String>,
    pub(crate) span: Range<usize>,
    /// The width, if it is a bit-field.
    pub(crate) width: Option<Range<usize>>,
    /// The parameters, if it is a pointer to a function.
    pub(crate) parameters: Option<Parameters>,
}

/// The parameters of a function.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    /// Between the parentheses.
    pub(crate) span: Range<usize>,
    pub(crate) list: Vec<Parameter>,
    pub(crate) variadic: bool,
}

/// A parameter of a function.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    /// `None` for parameters without a name.
    pub(crate) name: Option<String>,
    pub(crate) span: Range<usize>,
}

/// A declaration within a struct or union: `int *x[4], y;`.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// With its semicolon.
    pub(crate) span: Range<usize>,
    /// The type in front of the declarators.
    pub(crate) base: Range<usize>,
    pub(crate) declarators: Vec<Declarator>,
    /// The struct or union that is defined in place.
    pub(crate) inner: Option<Aggregate>,
}

/// The definition of a struct or union.
#[derive(Clone, Debug)]
pub(crate) struct Aggregate {
    pub(crate) kind: Kind,
    pub(crate) tag: Option<String>,
    /// From the keyword to the closing brace and the attributes behind it.
    pub(crate) span: Range<usize>,
    /// Just behind the closing brace.
    pub(crate) brace_end: usize,
    pub(crate) members: Vec<Member>,
}

impl Aggregate {
    /// The member that declares a name, also within members without a name, and the declarator.
    pub(crate) fn member(&self, name: &str) -> Option<(&Member, &Declarator)> {
        for member in &self.members {
            let found = member
                .declarators
                .iter()
                .find(|d| d.name.as_deref() == Some(name));
            if let Some(declarator) = found {
                return Some((member, declarator));
            }
            if member.declarators.is_empty()
                && let Some(found) = member.inner.as_ref().and_then(|inner| inner.member(name))
            {
                return Some(found);
            }
        }
        None
    }

    /// The struct or union whose direct member declares a name.
    pub(crate) fn owner(&self, name: &str) -> Option<&Aggregate> {
        for member in &self.members {
            if member
                .declarators
                .iter()
                .any(|d| d.name.as_deref() == Some(name))
            {
                return Some(self);
            }
            if member.declarators.is_empty()
                && let Some(found) = member.inner.as_ref().and_then(|inner| inner.owner(name))
            {
                return Some(found);
            }
        }
        None
    }
}

/// An enumerator with its value, if it has one.
#[derive(Clone, Debug)]
pub(crate) struct Enumerator {
    pub(crate) name: String,
    /// Name and value.
    pub(crate) span: Range<usize>,
}

/// The definition of an enum.
#[derive(Clone, Debug)]
pub(crate) struct Enum {
    pub(crate) tag: Option<String>,
    pub(crate) enumerators: Vec<Enumerator>,
}

/// A function or a typedef of a pointer to one.
#[derive(Clone, Debug)]
pub(crate) struct Callable {
    pub(crate) name: String,
    /// The result type; without `static inline` and the like.
    pub(crate) result: Range<usize>,
    pub(crate) parameters: Parameters,
    /// The braces of a function that is defined in the header.
    pub(crate) body: Option<Range<usize>>,
}
