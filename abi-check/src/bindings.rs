//! What the bindings claim: the model that [`crate::reader`] makes of the Rust files.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::rust_type::{Prototype, RustType};

/// A line of a Rust file, for the report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Path as shown to the user.
    pub(crate) file: Arc<str>,
    /// Line, counted from 1.
    pub(crate) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Where an item stands and which C header it mirrors.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The Rust line.
    pub(crate) place: Place,
    /// The header of the file's `//! C:` line, as in an `#include`.
    pub(crate) header: Arc<str>,
    /// The doc comment.
    pub(crate) doc: Arc<str>,
}

/// Whether members follow or overlay each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Members follow each other.
    Struct,
    /// Members overlay each other.
    Union,
}

impl Kind {
    /// The C (and Rust) keyword.
    pub(crate) fn keyword(self) -> &'static str {
        match self {
            Kind::Struct => "struct",
            Kind::Union => "union",
        }
    }
}

/// A field of a struct or union.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) ty: RustType,
    pub(crate) origin: Origin,
}

impl Field {
    /// Stands for bit-fields of C, whose names and positions a `bit_fields!` lists.
    pub(crate) fn is_bits(&self) -> bool {
        self.name.starts_with("_bits")
    }

    /// Stands for the rest of the C type, whose members Rust does not name.
    pub(crate) fn is_tail(&self) -> bool {
        self.name == "_tail"
    }

    /// Whether C has a member of this name.
    pub(crate) fn is_mirrored(&self) -> bool {
        !self.is_bits() && !self.is_tail()
    }
}

/// A struct or union.
#[derive(Clone, Debug)]
pub(crate) struct Aggregate {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// `repr(packed)` or `repr(packed(N))`, in bytes.
    pub(crate) packed: Option<u64>,
    /// `repr(align(N))`, in bytes.
    pub(crate) align: Option<u64>,
    /// Whether `repr(C)` is there.
    pub(crate) repr_c: bool,
    pub(crate) fields: Vec<Field>,
    pub(crate) origin: Origin,
}

/// One name of a `bit_fields!`.
#[derive(Clone, Debug)]
pub(crate) struct BitField {
    pub(crate) name: String,
    /// First bit, counted from bit 0 of the Rust field.
    pub(crate) position: u64,
    /// Width in bits.
    pub(crate) width: u64,
    pub(crate) origin: Origin,
}

impl BitField {
    /// Whether C reads it as a signed number. The accessors give the plain bits, so the doc comment
    /// has to say it.
    pub(crate) fn is_signed(&self) -> bool {
        let mut words = self.origin.doc.split(|c: char| !c.is_alphanumeric());
        words.any(|word| word == "signed")
    }
}

/// The names of the bits of one integer field.
#[derive(Clone, Debug)]
pub(crate) struct BitFields {
    pub(crate) owner: String,
    pub(crate) field: String,
    pub(crate) integer: RustType,
    pub(crate) entries: Vec<BitField>,
    pub(crate) origin: Origin,
}

/// The pinned numbers of a type: a `layout!`.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    pub(crate) align: u64,
    /// Name, pinned offset and line.
    pub(crate) offsets: Vec<(String, u64, Place)>,
    pub(crate) origin: Origin,
}

/// One enumerator.
#[derive(Clone, Debug)]
pub(crate) struct Enumerator {
    pub(crate) name: String,
    pub(crate) value: i128,
    pub(crate) origin: Origin,
}

/// A mirrored C enum.
#[derive(Clone, Debug)]
pub(crate) struct Enumeration {
    pub(crate) name: String,
    pub(crate) integer: RustType,
    pub(crate) enumerators: Vec<Enumerator>,
    pub(crate) origin: Origin,
}

/// The value of a constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Integer(i128),
    Text(Vec<u8>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Integer(value) if value.unsigned_abs() > 0xffff => write!(f, "{value:#x}"),
            Value::Integer(value) => write!(f, "{value}"),
            Value::Text(text) => write!(f, "\"{}\"", text.escape_ascii()),
        }
    }
}

