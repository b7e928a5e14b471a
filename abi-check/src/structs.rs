//! Structs and unions: size, alignment, and every field against the member that C has.

use crate::bindings::{Aggregate, Field, Kind};
use crate::check::missing;
use crate::compare::Comparer;
use crate::ctype::{CMember, CType, Encoding};
use crate::layout::{Computed, compute, size_align};
use crate::names::Headers;
use crate::nesting::CPath;
use crate::probe::Answer;
use crate::prototypes;
use crate::report::Report;
use crate::rust_type::RustType;

/// Checks one struct or union of the bindings.
pub(crate) fn check(
    comparer: &Comparer<'_>,
    headers: &Headers,
    index: usize,
    answer: &Answer,
    report: &mut Report,
) {
    let aggregate = &comparer.bindings.aggregates[index];
    let what = CPath::of(&aggregate.name, comparer.bindings).title();
    let place = &aggregate.origin.place;
    let Answer::Layout { id, size, align } = answer else {
        report.mismatch(place, what, "a struct or union", missing(answer));
        return;
    };
    // The check of the pinned numbers has already said that a layout is unknown.
    let Some(computed) = compute(aggregate, comparer.bindings) else {
        return;
    };
    let c_kind = comparer.types.aggregates.get(id).map(|c| c.kind);
    if c_kind.is_some_and(|kind| kind != aggregate.kind) {
        report.mismatch(place, &what, aggregate.kind.keyword(), "the other kind");
        return;
    }
    let same_size = report.equal(place, &what, "size", computed.size, *size);
    let same_align = report.equal(place, &what, "alignment", computed.align, *align);
    if same_size && same_align {
        report.counts.aggregates += 1;
    }
    let members = comparer.types.flat_members(*id);
    let one = Subject {
        comparer,
        headers,
        aggregate,
        what: &what,
        members: &members,
    };
    for (field, &offset) in aggregate.fields.iter().zip(&computed.offsets) {
        if field.is_bits() {
            one.bits(field, offset, report);
        } else if field.is_mirrored() {
            one.field(field, offset, report);
        }
    }
    one.coverage(&computed, report);
}

struct Subject<'a> {
    comparer: &'a Comparer<'a>,
    headers: &'a Headers,
    aggregate: &'a Aggregate,
    what: &'a str,
    members: &'a [CMember],
}

