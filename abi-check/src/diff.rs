//! What of the mirrored surface differs between two SPDKs: the work list for the next pin.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::bindings::{Aggregate, Bindings, Callable, Place};
use crate::check::queries;
use crate::compiler::Compiler;
use crate::ctype::{CMember, CTypes, Id};
use crate::names::Headers;
use crate::nesting::CPath;
use crate::probe::{Answer, Facts, Prober};
use crate::prototypes::function_of;
use crate::rust_type::RustType;
use crate::selection::Selection;
use crate::spdk::Spdk;
use crate::token;

/// What C says of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fact {
    place: Place,
    text: String,
}

/// A thing on which two SPDKs differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) place: Place,
    pub(crate) what: String,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            place,
            what,
            before,
            after,
        } = self;
        match (before, after) {
            (Some(before), Some(after)) => write!(f, "{place}: {what}: was {before}, is {after}"),
            (Some(before), None) => write!(f, "{place}: {what}: gone; was {before}"),
            (None, Some(after)) => write!(f, "{place}: {what}: new: {after}"),
            (None, None) => write!(f, "{place}: {what}"),
        }
    }
}

/// Compares what the bindings mirror in two SPDKs; ordered by Rust line.
///
/// # Errors
///
/// A sentence for the user when the headers of one do not compile.
pub(crate) fn run(
    bindings: &Bindings,
    before: &Spdk,
    after: &Spdk,
) -> Result<Vec<Difference>, String> {
    let (before, after) = (surface(bindings, before)?, surface(bindings, after)?);
    let mut differences = Vec::new();
    let keys = before
        .keys()
        .chain(after.keys().filter(|key| !before.contains_key(*key)));
    for what in keys {
        let (old, new) = (before.get(what), after.get(what));
        let text = |fact: Option<&Fact>| fact.map(|fact| fact.text.clone());
        if let Some(fact) = old.or(new)
            && text(old) != text(new)
        {
            differences.push(Difference {
                place: fact.place.clone(),
                what: what.clone(),
                before: text(old),
                after: text(new),
            });
        }
    }
    differences.sort_by(|a, b| a.place.cmp(&b.place));
    Ok(differences)
}

/// Everything that an SPDK says of what the bindings mirror, by name.
fn surface(bindings: &Bindings, spdk: &Spdk) -> Result<BTreeMap<String, Fact>, String> {
    let compiler = Compiler::from_environment();
    let directory = tempfile::tempdir().map_err(|e| format!("no temporary directory: {e}"))?;
    let includes = spdk.include_directories();
    let headers = Headers::of(&includes);
    let prober = Prober {
        compiler: &compiler,
        includes,
        directory: directory.path(),
        flags: &[],
        prefix: None,
    };
    let present: Vec<Arc<str>> = bindings
        .headers
        .iter()
        .filter(|h| spdk.header(h).is_some())
        .cloned()
        .collect();
    let all = Selection::all(bindings);
    let facts = prober.ask(&present, &queries(bindings, &all))?;
    let mut surface = Surface {
        bindings,
        headers: &headers,
        facts: &facts,
        found: BTreeMap::new(),
    };
    surface.found.extend(present.iter().map(|header| {
        let fact = Fact {
            place: bindings.place_of_header(header),
            text: "there".to_string(),
        };
        (format!("header {header}"), fact)
    }));
    surface.collect();
    surface.inline_functions();
    Ok(surface.found)
}

struct Surface<'a> {
    bindings: &'a Bindings,
    headers: &'a Headers,
    facts: &'a Facts,
    found: BTreeMap<String, Fact>,
}