/// A constant that stands for a macro or a lone enumerator.
#[derive(Clone, Debug)]
pub(crate) struct Constant {
    pub(crate) name: String,
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// A function of an `extern "C"` block, or a function pointer type.
#[derive(Clone, Debug)]
pub(crate) struct Callable {
    pub(crate) name: String,
    pub(crate) prototype: Prototype,
    pub(crate) origin: Origin,
}

/// A variable of an `extern "C"` block, or an alias of another type.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) ty: RustType,
    pub(crate) origin: Origin,
}

/// A type that C hands out by pointer only.
#[derive(Clone, Debug)]
pub(crate) struct Opaque {
    pub(crate) name: String,
    pub(crate) origin: Origin,
}

/// Everything that the bindings claim, in the order of the files.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    /// Headers in order of first use.
    pub(crate) headers: Vec<Arc<str>>,
    /// The Rust file of each header.
    pub(crate) header_places: BTreeMap<Arc<str>, Place>,
    pub(crate) aggregates: Vec<Aggregate>,
    pub(crate) bit_fields: Vec<BitFields>,
    pub(crate) layouts: Vec<Layout>,
    pub(crate) enumerations: Vec<Enumeration>,
    pub(crate) constants: Vec<Constant>,
    pub(crate) callbacks: Vec<Callable>,
    pub(crate) functions: Vec<Callable>,
    pub(crate) statics: Vec<Named>,
    pub(crate) aliases: Vec<Named>,
    pub(crate) opaques: Vec<Opaque>,
    /// Functions that Rust rewrites because C has them `static inline`.
    pub(crate) rewritten: Vec<Callable>,
    /// What the reader could not make sense of, as lines for the report.
    pub(crate) complaints: Vec<(Place, String)>,
    index: BTreeMap<String, Entry>,
}

/// What a type name stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry {
    Aggregate(usize),
    Enumeration(usize),
    Callback(usize),
    Alias(usize),
    Opaque,
}

impl Bindings {
    /// Makes the type names findable; to be called once all items are there.
    pub(crate) fn index(&mut self) {
        let mut index = BTreeMap::new();
        let aggregates = self.aggregates.iter().map(|item| &item.name);
        index.extend(
            aggregates
                .enumerate()
                .map(|(i, n)| (n.clone(), Entry::Aggregate(i))),
        );
        let enumerations = self.enumerations.iter().map(|item| &item.name);
        index.extend(
            enumerations
                .enumerate()
                .map(|(i, n)| (n.clone(), Entry::Enumeration(i))),
        );
        let callbacks = self.callbacks.iter().map(|item| &item.name);
        index.extend(
            callbacks
                .enumerate()
                .map(|(i, n)| (n.clone(), Entry::Callback(i))),
        );
        let aliases = self.aliases.iter().map(|item| &item.name);
        index.extend(
            aliases
                .enumerate()
                .map(|(i, n)| (n.clone(), Entry::Alias(i))),
        );
        let opaques = self.opaques.iter().map(|item| &item.name);
        index.extend(opaques.map(|name| (name.clone(), Entry::Opaque)));
        self.index = index;
    }

    /// What a type name stands for; `None` for types of other crates.
    pub(crate) fn entry(&self, name: &str) -> Option<Entry> {
        self.index.get(name).copied()
    }

    /// The struct or union of a name.
    pub(crate) fn aggregate(&self, name: &str) -> Option<&Aggregate> {
        match self.entry(name)? {
            Entry::Aggregate(index) => Some(&self.aggregates[index]),
            _ => None,
        }
    }

    /// The first line of the Rust file of a header.
    pub(crate) fn place_of_header(&self, header: &str) -> Place {
        let unknown = || Place {
            file: "".into(),
            line: 0,
        };
        self.header_places
            .get(header)
            .cloned()
            .unwrap_or_else(unknown)
    }

    /// The pinned numbers of a type.
    pub(crate) fn layout(&self, name: &str) -> Option<&Layout> {
        self.layouts.iter().find(|layout| layout.name == name)
    }

    /// The bit-fields of a type, each with the field that holds them.
    pub(crate) fn bits_of<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a BitFields> {
        self.bit_fields
            .iter()
            .filter(move |bits| bits.owner == owner)
    }
}
