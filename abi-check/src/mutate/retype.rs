//! Other types of the same size.

use crate::ctype::{CType, CTypes, Encoding};

/// The tag of a struct that no header declares.
const OTHER: &str = "struct abi_check_other";

/// Declarations of `name` with another type that is as large as `ty`.
pub(super) fn retypes(ty: &CType, name: &str) -> Vec<String> {
    let declare = |ty: &str| format!("{ty} {name}");
    match ty.bare() {
        CType::Base { name, .. } if name == "char" => {
            vec![declare("signed char"), declare("unsigned char")]
        }
        CType::Base {
            encoding: Encoding::Unsigned,
            bytes,
            ..
        } => integers(*bytes, true).into_iter().map(declare).collect(),
        CType::Base {
            encoding: Encoding::Signed,
            bytes,
            ..
        } => integers(*bytes, false).into_iter().map(declare).collect(),
        CType::Base {
            encoding: Encoding::Boolean,
            ..
        } => vec![declare("unsigned char")],
        CType::Base {
            encoding: Encoding::Float,
            bytes,
            ..
        } => {
            vec![declare(if *bytes == 4 {
                "unsigned int"
            } else {
                "unsigned long"
            })]
        }
        CType::Enum(_) => vec![declare("int"), declare("unsigned int")],
        CType::Pointer(to) => {
            let mut all = vec![format!("{OTHER} *{name}"), declare("unsigned long")];
            if matches!(to.bare(), CType::Function(_)) {
                all.push(format!("void (*{name})({OTHER} *)"));
            }
            all
        }
        CType::Array { of, len } => retypes(of, &format!("{name}[{}]", len.unwrap_or(0))),
        _ => Vec::new(),
    }
}

/// The result types that a function may be changed to.
pub(super) fn results(ty: &CType) -> Vec<String> {
    match ty.bare() {
        CType::Void => vec!["int".to_string()],
        _ => {
            let mut all: Vec<String> = retypes(ty, "")
                .into_iter()
                .filter(|text| !text.contains('('))
                .collect();
            all.push("void".to_string());
            all
        }
    }
}

/// Declarations of `name` with a `const` dropped or added behind one of the type's pointers.
pub(super) fn requalified(types: &CTypes, ty: &CType, name: &str) -> Vec<String> {
    let variants = qualifications(ty);
    variants
        .iter()
        .filter_map(|variant| types.declaration(variant, name))
        .collect()
}

fn qualifications(ty: &CType) -> Vec<CType> {
    match ty.bare() {
        CType::Pointer(to) if !matches!(to.bare(), CType::Function(_)) => {
            let target = to.unqualified().clone();
            let changed = if to.is_const() {
                target
            } else {
                CType::Const(Box::new(target))
            };
            let mut all = vec![CType::Pointer(Box::new(changed))];
            all.extend(qualifications(to).into_iter().map(|inner| {
                let inner = if to.is_const() {
                    CType::Const(Box::new(inner))
                } else {
                    inner
                };
                CType::Pointer(Box::new(inner))
            }));
            all
        }
        CType::Array { of, len } => qualifications(of)
            .into_iter()
            .map(|of| CType::Array {
                of: Box::new(of),
                len: *len,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Number types of a size, without those of the given signedness.
fn integers(bytes: u64, unsigned: bool) -> Vec<&'static str> {
    match (bytes, unsigned) {
        (1, true) => vec!["signed char", "_Bool"],
        (1, false) => vec!["unsigned char", "_Bool"],
        (2, true) => vec!["short"],
        (2, false) => vec!["unsigned short"],
        (4, true) => vec!["int", "float"],
        (4, false) => vec!["unsigned int", "float"],
        (8, true) => vec!["long", "double", "void *"],
        (8, false) => vec!["unsigned long", "double", "void *"],
        _ => Vec::new(),
    }
}
