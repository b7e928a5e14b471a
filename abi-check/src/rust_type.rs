//! Types as the bindings spell them, and the C spelling of each.

use crate::bindings::{Bindings, Entry, Kind};
use crate::nesting::CPath;

/// The type of a field, a parameter or a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RustType {
    Void,
    Never,
    Bool,
    /// `c_char`: the C type `char`, which is neither `signed char` nor `unsigned char`.
    Char,
    Integer {
        signed: bool,
        bytes: u64,
    },
    Float {
        bytes: u64,
    },
    /// A type of the bindings or of another crate, by its last path segment.
    Named(String),
    Pointer {
        constant: bool,
        to: Box<RustType>,
    },
    Array {
        of: Box<RustType>,
        len: u64,
    },
    /// `Option<unsafe extern "C" fn(..)>`
    Function(Box<Prototype>),
    /// Not a type that the reader knows, as written.
    Unknown(String),
}

/// A parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) name: Option<String>,
    pub(crate) ty: RustType,
}

/// Parameters and result of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prototype {
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) result: RustType,
    pub(crate) variadic: bool,
}

impl RustType {
    /// Follows the aliases of the bindings to a type that says what it is.
    pub(crate) fn resolved<'a>(&'a self, bindings: &'a Bindings) -> &'a RustType {
        let mut ty = self;
        // Rust refuses cyclic aliases, but the reader does not: stop rather than hang.
        for _ in 0..16 {
            let RustType::Named(name) = ty else { break };
            match bindings.entry(name) {
                Some(Entry::Alias(index)) => ty = &bindings.aliases[index].ty,
                _ => break,
            }
        }
        ty
    }

    /// The first part of the type that is not understood.
    pub(crate) fn unknown(&self) -> Option<&str> {
        match self {
            RustType::Unknown(text) => Some(text),
            RustType::Pointer { to, .. } => to.unknown(),
            RustType::Array { of, .. } => of.unknown(),
            RustType::Function(prototype) => prototype
                .parameters
                .iter()
                .find_map(|p| p.ty.unknown())
                .or_else(|| prototype.result.unknown()),
            _ => None,
        }
    }

    /// Whether a Rust name stands for a C name: words that Rust reserves get an underscore.
    pub(crate) fn same_name(rust: &str, c: &str) -> bool {
        rust == c || rust.strip_suffix('_') == Some(c)
    }

    /// The C declaration of `name` with this type: `int *x` for a pointer and `x`.
    pub(crate) fn declaration(&self, name: &str, bindings: &Bindings) -> String {
        self.declare(name, false, bindings)
    }

    fn declare(&self, name: &str, constant: bool, bindings: &Bindings) -> String {
        let base = |ty: &str| {
            let ty = if constant {
                format!("const {ty}")
            } else {
                ty.to_string()
            };
            if name.is_empty() {
                ty
            } else {
                format!("{ty} {name}")
            }
        };
        match self {
            RustType::Void | RustType::Never => base("void"),
            RustType::Bool => base("_Bool"),
            RustType::Char => base("char"),
            RustType::Integer {
                signed: true,
                bytes,
            } => base(&format!("int{}_t", bytes * 8)),
            RustType::Integer {
                signed: false,
                bytes,
            } => base(&format!("uint{}_t", bytes * 8)),
            RustType::Float { bytes: 4 } => base("float"),
            RustType::Float { .. } => base("double"),
            RustType::Named(type_name) => base(&Self::c_name(type_name, bindings)),
            RustType::Pointer {
                constant: constant_target,
                to,
            } => {
                let qualifier = if constant { "const " } else { "" };
                let pointer = match **to {
                    RustType::Array { .. } => format!("(*{qualifier}{name})"),
                    _ => format!("*{qualifier}{name}"),
                };
                to.declare(pointer.trim_end(), *constant_target, bindings)
            }
            RustType::Array { of, len } => {
                of.declare(&format!("{name}[{len}]"), constant, bindings)
            }
            RustType::Function(prototype) => {
                let qualifier = if constant { "const " } else { "" };
                prototype.declaration(&format!("(*{qualifier}{name})"), bindings)
            }
            RustType::Unknown(text) => base(&format!("/* {text} */ void")),
        }
    }

    fn c_name(name: &str, bindings: &Bindings) -> String {
        match bindings.entry(name) {
            Some(Entry::Aggregate(_)) => CPath::of(name, bindings).type_expression(),
            Some(Entry::Enumeration(_)) => format!("enum {name}"),
            Some(Entry::Opaque) => format!("struct {name}"),
            Some(Entry::Callback(_) | Entry::Alias(_)) => name.to_string(),
            None => match libc_layout(name) {
                Some((Some(kind), ..)) => format!("{} {name}", kind.keyword()),
                _ => name.to_string(),
            },
        }
    }

    /// The type as a cast would name it.
    pub(crate) fn spelling(&self, bindings: &Bindings) -> String {
        self.declaration("", bindings).trim_end().to_string()
    }
}

impl Prototype {
    /// The C declaration of a function, or with `(*name)` of a pointer to one.
    pub(crate) fn declaration(&self, name: &str, bindings: &Bindings) -> String {
        let mut parameters: Vec<String> = self
            .parameters
            .iter()
            .map(|p| {
                let name = p.name.as_deref().unwrap_or("");
                p.ty.declaration(name, bindings)
            })
            .collect();
        if self.variadic {
            parameters.push("...".to_string());
        }
        if parameters.is_empty() {
            parameters.push("void".to_string());
        }
        self.result
            .declaration(&format!("{name}({})", parameters.join(", ")), bindings)
    }
}

/// Size and alignment in bytes, with the C tag's kind if there is one, of the types that bindings
/// take from the `libc` crate.
pub(crate) fn libc_layout(name: &str) -> Option<(Option<Kind>, u64, u64)> {
    fn of<T>(kind: Option<Kind>) -> Option<(Option<Kind>, u64, u64)> {
        Some((kind, size_of::<T>() as u64, align_of::<T>() as u64))
    }
    match name {
        "iovec" => of::<libc::iovec>(Some(Kind::Struct)),
        "timespec" => of::<libc::timespec>(Some(Kind::Struct)),
        "timeval" => of::<libc::timeval>(Some(Kind::Struct)),
        "sockaddr" => of::<libc::sockaddr>(Some(Kind::Struct)),
        "sockaddr_storage" => of::<libc::sockaddr_storage>(Some(Kind::Struct)),
        "option" => of::<libc::option>(Some(Kind::Struct)),
        "pthread_t" => of::<libc::pthread_t>(None),
        "pthread_mutex_t" => of::<libc::pthread_mutex_t>(None),
        "pthread_spinlock_t" => of::<libc::pthread_spinlock_t>(None),
        "pthread_cond_t" => of::<libc::pthread_cond_t>(None),
        _ => None,
    }
}
