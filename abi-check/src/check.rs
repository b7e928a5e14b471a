//! Puts the bindings and the headers of an SPDK side by side.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::bindings::{Bindings, Callable, Value};
use crate::compare::Comparer;
use crate::ctype::Id;
use crate::names::Headers;
use crate::nesting::CPath;
use crate::probe::{Answer, Facts, Prober, Query};
use crate::report::Report;
use crate::selection::Selection;
use crate::{prototypes, structs};

/// Everything that a check needs.
pub(crate) struct Check<'a> {
    pub(crate) bindings: &'a Bindings,
    pub(crate) headers: &'a Headers,
    pub(crate) prober: &'a Prober<'a>,
    /// What the C files include.
    pub(crate) includes: &'a [Arc<str>],
}

/// The questions for a selection, in the order in which the answers are read.
pub(crate) fn queries(bindings: &Bindings, selection: &Selection) -> Vec<Query> {
    let mut queries = Vec::new();
    for &index in &selection.aggregates {
        let path = CPath::of(&bindings.aggregates[index].name, bindings);
        queries.push(Query::Layout(path.type_expression()));
    }
    for &index in &selection.enumerations {
        queries.push(Query::Enum(bindings.enumerations[index].name.clone()));
    }
    for &index in &selection.constants {
        let constant = &bindings.constants[index];
        queries.push(match constant.value {
            Value::Integer(_) => Query::Number(constant.name.clone()),
            Value::Text(_) => Query::Text(constant.name.clone()),
        });
    }
    for &index in &selection.callbacks {
        queries.push(Query::Typedef(bindings.callbacks[index].name.clone()));
    }
    for &index in &selection.functions {
        queries.push(Query::Declared(bindings.functions[index].name.clone()));
    }
    for &index in &selection.rewritten {
        queries.push(Query::Declared(bindings.rewritten[index].name.clone()));
    }
    for &index in &selection.statics {
        queries.push(Query::Declared(bindings.statics[index].name.clone()));
    }
    queries
}

/// Which C type each mirrored struct or union of a selection is.
pub(crate) fn identities(
    bindings: &Bindings,
    selection: &Selection,
    facts: &Facts,
) -> BTreeMap<String, Id> {
    let answers = selection.aggregates.iter().zip(&facts.answers);
    answers
        .filter_map(|(&index, answer)| match answer {
            Answer::Layout { id, .. } => Some((bindings.aggregates[index].name.clone(), *id)),
            _ => None,
        })
        .collect()
}

