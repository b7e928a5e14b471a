//! Changes to enumerators and constants.

use super::generator::Generator;
use super::mutation::{MutationKind, renamed};
use crate::bindings::{Constant, Enumeration, Value};
use crate::header::Header;

/// Makes all changes to one mirrored enum.
pub(super) fn enumeration(generator: &mut Generator<'_>, item: &Enumeration, target: usize) {
    let headers = generator.headers;
    let found = headers.find(&item.origin.header, |header| {
        header
            .enums
            .iter()
            .find(|declared| declared.tag.as_deref() == Some(&item.name))
    });
    let Some((file, declared)) = found else {
        generator
            .unreachable
            .push(format!("enum {}: not found in the text", item.name));
        return;
    };
    let Some(header) = headers.get(&file) else {
        return;
    };
    for enumerator in &item.enumerators {
        let written = declared
            .enumerators
            .iter()
            .find(|d| d.name == enumerator.name);
        let Some(written) = written else { continue };
        let title = format!("enum {}: {}", item.name, enumerator.name);
        let span = written.span.clone();
        for step in [1, 1000] {
            let new = format!("{} = {}", enumerator.name, enumerator.value + step);
            let what = format!("{title} renumbered by {step}");
            let edits = vec![(span.clone(), new)];
            generator.push(
                MutationKind::EnumeratorRenumbered,
                &file,
                edits,
                what,
                target,
            );
        }
        let edits = vec![(span.start..span.start, "ABI_CHECK_INSERTED, ".to_string())];
        let what = format!("{title}: another one inserted before it");
        generator.push(MutationKind::EnumeratorInserted, &file, edits, what, target);
        let edits = renamed(header, &enumerator.name, "ABI_CHECK_REMOVED");
        let what = format!("{title} removed");
        generator.push(MutationKind::EnumeratorRemoved, &file, edits, what, target);
    }
    if let Some(last) = declared.enumerators.last() {
        let edits = vec![(
            last.span.end..last.span.end,
            ", ABI_CHECK_INSERTED".to_string(),
        )];
        let what = format!("enum {}: another one inserted at the end", item.name);
        generator.push(MutationKind::EnumeratorInserted, &file, edits, what, target);
    }
}

/// Makes all changes to one constant, a macro or a lone enumerator.
pub(super) fn constant(generator: &mut Generator<'_>, item: &Constant, target: usize) {
    let headers = generator.headers;
    let in_macros = |header: &'_ Header| {
        let found = header.macros.iter().find(|m| m.name == item.name);
        found.map(|m| {
            (
                m.name_span.clone(),
                m.value.clone(),
                header.slice(&m.value).to_string(),
            )
        })
    };
    if let Some((file, (name, span, written))) = headers.find(&item.origin.header, in_macros) {
        let mut changes = Vec::new();
        match item.value {
            Value::Integer(_) => {
                changes.push((MutationKind::ConstantChanged, format!("(({written}) + 1)")));
                changes.push((
                    MutationKind::ConstantChanged,
                    format!("(({written}) ^ 0x40)"),
                ));
            }
            Value::Text(_) => {
                changes.push((MutationKind::ConstantChanged, format!("{written} \"x\"")));
            }
        }
        for (kind, new) in changes {
            let what = format!("{} = {new}", item.name);
            generator.push(kind, &file, vec![(span.clone(), new)], what, target);
        }
        let edits = vec![(name, "ABI_CHECK_REMOVED".to_string())];
        let what = format!("{} removed", item.name);
        generator.push(MutationKind::ConstantRemoved, &file, edits, what, target);
        return;
    }
    let in_enums = |header: &'_ Header| {
        let mut all = header
            .enums
            .iter()
            .flat_map(|declared| &declared.enumerators);
        all.find(|enumerator| enumerator.name == item.name)
            .map(|e| e.span.clone())
    };
    match (headers.find(&item.origin.header, in_enums), &item.value) {
        (Some((file, span)), Value::Integer(value)) => {
            let new = format!("{} = {}", item.name, value + 1);
            let what = format!("{} renumbered", item.name);
            let edits = vec![(span, new)];
            generator.push(
                MutationKind::EnumeratorRenumbered,
                &file,
                edits,
                what,
                target,
            );
        }
        _ => generator
            .unreachable
            .push(format!("{}: not found in the text", item.name)),
    }
}
