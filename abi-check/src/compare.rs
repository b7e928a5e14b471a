//! Whether a type of the bindings is the type that C has there.

use std::collections::BTreeMap;

use crate::bindings::{Bindings, Entry};
use crate::ctype::{CFunction, CType, CTypes, Encoding, Id};
use crate::nesting::CPath;
use crate::rust_type::{Prototype, RustType};

/// Compares types of the bindings with those of one compilation.
pub(crate) struct Comparer<'a> {
    pub(crate) bindings: &'a Bindings,
    pub(crate) types: &'a CTypes,
    /// The C struct or union of each mirrored one, by its Rust name.
    pub(crate) ids: BTreeMap<String, Id>,
}

impl Comparer<'_> {
    /// Whether two types are the same. `doc` is the doc comment of what has the type: a pointer to
    /// `c_void` may stand for a pointer to a type that the bindings do not mirror if `doc` names it.
    pub(crate) fn same(&self, rust: &RustType, c: &CType, doc: &str) -> bool {
        let bare = c.bare();
        match rust.resolved(self.bindings) {
            RustType::Void | RustType::Never => *bare == CType::Void,
            RustType::Bool => matches!(
                bare,
                CType::Base {
                    encoding: Encoding::Boolean,
                    ..
                }
            ),
            RustType::Char => matches!(bare, CType::Base { name, .. } if name == "char"),
            RustType::Integer {
                signed,
                bytes: expected,
            } => {
                let wanted = if *signed {
                    Encoding::Signed
                } else {
                    Encoding::Unsigned
                };
                matches!(
                    bare,
                    CType::Base { name, encoding, bytes }
                        if name != "char" && *encoding == wanted && bytes == expected
                )
            }
            RustType::Float { bytes: expected } => matches!(
                bare,
                CType::Base { encoding: Encoding::Float, bytes, .. } if bytes == expected
            ),
            RustType::Named(name) => self.same_named(name, c, doc),
            RustType::Pointer { constant, to } => {
                let CType::Pointer(target) = bare else {
                    return false;
                };
                if target.is_const() != *constant {
                    return false;
                }
                self.same(to, target, doc)
                    || (*to.resolved(self.bindings) == RustType::Void
                        && self.documented(target, doc))
            }
            RustType::Array { of, len } => match bare {
                CType::Array {
                    of: c_of,
                    len: c_len,
                } => *len == c_len.unwrap_or(0) && self.same(of, c_of, doc),
                _ => false,
            },
            RustType::Function(prototype) => self.same_pointer(prototype, bare, doc),
            RustType::Unknown(_) => false,
        }
    }

    /// Whether two functions have the same result, parameters and variadicity.
    pub(crate) fn same_function(&self, rust: &Prototype, c: &CFunction, doc: &str) -> bool {
        rust.variadic == c.variadic
            && rust.parameters.len() == c.parameters.len()
            && self.same(&rust.result, &c.result, doc)
            && rust
                .parameters
                .iter()
                .zip(&c.parameters)
                .all(|(r, c)| self.same(&r.ty, c, doc))
    }

    fn same_pointer(&self, prototype: &Prototype, bare: &CType, doc: &str) -> bool {
        match bare {
            CType::Pointer(target) => match target.bare() {
                CType::Function(function) => self.same_function(prototype, function, doc),
                _ => false,
            },
            _ => false,
        }
    }

    fn same_named(&self, name: &str, c: &CType, doc: &str) -> bool {
        let bare = c.bare();
        match self.bindings.entry(name) {
            Some(Entry::Callback(index)) => {
                self.same_pointer(&self.bindings.callbacks[index].prototype, bare, doc)
            }
            Some(Entry::Enumeration(_)) => match bare {
                CType::Enum(id) => self
                    .types
                    .enums
                    .get(id)
                    .is_some_and(|e| e.tag.as_deref() == Some(name)),
                _ => false,
            },
            Some(Entry::Aggregate(index)) => {
                let CType::Aggregate(id) = bare else {
                    return false;
                };
                let Some(aggregate) = self.types.aggregates.get(id) else {
                    return false;
                };
                let path = CPath::of(name, self.bindings);
                match self.ids.get(name) {
                    Some(known) => known == id,
                    None => {
                        path.members.is_empty()
                            && aggregate.kind == self.bindings.aggregates[index].kind
                            && aggregate.tag.as_deref() == Some(name)
                    }
                }
            }
            Some(Entry::Opaque) => self.is_tagged(bare, name),
            Some(Entry::Alias(_)) => false,
            // A type of another crate: by its tag or by the typedef that C uses.
            None => self.is_tagged(bare, name) || goes_by(c, name),
        }
    }

    fn is_tagged(&self, bare: &CType, name: &str) -> bool {
        match bare {
            CType::Aggregate(id) => self
                .types
                .aggregates
                .get(id)
                .is_some_and(|a| a.tag.as_deref() == Some(name)),
            _ => false,
        }
    }

    /// Whether a doc comment names the C type behind a `c_void` pointer.
    fn documented(&self, target: &CType, doc: &str) -> bool {
        let named = |ty: &CType| doc.contains(&format!("`{}`", self.types.spelling(ty)));
        let bare = target.bare();
        *bare != CType::Void && (named(target.unqualified()) || named(bare))
    }
}

/// Whether a type is spelled with a typedef of this name.
fn goes_by(ty: &CType, name: &str) -> bool {
    match ty {
        CType::Typedef { name: typedef, to } => typedef == name || goes_by(to, name),
        CType::Const(to) | CType::Qualified(_, to) => goes_by(to, name),
        _ => false,
    }
}