impl Check<'_> {
    /// Checks a selection. `twice` also lets the compiler judge the prototypes itself.
    ///
    /// # Errors
    ///
    /// A sentence for the user when the headers do not compile.
    pub(crate) fn run(
        &self,
        selection: &Selection,
        twice: bool,
        report: &mut Report,
    ) -> Result<(), String> {
        let facts = self
            .prober
            .ask(self.includes, &queries(self.bindings, selection))?;
        let comparer = Comparer {
            bindings: self.bindings,
            types: &facts.types,
            ids: identities(self.bindings, selection, &facts),
        };
        let mut answers = facts.answers.iter();
        let mut assignments = Vec::new();
        for (&index, answer) in selection.aggregates.iter().zip(answers.by_ref()) {
            structs::check(&comparer, self.headers, index, answer, report);
        }
        for (&index, answer) in selection.enumerations.iter().zip(answers.by_ref()) {
            self.enumeration(&comparer, index, answer, report);
        }
        for (&index, answer) in selection.constants.iter().zip(answers.by_ref()) {
            self.constant(index, answer, report);
        }
        for (&index, answer) in selection.callbacks.iter().zip(answers.by_ref()) {
            let callable = &self.bindings.callbacks[index];
            let cast = format!("({})0", callable.name);
            if self.callable(&comparer, callable, answer, false, report) {
                report.counts.callbacks += 1;
                assignments.push((callable, cast));
            }
        }
        for (&index, answer) in selection.functions.iter().zip(answers.by_ref()) {
            let callable = &self.bindings.functions[index];
            if self.callable(&comparer, callable, answer, false, report) {
                report.counts.functions += 1;
                assignments.push((callable, callable.name.clone()));
            }
        }
        for (&index, answer) in selection.rewritten.iter().zip(answers.by_ref()) {
            let callable = &self.bindings.rewritten[index];
            if self.callable(&comparer, callable, answer, true, report) {
                report.counts.rewritten += 1;
                assignments.push((callable, callable.name.clone()));
            }
        }
        for (&index, answer) in selection.statics.iter().zip(answers.by_ref()) {
            self.variable(&comparer, index, answer, report);
        }
        if twice {
            // What only the doc comment makes equal is not assignable.
            assignments.retain(|(callable, _)| !prototypes::needs_doc(&comparer, callable, &facts));
            prototypes::assign(self, &assignments, report)?;
        }
        Ok(())
    }

    fn enumeration(
        &self,
        comparer: &Comparer<'_>,
        index: usize,
        answer: &Answer,
        report: &mut Report,
    ) {
        let item = &self.bindings.enumerations[index];
        let place = &item.origin.place;
        let what = format!("enum {}", item.name);
        let c = match answer {
            Answer::Enum(id) => comparer.types.enums.get(id),
            _ => None,
        };
        let Some(c) = c else {
            report.mismatch(place, what, "an enum", missing(answer));
            return;
        };
        let before = report.mismatches.len();
        let sign = if c.signed { "" } else { "u" };
        let found = format!("{sign}int{}_t", c.bytes * 8);
        report.equal(
            place,
            &what,
            "type",
            item.integer.spelling(self.bindings),
            found,
        );
        for enumerator in &item.enumerators {
            let what = format!("{what}: {}", enumerator.name);
            let place = &enumerator.origin.place;
            match c
                .enumerators
                .iter()
                .find(|(name, _)| *name == enumerator.name)
            {
                Some((_, value)) => {
                    if report.equal(place, &what, "value", enumerator.value, *value) {
                        report.counts.enumerators += 1;
                    }
                }
                None => report.mismatch(place, what, "an enumerator", "none of this name"),
            }
        }
        for (name, value) in &c.enumerators {
            if !item
                .enumerators
                .iter()
                .any(|enumerator| enumerator.name == *name)
            {
                let found = format!("{name} = {value}");
                report.mismatch(place, &what, "no further enumerator", found);
            }
        }
        if report.mismatches.len() == before {
            report.counts.enumerations += 1;
        }
    }

    fn constant(&self, index: usize, answer: &Answer, report: &mut Report) {
        let item = &self.bindings.constants[index];
        let place = &item.origin.place;
        let value = match answer {
            Answer::Number(value) => Value::Integer(*value),
            Answer::Text(text) => Value::Text(text.clone()),
            _ => {
                report.mismatch(place, &item.name, item.value.to_string(), missing(answer));
                return;
            }
        };
        // C macros have the type of their literal: -1 may stand for all bits of an unsigned.
        let same = item.value == value || wraps_to(&item.value, &value);
        if same {
            report.counts.constants += 1;
        } else {
            report.mismatch(place, &item.name, item.value.to_string(), value.to_string());
        }
    }

    /// Checks the types and the parameter names of a function or callback, and whether C has it
    /// `inline`.
    fn callable(
        &self,
        comparer: &Comparer<'_>,
        callable: &Callable,
        answer: &Answer,
        inline: bool,
        report: &mut Report,
    ) -> bool {
        let place = &callable.origin.place;
        let expected = callable
            .prototype
            .declaration(&callable.name, self.bindings);
        let function = match answer {
            Answer::Type(ty) => prototypes::function_of(ty),
            _ => None,
        };
        let Some(function) = function else {
            let found = match answer {
                Answer::Type(ty) => comparer.types.spelling(ty),
                _ => missing(answer),
            };
            report.mismatch(place, &callable.name, expected, found);
            return false;
        };
        if !comparer.same_function(&callable.prototype, function, &callable.origin.doc) {
            let found = comparer.types.prototype(&callable.name, function);
            report.mismatch(place, &callable.name, expected, found);
            return false;
        }
        prototypes::check_names(self.headers, callable, inline, report)
    }

    fn variable(
        &self,
        comparer: &Comparer<'_>,
        index: usize,
        answer: &Answer,
        report: &mut Report,
    ) {
        let item = &self.bindings.statics[index];
        let expected = item.ty.declaration(&item.name, self.bindings);
        match answer {
            Answer::Type(ty) if comparer.same(&item.ty, ty, &item.origin.doc) => {
                report.counts.statics += 1;
            }
            Answer::Type(ty) => {
                let found = comparer.types.spelling(ty);
                report.mismatch(&item.origin.place, &item.name, expected, found);
            }
            _ => report.mismatch(&item.origin.place, &item.name, expected, missing(answer)),
        }
    }
}

/// Whether a Rust value and a negative C value have the same bits in 32 or 64 bits.
fn wraps_to(rust: &Value, c: &Value) -> bool {
    match (rust, c) {
        (Value::Integer(rust), Value::Integer(c)) if *c < 0 && *rust > 0 => {
            *rust == i128::from(c.cast_unsigned() as u32)
                || *rust == i128::from(c.cast_unsigned() as u64)
        }
        _ => false,
    }
}

/// How the report names what is not there.
pub(crate) fn missing(answer: &Answer) -> String {
    match answer {
        Answer::Missing(text) => format!("nothing of the kind ({text})"),
        _ => "something else".to_string(),
    }
}

/// Whether an opaque type occurs in the headers.
pub(crate) fn check_opaques(bindings: &Bindings, headers: &Headers, report: &mut Report) {
    for opaque in &bindings.opaques {
        let wanted = format!("struct {}", opaque.name);
        let found = headers.find(&opaque.origin.header, |header| {
            header.text.match_indices(&wanted).find(|(at, text)| {
                let next = header.text[at + text.len()..].chars().next();
                !next.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
            })
        });
        match found {
            Some(_) => report.counts.opaques += 1,
            None => report.mismatch(&opaque.origin.place, wanted, "a type", "no mention of it"),
        }
    }
}
