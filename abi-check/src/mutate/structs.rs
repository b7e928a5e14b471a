//! Changes to structs and unions.

use std::ops::Range;
use std::sync::Arc;

use super::generator::Generator;
use super::mutation::{Edit, MutationKind};
use super::retype::{requalified, retypes};
use crate::bindings::{Aggregate, Kind};
use crate::ctype::{CMember, CType, Encoding, Id};
use crate::declaration::{self, Declarator, Member};
use crate::header::Header;
use crate::layout::{compute, size_align};
use crate::nesting::CPath;
use crate::rust_type::RustType;

/// A struct or union of the bindings with its C text.
struct Subject<'a> {
    aggregate: &'a Aggregate,
    title: String,
    id: Id,
    file: Arc<str>,
    header: &'a Header,
    declared: &'a declaration::Aggregate,
    target: usize,
}

/// Makes all changes to one struct or union of the bindings.
pub(super) fn generate(generator: &mut Generator<'_>, index: usize, target: usize) {
    let bindings = generator.bindings;
    let aggregate = &bindings.aggregates[index];
    let path = CPath::of(&aggregate.name, bindings);
    let Some(&id) = generator.ids.get(&aggregate.name) else {
        return;
    };
    let headers = generator.headers;
    let found = headers.aggregate(&aggregate.origin.header, path.kind, &path.tag);
    let declared = found.and_then(|(file, outer)| {
        let mut declared = outer;
        for (member, _) in &path.members {
            declared = declared.member(member)?.0.inner.as_ref()?;
        }
        Some((file, declared))
    });
    let Some((file, declared)) = declared else {
        generator
            .unreachable
            .push(format!("{}: its members come from a macro", path.title()));
        return;
    };
    let Some(header) = headers.get(&file) else {
        return;
    };
    let subject = Subject {
        aggregate,
        title: path.title(),
        id,
        file,
        header,
        declared,
        target,
    };
    subject.fields(generator);
    subject.ends(generator);
}

