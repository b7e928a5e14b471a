//! Functions and callback types: the compiler's own judgement, and the names of parameters, which
//! tell two parameters of one type apart.

use std::fmt::Write;

use crate::bindings::{Callable, Place};
use crate::check::Check;
use crate::compare::Comparer;
use crate::ctype::{CFunction, CType};
use crate::declaration::Parameter;
use crate::names::Headers;
use crate::probe::{Answer, Facts};
use crate::report::Report;
use crate::rust_type::{Prototype, RustType};

/// The function of a function type or of a pointer to one.
pub(crate) fn function_of(ty: &CType) -> Option<&CFunction> {
    match ty.bare() {
        CType::Function(function) => Some(function),
        CType::Pointer(to) => match to.bare() {
            CType::Function(function) => Some(function),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a prototype equals C's only because a doc comment names the type behind a `c_void`.
pub(crate) fn needs_doc(comparer: &Comparer<'_>, callable: &Callable, facts: &Facts) -> bool {
    facts.answers.iter().any(|answer| match answer {
        Answer::Type(ty) => function_of(ty).is_some_and(|function| {
            comparer.same_function(&callable.prototype, function, &callable.origin.doc)
                && !comparer.same_function(&callable.prototype, function, "")
        }),
        _ => false,
    })
}

/// Compares the names of the parameters with those in the headers, and whether C has the function
/// `inline` there. Returns whether all is well.
pub(crate) fn check_names(
    headers: &Headers,
    callable: &Callable,
    inline: bool,
    report: &mut Report,
) -> bool {
    let place = &callable.origin.place;
    let Some((_, declared)) = headers.callable(&callable.origin.header, &callable.name) else {
        let found = "no declaration in spdk/*.h that tells their names";
        report.mismatch(place, &callable.name, "parameters with names", found);
        return false;
    };
    let (symbol, body) = ("a symbol", "a static inline function");
    if declared.body.is_some() != inline {
        let (expected, found) = if inline {
            (body, symbol)
        } else {
            (symbol, body)
        };
        report.mismatch(place, &callable.name, expected, found);
        return false;
    }
    compare_names(
        &callable.prototype,
        &declared.parameters.list,
        place,
        &callable.name,
        report,
    )
}

/// Compares names one by one. A parameter without a name in C may have any name in Rust.
pub(crate) fn compare_names(
    prototype: &Prototype,
    declared: &[Parameter],
    place: &Place,
    what: &str,
    report: &mut Report,
) -> bool {
    let before = report.mismatches.len();
    if prototype.parameters.len() != declared.len() {
        let found = format!("{} in the header", declared.len());
        let expected = format!("{} parameters", prototype.parameters.len());
        report.mismatch(place, what, expected, found);
        return false;
    }
    for (index, (rust, c)) in prototype.parameters.iter().zip(declared).enumerate() {
        let Some(c) = &c.name else { continue };
        let what = format!("{what}, parameter {}", index + 1);
        match &rust.name {
            Some(name) if RustType::same_name(name, c) => report.counts.parameters += 1,
            Some(name) => report.mismatch(place, what, format!("the name {name}"), c.as_str()),
            None => report.mismatch(place, what, "no name", c.as_str()),
        }
    }
    report.mismatches.len() == before
}

/// Lets the compiler assign each function to a pointer of the type that the bindings give it, with
/// every warning an error.
pub(crate) fn assign(
    check: &Check<'_>,
    assignments: &[(&Callable, String)],
    report: &mut Report,
) -> Result<(), String> {
    if assignments.is_empty() {
        return Ok(());
    }
    let mut text = check.prober.prelude(check.includes);
    let first_line = text.lines().count() + 1;
    for (index, (callable, value)) in assignments.iter().enumerate() {
        let mut prototype = callable.prototype.clone();
        for parameter in &mut prototype.parameters {
            // A name might be a macro somewhere.
            parameter.name = None;
        }
        let pointer = prototype.declaration(&format!("(*abi_pointer_{index})"), check.bindings);
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{pointer} = {value};");
    }
    let flags = ["-Wall", "-Wextra", "-Werror", "-fsyntax-only"];
    let diagnostics = check.prober.compile("prototypes.c", &text, &flags, None)?;
    for diagnostic in diagnostics {
        // Warnings about the headers themselves are SPDK's affair.
        let index = diagnostic
            .line
            .and_then(|line| line.checked_sub(first_line));
        if let Some((callable, _)) = index.and_then(|index| assignments.get(index)) {
            let expected = callable
                .prototype
                .declaration(&callable.name, check.bindings);
            report.mismatch(
                &callable.origin.place,
                &callable.name,
                expected,
                diagnostic.text,
            );
        }
    }
    Ok(())
}