impl Surface<'_> {
    fn add(&mut self, what: String, place: &Place, text: String) {
        self.found.insert(
            what,
            Fact {
                place: place.clone(),
                text,
            },
        );
    }

    fn collect(&mut self) {
        let bindings = self.bindings;
        let types = &self.facts.types;
        let mut answers = self.facts.answers.iter();
        for (item, answer) in bindings.aggregates.iter().zip(answers.by_ref()) {
            if let Answer::Layout { id, size, align } = answer {
                self.aggregate(item, *id, *size, *align);
            }
        }
        for (item, answer) in bindings.enumerations.iter().zip(answers.by_ref()) {
            let Answer::Enum(id) = answer else { continue };
            let Some(c) = types.enums.get(id) else {
                continue;
            };
            for (name, value) in &c.enumerators {
                let known = item.enumerators.iter().find(|e| e.name == *name);
                let place = known.map_or(&item.origin.place, |e| &e.origin.place);
                self.add(
                    format!("enum {}: {name}", item.name),
                    place,
                    value.to_string(),
                );
            }
        }
        for (item, answer) in bindings.constants.iter().zip(answers.by_ref()) {
            let text = match answer {
                Answer::Number(value) => value.to_string(),
                Answer::Text(text) => format!("\"{}\"", text.escape_ascii()),
                _ => continue,
            };
            self.add(format!("constant {}", item.name), &item.origin.place, text);
        }
        for item in bindings
            .callbacks
            .iter()
            .chain(&bindings.functions)
            .chain(&bindings.rewritten)
        {
            let Some(Answer::Type(ty)) = answers.next() else {
                continue;
            };
            let Some(function) = function_of(ty) else {
                continue;
            };
            let place = &item.origin.place;
            self.add(
                item.name.clone(),
                place,
                types.prototype(&item.name, function),
            );
            if let Some((_, declared)) = self.headers.callable(&item.origin.header, &item.name) {
                let parameters = declared.parameters.list.iter();
                let names: Vec<_> = parameters
                    .map(|p| p.name.as_deref().unwrap_or("_"))
                    .collect();
                let text = names.join(", ");
                self.add(
                    format!("{}, names of the parameters", item.name),
                    place,
                    text,
                );
            }
        }
        for (item, answer) in bindings.statics.iter().zip(answers) {
            if let Answer::Type(ty) = answer {
                self.add(item.name.clone(), &item.origin.place, types.spelling(ty));
            }
        }
    }

    fn aggregate(&mut self, item: &Aggregate, id: Id, size: u64, align: u64) {
        let bindings = self.bindings;
        let types = &self.facts.types;
        let title = CPath::of(&item.name, bindings).title();
        let place = &item.origin.place;
        let text = format!("{size} bytes, alignment {align}");
        self.add(title.clone(), place, text);
        for member in types.flat_members(id) {
            let field = item
                .fields
                .iter()
                .find(|f| RustType::same_name(&f.name, &member.name));
            let mut bits = bindings.bits_of(&item.name).flat_map(|bits| &bits.entries);
            let bit = bits.find(|entry| entry.name == member.name);
            let text = match (field, bit) {
                (None, None) => "in C only".to_string(),
                _ => describe(types, &member),
            };
            let place = field
                .map(|f| &f.origin.place)
                .or(bit.map(|b| &b.origin.place));
            let place = place.unwrap_or(&item.origin.place);
            self.add(format!("{title}.{}", member.name), place, text);
        }
    }

    /// The C functions that the bindings rewrite, as their tokens.
    fn inline_functions(&mut self) {
        for Callable { name, origin, .. } in &self.bindings.rewritten {
            let headers = self.headers;
            let Some((file, declared)) = headers.callable(&origin.header, name) else {
                continue;
            };
            let (Some(body), Some(header)) = (&declared.body, headers.get(&file)) else {
                continue;
            };
            let text = header.slice(&(declared.result.start..body.end));
            let tokens = token::split(text).0;
            let words: Vec<_> = tokens.iter().map(|t| &text[t.start..t.end]).collect();
            let what = format!("{name}, the C that it stands for");
            self.add(what, &origin.place, words.join(" "));
        }
    }
}

fn describe(types: &CTypes, member: &CMember) -> String {
    let ty = types.spelling(&member.ty);
    match member.bits {
        Some((first, width)) => format!("{ty}, {width} bits at bit {first}"),
        None => {
            let size = types.size(&member.ty).unwrap_or(0);
            format!("{ty} at offset {}, {size} bytes", member.offset)
        }
    }
}