impl Subject<'_> {
    fn push(&self, generator: &mut Generator<'_>, kind: MutationKind, edit: Edit, what: String) {
        self.push_all(generator, kind, vec![edit], what);
    }

    fn push_all(
        &self,
        generator: &mut Generator<'_>,
        kind: MutationKind,
        edits: Vec<Edit>,
        what: String,
    ) {
        let what = format!("{}{what}", self.title);
        generator.push(kind, &self.file, edits, what, self.target);
    }

    fn fields(&self, generator: &mut Generator<'_>) {
        let bindings = generator.bindings;
        let members = generator.types.flat_members(self.id);
        let listed = bindings
            .bits_of(&self.aggregate.name)
            .flat_map(|bits| &bits.entries);
        let bit_names: Vec<_> = listed.map(|entry| entry.name.as_str()).collect();
        let plain = self
            .aggregate
            .fields
            .iter()
            .filter(|field| field.is_mirrored());
        let names = plain.map(|field| field.name.as_str()).chain(bit_names);
        for name in names {
            let Some(member) = members.iter().find(|m| RustType::same_name(name, &m.name)) else {
                continue;
            };
            let (Some((text, declarator)), Some(owner)) = (
                self.declared.member(&member.name),
                self.declared.owner(&member.name),
            ) else {
                let what = format!("{}.{}: not found in the text", self.title, member.name);
                generator.unreachable.push(what);
                continue;
            };
            if member.bits.is_some() {
                self.bit_field(generator, member, text, declarator);
            } else {
                self.field(generator, member, text, declarator);
            }
            self.swap(generator, &members, member, text, owner);
            self.insert(generator, member, text, owner);
            let edit = self.replaced(text, declarator, None);
            self.push(
                generator,
                MutationKind::FieldRemoved,
                edit,
                format!(".{name} removed"),
            );
        }
    }

    /// The declaration with one of its names declared otherwise, or not at all.
    fn replaced(&self, member: &Member, declarator: &Declarator, new: Option<String>) -> Edit {
        let mut text = String::new();
        for other in &member.declarators {
            if other.span != declarator.span {
                let (base, own) = (
                    self.header.slice(&member.base),
                    self.header.slice(&other.span),
                );
                text.push_str(&format!("{} {own}; ", base.trim_end()));
            } else if let Some(new) = &new {
                text.push_str(&format!("{new}; "));
            }
        }
        (member.span.clone(), text.trim_end().to_string())
    }

    fn field(
        &self,
        generator: &mut Generator<'_>,
        member: &CMember,
        text: &Member,
        declarator: &Declarator,
    ) {
        let types = generator.types;
        let mut changed = retypes(&member.ty, &member.name);
        if changed.is_empty() {
            changed.extend(self.bytes_instead(generator, member));
        }
        for new in changed {
            let what = format!(".{} retyped: {new}", member.name);
            let edit = self.replaced(text, declarator, Some(new));
            self.push(generator, MutationKind::FieldRetyped, edit, what);
        }
        for new in requalified(types, &member.ty, &member.name) {
            let what = format!(".{} requalified: {new}", member.name);
            let edit = self.replaced(text, declarator, Some(new));
            self.push(generator, MutationKind::FieldConst, edit, what);
        }
        if let (Some(parameters), Some(function)) = (
            &declarator.parameters,
            crate::prototypes::function_of(&member.ty),
        ) {
            let title = format!("{}.{}", self.title, member.name);
            super::callables::parameters(
                generator,
                &super::callables::Text {
                    file: &self.file,
                    header: self.header,
                    title: &title,
                },
                parameters,
                function,
                self.target,
            );
        }
    }

    /// A struct or union replaced by bytes of the same size and alignment.
    fn bytes_instead(&self, generator: &Generator<'_>, member: &CMember) -> Option<String> {
        let mut element = member.ty.bare();
        let mut lengths = String::new();
        while let CType::Array { of, len } = element {
            lengths.push_str(&format!("[{}]", len.unwrap_or(0)));
            element = of.bare();
        }
        let size = generator.types.size(element)?;
        let field = self
            .aggregate
            .fields
            .iter()
            .find(|f| RustType::same_name(&f.name, &member.name))?;
        let (_, align) = size_align(&field.ty, generator.bindings)?;
        let name = &member.name;
        Some(format!(
            "struct {{ unsigned char abi_check_bytes[{size}]; }} \
             __attribute__((aligned({align}))) {name}{lengths}"
        ))
    }

    fn bit_field(
        &self,
        generator: &mut Generator<'_>,
        member: &CMember,
        text: &Member,
        declarator: &Declarator,
    ) {
        let (Some((_, width)), Some(written)) = (member.bits, &declarator.width) else {
            return;
        };
        let name = &member.name;
        let other = if width > 1 { width - 1 } else { 2 };
        let what = format!(".{name} made {other} bits wide");
        self.push(
            generator,
            MutationKind::BitFieldMoved,
            (written.clone(), other.to_string()),
            what,
        );
        let sign = match member.ty.bare() {
            CType::Base {
                encoding: Encoding::Signed,
                ..
            } => "unsigned",
            _ => "signed",
        };
        let size = match generator.types.size(&member.ty) {
            Some(1) => "char",
            Some(2) => "short",
            Some(8) => "long",
            _ => "int",
        };
        let new = format!("{sign} {size} {name} : {width}");
        let what = format!(".{name} retyped: {new}");
        let edit = self.replaced(text, declarator, Some(new));
        self.push(generator, MutationKind::BitFieldRetyped, edit, what);
    }

    /// Swaps a declaration with the next one. Members of a union all start at its start.
    fn swap(
        &self,
        generator: &mut Generator<'_>,
        members: &[CMember],
        member: &CMember,
        text: &Member,
        owner: &declaration::Aggregate,
    ) {
        let next = owner
            .members
            .iter()
            .find(|next| next.span.start >= text.span.end);
        let (Kind::Struct, Some(next)) = (owner.kind, next) else {
            return;
        };
        let neighbour = next.declarators.first().and_then(|d| d.name.as_deref());
        let other = members.iter().find(|m| Some(m.name.as_str()) == neighbour);
        let kind = match other {
            _ if member.bits.is_some() => MutationKind::BitFieldMoved,
            Some(other) if other.ty == member.ty => MutationKind::FieldSwappedSameType,
            _ => MutationKind::FieldSwappedOtherType,
        };
        let edits = vec![
            (text.span.clone(), self.header.slice(&next.span).to_string()),
            (next.span.clone(), self.header.slice(&text.span).to_string()),
        ];
        let neighbour = neighbour.unwrap_or("a member without a name");
        let what = format!(".{} swapped with {neighbour}", member.name);
        self.push_all(generator, kind, edits, what);
    }

    fn insert(
        &self,
        generator: &mut Generator<'_>,
        member: &CMember,
        text: &Member,
        owner: &declaration::Aggregate,
    ) {
        // A further member of a union with a tail is within the tail: not our surface.
        if owner.kind == Kind::Union && self.has_tail() {
            return;
        }
        let at = text.span.start..text.span.start;
        let (kind, new) = match member.bits {
            Some(_) => {
                let base = self.header.slice(&text.base).trim_end();
                (
                    MutationKind::BitFieldMoved,
                    format!("{base} abi_check_inserted : 1; "),
                )
            }
            None => (
                MutationKind::FieldInserted,
                "unsigned char abi_check_inserted; ".to_string(),
            ),
        };
        self.push(
            generator,
            kind,
            (at, new),
            format!(": a field inserted before {}", member.name),
        );
    }

    fn has_tail(&self) -> bool {
        self.aggregate.fields.iter().any(|field| field.is_tail())
    }

    /// Changes to the type as a whole.
    fn ends(&self, generator: &mut Generator<'_>) {
        let Some(computed) = compute(self.aggregate, generator.bindings) else {
            return;
        };
        let attributes = self.declared.brace_end..self.declared.span.end;
        let packed = self.header.slice(&attributes).contains("packed");
        if packed {
            let what = " no longer packed".to_string();
            self.push(
                generator,
                MutationKind::StructUnpacked,
                (attributes, String::new()),
                what,
            );
        } else if computed.align > 1 {
            let at = self.declared.brace_end..self.declared.brace_end;
            let new = " __attribute__((packed))".to_string();
            self.push(
                generator,
                MutationKind::StructPacked,
                (at, new),
                " packed".to_string(),
            );
        }
        // Within the tail only what changes the size changes our surface.
        let size = if self.has_tail() || self.declared.kind == Kind::Union {
            computed.size + 128
        } else {
            1
        };
        let new = format!(" unsigned char abi_check_inserted[{size}];");
        let edit: (Range<usize>, String) = match self.declared.members.last() {
            // Nothing may follow a flexible array.
            Some(last) if self.is_flexible(last) => (last.span.start..last.span.start, new),
            Some(last) => (last.span.end..last.span.end, new),
            None => return,
        };
        let what = ": a field inserted at the end".to_string();
        self.push(generator, MutationKind::FieldInserted, edit, what);
    }

    fn is_flexible(&self, member: &Member) -> bool {
        self.header
            .slice(&member.span)
            .replace(' ', "")
            .contains("[]")
    }
}
