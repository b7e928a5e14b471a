//! Makes the changes from the list of what the bindings mirror.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::mutation::{Edit, Mutation, MutationKind, Target};
use super::{callables, structs, values};
use crate::bindings::Bindings;
use crate::check;
use crate::ctype::{CTypes, Id};
use crate::names::Headers;
use crate::nesting::CPath;
use crate::probe::{Answer, Facts};
use crate::prototypes::function_of;
use crate::selection::Selection;

/// Collects changes.
pub(super) struct Generator<'a> {
    pub(super) bindings: &'a Bindings,
    pub(super) headers: &'a Headers,
    pub(super) types: &'a CTypes,
    pub(super) ids: BTreeMap<String, Id>,
    pub(super) targets: Vec<Target>,
    pub(super) mutations: Vec<Mutation>,
    /// What is mirrored but has no text of its own that could be changed.
    pub(super) unreachable: Vec<String>,
}

impl Generator<'_> {
    /// Adds a change.
    pub(super) fn push(
        &mut self,
        kind: MutationKind,
        header: &Arc<str>,
        edits: Vec<Edit>,
        what: String,
        target: usize,
    ) {
        let header = header.clone();
        if let Some(target) = self.targets.get_mut(target)
            && !target.includes.contains(&header)
        {
            target.includes.push(header.clone());
        }
        self.mutations.push(Mutation {
            kind,
            header,
            edits,
            what,
            target,
        });
    }

    fn target(&mut self, header: &Arc<str>, selection: Selection) -> usize {
        self.targets.push(Target {
            includes: vec![header.clone()],
            selection,
        });
        self.targets.len() - 1
    }
}

/// All changes to what the bindings mirror. `facts` are the answers for everything.
pub(super) fn generate<'a>(
    bindings: &'a Bindings,
    headers: &'a Headers,
    facts: &'a Facts,
) -> Generator<'a> {
    let all = Selection::all(bindings);
    let mut generator = Generator {
        bindings,
        headers,
        types: &facts.types,
        ids: check::identities(bindings, &all, facts),
        targets: Vec::new(),
        mutations: Vec::new(),
        unreachable: Vec::new(),
    };
    let mut answers = facts.answers.iter().skip(all.aggregates.len());
    aggregates(&mut generator);
    for (index, item) in bindings.enumerations.iter().enumerate() {
        let selection = Selection {
            enumerations: vec![index],
            ..Selection::default()
        };
        let target = generator.target(&item.origin.header, selection);
        values::enumeration(&mut generator, item, target);
        answers.next();
    }
    for (index, item) in bindings.constants.iter().enumerate() {
        let selection = Selection {
            constants: vec![index],
            ..Selection::default()
        };
        let target = generator.target(&item.origin.header, selection);
        values::constant(&mut generator, item, target);
        answers.next();
    }
    let callbacks = bindings.callbacks.iter().enumerate().map(|(index, item)| {
        (
            item,
            Selection {
                callbacks: vec![index],
                ..Selection::default()
            },
        )
    });
    let functions = bindings.functions.iter().enumerate().map(|(index, item)| {
        (
            item,
            Selection {
                functions: vec![index],
                ..Selection::default()
            },
        )
    });
    let rewritten = bindings.rewritten.iter().enumerate().map(|(index, item)| {
        (
            item,
            Selection {
                rewritten: vec![index],
                ..Selection::default()
            },
        )
    });
    for ((item, selection), answer) in callbacks.chain(functions).chain(rewritten).zip(answers) {
        let target = generator.target(&item.origin.header, selection);
        if let Answer::Type(ty) = answer
            && let Some(function) = function_of(ty)
        {
            callables::generate(&mut generator, item, function, target);
        }
    }
    generator
}

/// Structs and unions; those of one outermost C type are checked together.
fn aggregates(generator: &mut Generator<'_>) {
    let bindings = generator.bindings;
    let mut by_tag: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, aggregate) in bindings.aggregates.iter().enumerate() {
        let path = CPath::of(&aggregate.name, bindings);
        let tag = format!("{} {}", path.kind.keyword(), path.tag);
        by_tag.entry(tag).or_default().push(index);
    }
    for indices in by_tag.into_values() {
        let Some(&first) = indices.first() else {
            continue;
        };
        let header = bindings.aggregates[first].origin.header.clone();
        let selection = Selection {
            aggregates: indices.clone(),
            ..Selection::default()
        };
        let target = generator.target(&header, selection);
        for index in indices {
            structs::generate(generator, index, target);
        }
    }
}
