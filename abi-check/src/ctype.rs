//! Types as the C compiler understood them.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::bindings::Kind;

/// How a base type is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Signed,
    Unsigned,
    Boolean,
    Float,
}

/// Stands for the name of a type without one, in messages.
const NO_TAG: &str = "(no tag)";

/// Names a struct, union or enum within one [`CTypes`].
pub(crate) type Id = usize;

/// A C type. Structs, unions and enums are kept apart, because they may refer to themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CType {
    Void,
    Base {
        name: String,
        encoding: Encoding,
        bytes: u64,
    },
    Pointer(Box<CType>),
    Const(Box<CType>),
    /// `volatile`, `_Atomic` or `restrict`
    Qualified(&'static str, Box<CType>),
    Array {
        of: Box<CType>,
        len: Option<u64>,
    },
    Aggregate(Id),
    Enum(Id),
    Function(Box<CFunction>),
    Typedef {
        name: String,
        to: Box<CType>,
    },
}

/// Result and parameters of a C function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CFunction {
    pub(crate) result: CType,
    pub(crate) parameters: Vec<CType>,
    pub(crate) variadic: bool,
}

/// A member of a struct or union.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CMember {
    /// Empty for a member without a name.
    pub(crate) name: String,
    pub(crate) ty: CType,
    /// In bytes from the start of the struct; of a bit-field the byte of its first bit.
    pub(crate) offset: u64,
    /// Of a bit-field: first bit, counted from the start of the struct, and width.
    pub(crate) bits: Option<(u64, u64)>,
}

/// A struct or union.
#[derive(Clone, Debug)]
pub(crate) struct CAggregate {
    pub(crate) kind: Kind,
    pub(crate) tag: Option<String>,
    /// In bytes; `None` if it is only declared.
    pub(crate) size: Option<u64>,
    pub(crate) members: Vec<CMember>,
}

/// An enum.
#[derive(Clone, Debug)]
pub(crate) struct CEnum {
    pub(crate) tag: Option<String>,
    pub(crate) signed: bool,
    pub(crate) bytes: u64,
    pub(crate) enumerators: Vec<(String, i128)>,
}

/// All structs, unions and enums that a compilation met.
#[derive(Debug, Default)]
pub(crate) struct CTypes {
    pub(crate) aggregates: BTreeMap<Id, CAggregate>,
    pub(crate) enums: BTreeMap<Id, CEnum>,
}

impl CType {
    /// Without typedefs and qualifiers of the type itself.
    pub(crate) fn bare(&self) -> &CType {
        match self {
            CType::Typedef { to, .. } | CType::Const(to) | CType::Qualified(_, to) => to.bare(),
            _ => self,
        }
    }

    /// Without qualifiers, but with its typedefs.
    pub(crate) fn unqualified(&self) -> &CType {
        match self {
            CType::Const(to) | CType::Qualified(_, to) => to.unqualified(),
            _ => self,
        }
    }

    /// Whether the type itself, or a typedef that it goes by, is `const`.
    pub(crate) fn is_const(&self) -> bool {
        match self {
            CType::Const(_) => true,
            CType::Typedef { to, .. } | CType::Qualified(_, to) => to.is_const(),
            // C puts the qualifier of an array on its elements.
            CType::Array { of, .. } => of.is_const(),
            _ => false,
        }
    }
}

impl CTypes {
    /// Size in bytes; `None` for what has none.
    pub(crate) fn size(&self, ty: &CType) -> Option<u64> {
        match ty.bare() {
            CType::Base { bytes, .. } => Some(*bytes),
            CType::Pointer(_) => Some(8),
            CType::Array { of, len } => Some(self.size(of)? * len.unwrap_or(0)),
            CType::Aggregate(id) => self.aggregates.get(id)?.size,
            CType::Enum(id) => Some(self.enums.get(id)?.bytes),
            _ => None,
        }
    }

    /// The members of a struct or union with those of its members without a name in their place.
    pub(crate) fn flat_members(&self, id: Id) -> Vec<CMember> {
        let mut flat = Vec::new();
        let Some(aggregate) = self.aggregates.get(&id) else {
            return flat;
        };
        for member in &aggregate.members {
            match member.ty.bare() {
                CType::Aggregate(inner) if member.name.is_empty() => {
                    for mut inner in self.flat_members(*inner) {
                        inner.offset += member.offset;
                        if let Some((first, _)) = &mut inner.bits {
                            *first += member.offset * 8;
                        }
                        flat.push(inner);
                    }
                }
                _ => flat.push(member.clone()),
            }
        }
        flat
    }

    /// The C spelling of a type.
    pub(crate) fn spelling(&self, ty: &CType) -> String {
        self.declare(ty, String::new()).trim_end().to_string()
    }

    /// The C declaration of a name with a type; `None` if the type cannot be spelled.
    pub(crate) fn declaration(&self, ty: &CType, name: &str) -> Option<String> {
        let text = self.declare(ty, name.to_string());
        (!text.contains(NO_TAG)).then(|| text.trim_end().to_string())
    }

    /// The C spelling of a function.
    pub(crate) fn prototype(&self, name: &str, function: &CFunction) -> String {
        let mut text = format!("{name}(");
        for (index, parameter) in function.parameters.iter().enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            // Writing into a String cannot fail.
            let _ = write!(text, "{separator}{}", self.spelling(parameter));
        }
        match (function.variadic, function.parameters.is_empty()) {
            (true, true) => text.push_str("..."),
            (true, false) => text.push_str(", ..."),
            (false, true) => text.push_str("void"),
            (false, false) => {}
        }
        text.push(')');
        self.declare(&function.result, text)
    }

    fn declare(&self, ty: &CType, declarator: String) -> String {
        let base = |name: &str| {
            if declarator.is_empty() {
                name.to_string()
            } else {
                format!("{name} {declarator}")
            }
        };
        match ty {
            CType::Void => base("void"),
            CType::Base { name, .. } | CType::Typedef { name, .. } => base(name),
            CType::Const(of) if matches!(**of, CType::Pointer(_)) => {
                self.declare(of, format!("const {declarator}"))
            }
            CType::Const(of) => format!("const {}", self.declare(of, declarator)),
            CType::Qualified(name, of) => format!("{name} {}", self.declare(of, declarator)),
            CType::Pointer(to) if matches!(**to, CType::Function(_) | CType::Array { .. }) => {
                self.declare(to, format!("(*{declarator})"))
            }
            CType::Pointer(to) => self.declare(to, format!("*{declarator}").trim_end().to_string()),
            CType::Array { of, len } => {
                let len = len.map(|len| len.to_string()).unwrap_or_default();
                self.declare(of, format!("{declarator}[{len}]"))
            }
            CType::Aggregate(id) => base(&self.aggregate_name(*id)),
            CType::Enum(id) => {
                let tag = self.enums.get(id).and_then(|e| e.tag.as_deref());
                base(&format!("enum {}", tag.unwrap_or(NO_TAG)))
            }
            CType::Function(function) => self.prototype(&declarator, function),
        }
    }

    fn aggregate_name(&self, id: Id) -> String {
        match self.aggregates.get(&id) {
            Some(CAggregate { kind, tag, .. }) => {
                format!("{} {}", kind.keyword(), tag.as_deref().unwrap_or(NO_TAG))
            }
            None => "struct (unknown)".to_string(),
        }
    }
}
