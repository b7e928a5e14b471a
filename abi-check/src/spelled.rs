//! From the syntax of a Rust type to what it means for C.

use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{GenericArgument, PathArguments, PointerMutability, ReturnType, Type};

use crate::evaluate::Constants;
use crate::rust_type::{Parameter, Prototype, RustType};

/// What a type of the bindings is. `constants` are the lengths that arrays may name.
pub(crate) fn rust_type(ty: &Type, constants: &Constants) -> RustType {
    match ty {
        Type::Paren(inner) => rust_type(&inner.elem, constants),
        Type::Group(inner) => rust_type(&inner.elem, constants),
        Type::Never(_) => RustType::Never,
        Type::Tuple(tuple) if tuple.elems.is_empty() => RustType::Void,
        Type::Ptr(pointer) => RustType::Pointer {
            constant: matches!(pointer.mutability, PointerMutability::Const(_)),
            to: Box::new(rust_type(&pointer.elem, constants)),
        },
        Type::Array(array) => {
            let len = constants
                .integer(&array.len)
                .and_then(|len| u64::try_from(len).ok());
            match len {
                Some(len) => RustType::Array {
                    of: Box::new(rust_type(&array.elem, constants)),
                    len,
                },
                None => unknown(ty),
            }
        }
        Type::Path(path) => named(path, constants).unwrap_or_else(|| unknown(ty)),
        _ => unknown(ty),
    }
}

fn unknown(ty: &Type) -> RustType {
    RustType::Unknown(ty.to_token_stream().to_string())
}

fn named(path: &syn::TypePath, constants: &Constants) -> Option<RustType> {
    let segment = path.path.segments.last()?;
    let name = segment.ident.unraw().to_string();
    if let PathArguments::AngleBracketed(arguments) = &segment.arguments {
        let inner = arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        })?;
        return match name.as_str() {
            "Option" => match inner {
                Type::FnPtr(function) if is_c(function.abi.as_ref()) => {
                    Some(RustType::Function(Box::new(prototype(function, constants))))
                }
                // `Option` of an alias of a bare function pointer.
                Type::Path(_) => Some(rust_type(inner, constants)),
                _ => None,
            },
            "NonNull" => Some(RustType::Pointer {
                constant: false,
                to: Box::new(rust_type(inner, constants)),
            }),
            // Wrappers without a layout of their own.
            "MaybeUninit" | "UnsafeCell" | "ManuallyDrop" | "Cell" => {
                Some(rust_type(inner, constants))
            }
            _ => None,
        };
    }
    let integer = |signed, bytes| RustType::Integer { signed, bytes };
    Some(match name.as_str() {
        "c_void" => RustType::Void,
        "bool" => RustType::Bool,
        "c_char" => RustType::Char,
        "i8" | "c_schar" => integer(true, 1),
        "u8" | "c_uchar" => integer(false, 1),
        "i16" | "c_short" => integer(true, 2),
        "u16" | "c_ushort" => integer(false, 2),
        "i32" | "c_int" | "pid_t" => integer(true, 4),
        "u32" | "c_uint" | "mode_t" | "uid_t" | "gid_t" => integer(false, 4),
        "i64" | "isize" | "c_long" | "c_longlong" | "ssize_t" | "off_t" | "time_t" => {
            integer(true, 8)
        }
        "u64" | "usize" | "c_ulong" | "c_ulonglong" | "size_t" => integer(false, 8),
        "f32" | "c_float" => RustType::Float { bytes: 4 },
        "f64" | "c_double" => RustType::Float { bytes: 8 },
        "String" | "str" | "char" => return None,
        _ => RustType::Named(name),
    })
}

/// Whether an ABI is that of C. `extern` alone means C too.
pub(crate) fn is_c(abi: Option<&syn::Abi>) -> bool {
    abi.is_some_and(|abi| abi.name.as_ref().is_none_or(|name| name.value() == "C"))
}

fn prototype(function: &syn::TypeFnPtr, constants: &Constants) -> Prototype {
    let parameters = function.inputs.iter().map(|input| Parameter {
        name: input
            .name
            .as_ref()
            .map(|(name, _)| name.unraw().to_string()),
        ty: rust_type(&input.ty, constants),
    });
    Prototype {
        parameters: parameters.collect(),
        result: match &function.output {
            ReturnType::Default => RustType::Void,
            ReturnType::Type(_, ty) => rust_type(ty, constants),
        },
        variadic: function.variadic.is_some(),
    }
}