impl Subject<'_> {
    fn member(&self, name: &str) -> Option<&CMember> {
        self.members
            .iter()
            .find(|member| RustType::same_name(name, &member.name))
    }

    fn field(&self, field: &Field, offset: u64, report: &mut Report) {
        let bindings = self.comparer.bindings;
        let place = &field.origin.place;
        let what = format!("{}.{}", self.what, field.name);
        let Some(member) = self.member(&field.name) else {
            report.mismatch(place, what, "a field", "none of this name");
            return;
        };
        if let Some((first, width)) = member.bits {
            let found = format!("a bit-field of {width} at bit {first}");
            report.mismatch(place, what, "a field of whole bytes", found);
            return;
        }
        let before = report.mismatches.len();
        report.equal(place, &what, "offset", offset, member.offset);
        let types = self.comparer.types;
        let expected = field.ty.spelling(bindings);
        let found = types.spelling(&member.ty);
        let size = size_align(&field.ty, bindings).map_or(0, |(size, _)| size);
        let c_size = types.size(&member.ty).unwrap_or(0);
        if size != c_size {
            let expected = format!("{expected} ({size} bytes)");
            report.mismatch(place, &what, expected, format!("{found} ({c_size} bytes)"));
        } else if !self.comparer.same(&field.ty, &member.ty, &field.origin.doc) {
            let (expected, found) = if expected == found {
                (
                    expected,
                    format!("another type that is spelled {found} too"),
                )
            } else {
                (expected, found)
            };
            report.mismatch(place, &what, format!("type {expected}"), found);
        } else {
            self.parameter_names(field, report);
        }
        if report.mismatches.len() == before {
            report.counts.fields += 1;
        }
    }

    /// A function pointer that is spelled out in the struct has parameter names of its own.
    fn parameter_names(&self, field: &Field, report: &mut Report) {
        let RustType::Function(prototype) = field.ty.resolved(self.comparer.bindings) else {
            return;
        };
        let path = CPath::of(&self.aggregate.name, self.comparer.bindings);
        let header = &self.aggregate.origin.header;
        let outer = self.headers.aggregate(header, path.kind, &path.tag);
        let mut aggregate = outer.map(|(_, aggregate)| aggregate);
        for (member, _) in &path.members {
            aggregate = aggregate
                .and_then(|a| a.member(member))
                .and_then(|(m, _)| m.inner.as_ref());
        }
        let declarator = aggregate.and_then(|a| {
            let plain = field.name.strip_suffix('_').unwrap_or(&field.name);
            a.member(&field.name)
                .or_else(|| a.member(plain))
                .map(|(_, declarator)| declarator)
        });
        if let Some(parameters) = declarator.and_then(|d| d.parameters.as_ref()) {
            let what = format!("{}.{}", self.what, field.name);
            prototypes::compare_names(
                prototype,
                &parameters.list,
                &field.origin.place,
                &what,
                report,
            );
        }
    }

    fn bits(&self, field: &Field, offset: u64, report: &mut Report) {
        let listed = self.comparer.bindings.bits_of(&self.aggregate.name);
        for bits in listed.filter(|bits| bits.field == field.name) {
            for entry in &bits.entries {
                let place = &entry.origin.place;
                let what = format!("{}.{}", self.what, entry.name);
                let expected = (offset * 8 + entry.position, entry.width);
                let show = |(first, width)| format!("{width} bits at bit {first}");
                match self.member(&entry.name) {
                    Some(member) => match member.bits {
                        Some(found) if found == expected => {
                            let signed = entry.is_signed();
                            if is_signed(&member.ty) == signed {
                                report.counts.bit_fields += 1;
                            } else {
                                let sign = if signed { "a signed" } else { "an unsigned" };
                                let found = self.comparer.types.spelling(&member.ty);
                                report.mismatch(place, what, format!("{sign} bit-field"), found);
                            }
                        }
                        Some(found) => report.mismatch(place, what, show(expected), show(found)),
                        None => report.mismatch(place, what, "a bit-field", "whole bytes"),
                    },
                    None => report.mismatch(place, what, "a bit-field", "none of this name"),
                }
            }
        }
    }

    /// Every C member must be named, or lie within the tail. Bits of a union may be covered by one
    /// of its named integers, which then stands for all of them.
    fn coverage(&self, computed: &Computed, report: &mut Report) {
        let bindings = self.comparer.bindings;
        let mut tail = 0..0;
        let mut whole_bits = 0;
        let mut named: Vec<&str> = Vec::new();
        for (field, &offset) in self.aggregate.fields.iter().zip(&computed.offsets) {
            if field.is_tail() {
                let size = size_align(&field.ty, bindings).map_or(0, |(size, _)| size);
                tail = offset * 8..(offset + size) * 8;
            } else if field.is_mirrored() {
                named.push(&field.name);
                if self.aggregate.kind == Kind::Union
                    && matches!(field.ty.resolved(bindings), RustType::Integer { .. })
                {
                    let size = size_align(&field.ty, bindings).map_or(0, |(size, _)| size);
                    whole_bits = whole_bits.max(size * 8);
                }
            }
        }
        for bits in bindings.bits_of(&self.aggregate.name) {
            named.extend(bits.entries.iter().map(|entry| entry.name.as_str()));
        }
        for member in self.members {
            let size = self.comparer.types.size(&member.ty).unwrap_or(0);
            let (first, width) = member.bits.unwrap_or((member.offset * 8, size * 8));
            if named
                .iter()
                .any(|name| RustType::same_name(name, &member.name))
                || (tail.start <= first && first + width <= tail.end)
                || (member.bits.is_some() && first + width <= whole_bits)
            {
                report.counts.members += 1;
                continue;
            }
            let expected = "no C field that is neither named nor within _tail";
            let ty = self.comparer.types.spelling(&member.ty);
            let at = match member.bits {
                Some((first, width)) => format!("{width} bits at bit {first}"),
                None => format!("at offset {}", member.offset),
            };
            let found = format!("{} ({ty}, {at})", member.name);
            report.mismatch(&self.aggregate.origin.place, self.what, expected, found);
        }
    }
}

fn is_signed(ty: &CType) -> bool {
    matches!(
        ty.bare(),
        CType::Base {
            encoding: Encoding::Signed,
            ..
        }
    )
}
