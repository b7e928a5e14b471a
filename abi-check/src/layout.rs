//! The layout that Rust gives to the types of the bindings, and the pinned numbers beside them.

use crate::bindings::{Aggregate, Bindings, Entry, Kind};
use crate::report::Report;
use crate::rust_type::{RustType, libc_layout};

/// Size, alignment and field offsets in bytes, as `repr(C)` makes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Computed {
    pub(crate) size: u64,
    pub(crate) align: u64,
    pub(crate) offsets: Vec<u64>,
}

/// Size and alignment of a type; `None` for types without a known one.
pub(crate) fn size_align(ty: &RustType, bindings: &Bindings) -> Option<(u64, u64)> {
    match ty.resolved(bindings) {
        RustType::Void | RustType::Never | RustType::Unknown(_) => None,
        RustType::Bool | RustType::Char => Some((1, 1)),
        RustType::Integer { bytes, .. } | RustType::Float { bytes } => Some((*bytes, *bytes)),
        RustType::Pointer { .. } | RustType::Function(_) => Some((8, 8)),
        RustType::Array { of, len } => {
            let (size, align) = size_align(of, bindings)?;
            Some((size.checked_mul(*len)?, align))
        }
        RustType::Named(name) => match bindings.entry(name) {
            Some(Entry::Aggregate(index)) => {
                let computed = compute(&bindings.aggregates[index], bindings)?;
                Some((computed.size, computed.align))
            }
            Some(Entry::Enumeration(index)) => {
                size_align(&bindings.enumerations[index].integer, bindings)
            }
            Some(Entry::Callback(_)) => Some((8, 8)),
            Some(Entry::Alias(_) | Entry::Opaque) => None,
            None => libc_layout(name).map(|(_, size, align)| (size, align)),
        },
    }
}

/// The layout of a struct or union; `None` if it holds a type without a known one.
pub(crate) fn compute(aggregate: &Aggregate, bindings: &Bindings) -> Option<Computed> {
    let (mut size, mut align, mut offsets) = (0_u64, 1_u64, Vec::new());
    for field in &aggregate.fields {
        let (field_size, field_align) = size_align(&field.ty, bindings)?;
        let field_align = aggregate
            .packed
            .map_or(field_align, |packed| field_align.min(packed));
        align = align.max(field_align);
        match aggregate.kind {
            Kind::Struct => {
                let offset = size.checked_next_multiple_of(field_align)?;
                offsets.push(offset);
                size = offset.checked_add(field_size)?;
            }
            Kind::Union => {
                offsets.push(0);
                size = size.max(field_size);
            }
        }
    }
    align = align.max(aggregate.align.unwrap_or(1));
    Some(Computed {
        size: size.checked_next_multiple_of(align)?,
        align,
        offsets,
    })
}

/// Proves without any header that each type has pinned numbers, and that they are those that Rust
/// gives it.
pub(crate) fn check_pinned(bindings: &Bindings, report: &mut Report) {
    for aggregate in &bindings.aggregates {
        let before = report.mismatches.len();
        check_aggregate(aggregate, bindings, report);
        if report.mismatches.len() == before {
            report.counts.pinned += 1;
        }
    }
    for layout in &bindings.layouts {
        if bindings.aggregate(&layout.name).is_none() {
            let what = format!("layout! of {}", layout.name);
            report.mismatch(
                &layout.origin.place,
                what,
                "a struct or union",
                "no such type",
            );
        }
    }
    for bits in &bindings.bit_fields {
        check_bits(bits, bindings, report);
    }
}

fn check_aggregate(aggregate: &Aggregate, bindings: &Bindings, report: &mut Report) {
    let place = &aggregate.origin.place;
    let what = format!("{} {}", aggregate.kind.keyword(), aggregate.name);
    if !aggregate.repr_c {
        report.mismatch(place, &what, "#[repr(C)]", "the layout of Rust");
    }
    let Some(computed) = compute(aggregate, bindings) else {
        report.mismatch(
            place,
            &what,
            "a known layout",
            "a field whose type has none",
        );
        return;
    };
    let Some(layout) = bindings.layout(&aggregate.name) else {
        report.mismatch(place, &what, "pinned numbers (layout!)", "none");
        return;
    };
    let pinned = &layout.origin.place;
    if layout.kind != aggregate.kind {
        let expected = format!("layout! of a {}", aggregate.kind.keyword());
        report.mismatch(pinned, &what, expected, layout.kind.keyword());
    }
    report.equal(pinned, &what, "pinned size", layout.size, computed.size);
    report.equal(
        pinned,
        &what,
        "pinned alignment",
        layout.align,
        computed.align,
    );
    for (field, offset) in aggregate.fields.iter().zip(&computed.offsets) {
        let what = format!("{what}.{}", field.name);
        match layout.offsets.iter().find(|(name, ..)| *name == field.name) {
            Some((_, pinned, place)) => {
                report.equal(place, &what, "pinned offset", *pinned, *offset);
            }
            None => report.mismatch(&field.origin.place, what, "a pinned offset", "none"),
        }
    }
    for (name, _, place) in &layout.offsets {
        if !aggregate.fields.iter().any(|field| field.name == *name) {
            report.mismatch(
                place,
                format!("{what}.{name}"),
                "a field",
                "none of this name",
            );
        }
    }
}

/// The names of bit-fields must be within their field and must not overlap.
fn check_bits(bits: &crate::bindings::BitFields, bindings: &Bindings, report: &mut Report) {
    let place = &bits.origin.place;
    let what = format!("{}.{}", bits.owner, bits.field);
    let field = bindings
        .aggregate(&bits.owner)
        .and_then(|owner| owner.fields.iter().find(|field| field.name == bits.field));
    let Some(field) = field else {
        report.mismatch(place, what, "a field", "none of this name");
        return;
    };
    if field.ty.resolved(bindings) != bits.integer.resolved(bindings) {
        let expected = bits.integer.spelling(bindings);
        report.mismatch(place, &what, expected, field.ty.spelling(bindings));
    }
    let width = size_align(&field.ty, bindings).map_or(0, |(size, _)| size * 8);
    let mut end = 0;
    for entry in &bits.entries {
        let place = &entry.origin.place;
        let what = format!("{what}.{}", entry.name);
        if entry.position < end {
            let found = format!("bit {}", entry.position);
            report.mismatch(place, &what, format!("a bit from {end} on"), found);
        }
        end = entry.position + entry.width;
        if end > width {
            report.mismatch(
                place,
                &what,
                format!("at most {width} bits"),
                format!("bit {end}"),
            );
        }
    }
}
