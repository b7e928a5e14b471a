//! Changes to functions, callback types and function pointers within structs.

use std::sync::Arc;

use super::generator::Generator;
use super::mutation::{MutationKind, renamed};
use super::retype::{requalified, results, retypes};
use crate::bindings::Callable;
use crate::ctype::CFunction;
use crate::declaration::Parameters;
use crate::header::Header;

/// Where a function is declared.
pub(super) struct Text<'a> {
    pub(super) file: &'a Arc<str>,
    pub(super) header: &'a Header,
    /// How the report names the function.
    pub(super) title: &'a str,
}

/// Makes all changes to one function or callback type.
pub(super) fn generate(
    generator: &mut Generator<'_>,
    callable: &Callable,
    function: &CFunction,
    target: usize,
) {
    let headers = generator.headers;
    let Some((file, declared)) = headers.callable(&callable.origin.header, &callable.name) else {
        generator
            .unreachable
            .push(format!("{}: not found in the text", callable.name));
        return;
    };
    let Some(header) = headers.get(&file) else {
        return;
    };
    let text = Text {
        file: &file,
        header,
        title: &callable.name,
    };
    let types = generator.types;
    let result = |new: String| (declared.result.clone(), format!("{new} "));
    for new in results(&function.result) {
        let what = format!("{} returns {new}", callable.name);
        let edits = vec![result(new)];
        generator.push(MutationKind::ResultChanged, &file, edits, what, target);
    }
    for new in requalified(types, &function.result, "") {
        let what = format!("{} returns {new}", callable.name);
        let edits = vec![result(new)];
        generator.push(MutationKind::ResultConst, &file, edits, what, target);
    }
    let edits = renamed(header, &callable.name, "abi_check_removed");
    let what = format!("{} removed", callable.name);
    generator.push(MutationKind::FunctionRemoved, &file, edits, what, target);
    parameters(generator, &text, &declared.parameters, function, target);
}

/// Makes all changes to the parameters of a function.
pub(super) fn parameters(
    generator: &mut Generator<'_>,
    text: &Text<'_>,
    declared: &Parameters,
    function: &CFunction,
    target: usize,
) {
    if declared.list.len() != function.parameters.len() {
        generator
            .unreachable
            .push(format!("{}: parameters not understood", text.title));
        return;
    }
    let types = generator.types;
    let written: Vec<String> = declared
        .list
        .iter()
        .map(|p| text.header.slice(&p.span).to_string())
        .collect();
    let mut push = |kind: MutationKind, mut list: Vec<String>, what: String| {
        if declared.variadic {
            list.push("...".to_string());
        }
        let list = if list.is_empty() {
            "void".to_string()
        } else {
            list.join(", ")
        };
        let what = format!("{}: {what}", text.title);
        generator.push(
            kind,
            text.file,
            vec![(declared.span.clone(), list)],
            what,
            target,
        );
    };
    let with = |index: usize, new: &str| {
        let mut list = written.clone();
        list[index] = new.to_string();
        list
    };
    for at in 0..=written.len() {
        let mut list = written.clone();
        list.insert(at, "int abi_check_added".to_string());
        push(
            MutationKind::ParameterAdded,
            list,
            format!("a parameter added at {}", at + 1),
        );
    }
    for (index, (parameter, ty)) in declared.list.iter().zip(&function.parameters).enumerate() {
        let number = index + 1;
        let name = parameter.name.as_deref().unwrap_or("");
        let mut list = written.clone();
        list.remove(index);
        // What is left of a variadic function must begin with a parameter.
        if !list.is_empty() || !declared.variadic {
            push(
                MutationKind::ParameterRemoved,
                list,
                format!("parameter {number} removed"),
            );
        }
        for new in retypes(ty, name) {
            let what = format!("parameter {number} retyped: {new}");
            push(MutationKind::ParameterRetyped, with(index, &new), what);
        }
        for new in requalified(types, ty, name) {
            let what = format!("parameter {number} requalified: {new}");
            push(MutationKind::ParameterConst, with(index, &new), what);
        }
        if let Some(next) = declared.list.get(index + 1) {
            let mut list = written.clone();
            list.swap(index, index + 1);
            // Two of one type and without names cannot be told apart by anybody.
            if parameter.name.is_some() || next.name.is_some() || list != written {
                let what = format!("parameters {number} and {} swapped", number + 1);
                push(MutationKind::ParameterSwapped, list, what);
            }
        }
    }
}
