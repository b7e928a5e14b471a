//! Where in C a mirrored type stands: by its tag, or as a member without a tag of its own.

use crate::bindings::{Bindings, Kind};
use crate::rust_type::RustType;

/// The way to a C type: `spdk_bdev_io__u__bdev` is the type of the member `bdev` of the member `u`
/// of `struct spdk_bdev_io`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CPath {
    pub(crate) kind: Kind,
    /// The C tag.
    pub(crate) tag: String,
    /// Member names from the outermost type inwards, and whether the member is an array.
    pub(crate) members: Vec<(String, bool)>,
}

impl CPath {
    /// The way to the C type that a struct or union of the bindings mirrors.
    pub(crate) fn of(name: &str, bindings: &Bindings) -> Self {
        // A tag may hold two underscores itself; it is a parent only if it is a type with such a member.
        for (position, _) in name.rmatch_indices("__") {
            let (parent, member) = (&name[..position], &name[position + 2..]);
            let Some(parent_type) = bindings.aggregate(parent) else {
                continue;
            };
            let Some(field) = parent_type
                .fields
                .iter()
                .find(|f| RustType::same_name(&f.name, member))
            else {
                continue;
            };
            let mut path = Self::of(parent, bindings);
            path.members.push((
                member.to_string(),
                matches!(field.ty, RustType::Array { .. }),
            ));
            return path;
        }
        let kind = bindings
            .aggregate(name)
            .map_or(Kind::Struct, |aggregate| aggregate.kind);
        Self {
            kind,
            tag: name.to_string(),
            members: Vec::new(),
        }
    }

    /// A C expression for the type.
    pub(crate) fn type_expression(&self) -> String {
        let outer = format!("{} {}", self.kind.keyword(), self.tag);
        if self.members.is_empty() {
            return outer;
        }
        let mut expression = format!("(({outer} *)0)->");
        for (index, (member, array)) in self.members.iter().enumerate() {
            if index > 0 {
                expression.push('.');
            }
            expression.push_str(member);
            if *array {
                expression.push_str("[0]");
            }
        }
        format!("__typeof__({expression})")
    }

    /// How the report names the type.
    pub(crate) fn title(&self) -> String {
        let members = self.members.iter().map(|(member, _)| format!(".{member}"));
        format!(
            "{} {}{}",
            self.kind.keyword(),
            self.tag,
            members.collect::<String>()
        )
    }
}
