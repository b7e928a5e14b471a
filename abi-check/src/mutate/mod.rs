//! Proves that the check notices: makes copies of the headers with one change each, generated from
//! the list of what the bindings mirror, and counts how many of them are reported.

mod callables;
mod generator;
mod mutation;
mod retype;
mod score;
mod structs;
mod values;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use indicatif::{ProgressBar, ProgressStyle};

use crate::bindings::Bindings;
use crate::check::{Check, queries};
use crate::compiler::Compiler;
use crate::mutate::mutation::{Mutation, Target, edited};
pub(crate) use crate::mutate::score::Score;
use crate::names::Headers;
use crate::probe::{PROBE_FLAGS, Prober};
use crate::report::Report;
use crate::selection::Selection;
use crate::spdk::Spdk;

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// Reported: the first line of the report.
    Caught(String),
    Survived,
    /// The changed header does not compile, whatever the bindings say.
    Stillborn(String),
}

/// A changed header must compile to count, so neither SPDK's own assertions nor ours may fail.
const FLAGS: [&str; 1] = ["-D_Static_assert(...)="];

/// A header of headers that no change touches, compiled once.
const PREFIX: &str = "abi_check_prefix.h";

/// How many changes to try.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) count: Option<usize>,
    pub(crate) seed: u64,
}

/// Makes the changes and checks each.
///
/// # Errors
///
/// A sentence for the user when the changes cannot be made or the unchanged headers do not pass.
pub(crate) fn run(bindings: &Bindings, spdk: &Spdk, sample: Sample) -> Result<Score, String> {
    let compiler = Compiler::from_environment();
    let directory = tempfile::tempdir().map_err(|e| format!("no temporary directory: {e}"))?;
    let original = Headers::of(&spdk.include_directories());
    let prepared = directory.path().join("prepared");
    prepare(&original, &prepared)?;
    let mut includes = vec![prepared.clone()];
    includes.extend(spdk.include_directories());
    let headers = Headers::of(&includes);
    let engine = Engine {
        bindings,
        headers: &headers,
        compiler: &compiler,
        includes: &includes,
        prefix: Some(PREFIX),
    };
    precompile(&compiler, &includes, &prepared, bindings)?;
    let work = directory.path().join("base");
    fs::create_dir_all(&work).map_err(|e| format!("cannot make {}: {e}", work.display()))?;
    let prober = engine.prober(&work, &[]);
    let facts = prober.ask(
        &bindings.headers,
        &queries(bindings, &Selection::all(bindings)),
    )?;
    let generated = generator::generate(bindings, &headers, &facts);
    let mut mutations = generated.mutations;
    let made = mutations.len();
    if let Some(count) = sample.count {
        shuffle(&mut mutations, sample.seed);
        mutations.truncate(count);
    }
    let mut score = Score::new(made, generated.unreachable);
    engine.controls(&generated.targets, &mutations, directory.path())?;
    let outcomes = engine.mutants(&generated.targets, &mutations, directory.path())?;
    for (mutation, outcome) in mutations.iter().zip(outcomes) {
        score.add(mutation, outcome);
    }
    Ok(score)
}

/// Copies the headers that define functions, with bodies that use no fields, and without the
/// attributes that check the parameters of a `printf`: a change must not make a header fail to
/// compile before the check sees it.
fn prepare(headers: &Headers, directory: &Path) -> Result<(), String> {
    let target = directory.join("spdk");
    let cannot = |e: std::io::Error| format!("cannot copy the headers: {e}");
    fs::create_dir_all(&target).map_err(cannot)?;
    for name in headers.names() {
        let Some(header) = headers.get(name) else {
            continue;
        };
        let bodies = header
            .callables
            .iter()
            .filter_map(|callable| callable.body.clone());
        let mut edits: Vec<_> = bodies
            .map(|body| (body, "{ __builtin_trap(); }".to_string()))
            .collect();
        edits.extend(format_attributes(&header.text).map(|span| (span, String::new())));
        edits.sort_by_key(|(body, _)| body.start);
        if !edits.is_empty() {
            fs::write(directory.join(&**name), edited(&header.text, &edits)).map_err(cannot)?;
        }
    }
    Ok(())
}

/// The `__attribute__((format(..)))` of a text.
fn format_attributes(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    text.match_indices("__attribute__((")
        .filter_map(|(start, opening)| {
            let rest = &text[start + opening.len()..];
            if !rest.trim_start_matches('_').starts_with("format") {
                return None;
            }
            Some(start..start + opening.len() + rest.find(")))")? + 3)
        })
}

/// Compiles the system's headers once: they are most of the text of a probe.
fn precompile(
    compiler: &Compiler,
    includes: &[PathBuf],
    directory: &Path,
    bindings: &Bindings,
) -> Result<(), String> {
    let path = directory.join(PREFIX);
    let mut text = "#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n".to_string();
    let common = "spdk/stdinc.h";
    if includes
        .iter()
        .any(|directory| directory.join(common).is_file())
        && !bindings.headers.iter().any(|header| **header == *common)
    {
        text.push_str(&format!("#include <{common}>\n"));
    }
    fs::write(&path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    let flags: Vec<&str> = FLAGS
        .iter()
        .chain(&PROBE_FLAGS)
        .copied()
        .chain(["-x", "c-header"])
        .collect();
    let output = directory.join(format!("{PREFIX}.gch"));
    let faults = compiler.compile(&path, includes, &flags, Some(&output))?;
    match faults.first() {
        Some(fault) => Err(format!("the headers do not compile: {}", fault.text)),
        None => Ok(()),
    }
}

/// A shuffle that depends on the seed alone.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    for end in (1..items.len()).rev() {
        // The remainder is below the length, which fits.
        let other = usize::try_from(next() % (end as u64 + 1)).unwrap_or(0);
        items.swap(end, other);
    }
}

struct Engine<'a> {
    bindings: &'a Bindings,
    headers: &'a Headers,
    compiler: &'a Compiler,
    includes: &'a [PathBuf],
    prefix: Option<&'a str>,
}

impl Engine<'_> {
    fn prober<'a>(&'a self, directory: &'a Path, overlay: &[PathBuf]) -> Prober<'a> {
        let includes = overlay.iter().chain(self.includes).cloned().collect();
        Prober {
            compiler: self.compiler,
            includes,
            directory,
            flags: &FLAGS,
            prefix: self.prefix,
        }
    }

    /// Checks a target; the first mismatch, if there is one.
    fn check(
        &self,
        target: &Target,
        headers: &Headers,
        prober: &Prober<'_>,
    ) -> Result<Option<String>, String> {
        let includes = &target.includes;
        let check = Check {
            bindings: self.bindings,
            headers,
            prober,
            includes,
        };
        let mut report = Report::default();
        check.run(&target.selection, false, &mut report)?;
        if report.mismatches.is_empty() {
            // What the types do not tell, the compiler's own judgement might.
            check.run(&target.selection, true, &mut report)?;
        }
        Ok(report.mismatches.first().map(ToString::to_string))
    }

    /// The unchanged headers must pass each target, or every change would seem to be caught.
    fn controls(
        &self,
        targets: &[Target],
        mutations: &[Mutation],
        directory: &Path,
    ) -> Result<(), String> {
        let mut used: Vec<usize> = mutations.iter().map(|mutation| mutation.target).collect();
        used.sort_unstable();
        used.dedup();
        let faults = self.parallel("unchanged", &used, directory, |&target, work| {
            let prober = self.prober(work, &[]);
            self.check(&targets[target], self.headers, &prober)
        })?;
        for fault in faults {
            if let Some(fault) = fault? {
                return Err(format!("the unchanged headers do not pass: {fault}"));
            }
        }
        Ok(())
    }

    fn mutants(
        &self,
        targets: &[Target],
        mutations: &[Mutation],
        directory: &Path,
    ) -> Result<Vec<Outcome>, String> {
        self.parallel("changed", mutations, directory, |mutation, work| {
            self.mutant(&targets[mutation.target], mutation, work)
                .unwrap_or_else(Outcome::Stillborn)
        })
    }

    fn mutant(&self, target: &Target, mutation: &Mutation, work: &Path) -> Result<Outcome, String> {
        let original = self
            .headers
            .get(&mutation.header)
            .ok_or("the header is gone")?;
        let text = edited(&original.text, &mutation.edits);
        let overlay = work.join("overlay");
        let path = overlay.join(&*mutation.header);
        let cannot = |e: std::io::Error| format!("cannot write {}: {e}", path.display());
        fs::create_dir_all(overlay.join("spdk")).map_err(cannot)?;
        fs::write(&path, &text).map_err(cannot)?;
        let headers = self.headers.with(mutation.header.clone(), text);
        let prober = self.prober(work, std::slice::from_ref(&overlay));
        let outcome = self.check(target, &headers, &prober);
        fs::remove_file(&path).map_err(cannot)?;
        Ok(match outcome? {
            Some(line) => Outcome::Caught(line),
            None => Outcome::Survived,
        })
    }

    /// Works through a list on all processors, each with a directory of its own.
    fn parallel<T: Sync, R: Send>(
        &self,
        title: &'static str,
        items: &[T],
        directory: &Path,
        work: impl Fn(&T, &Path) -> R + Sync,
    ) -> Result<Vec<R>, String> {
        let next = AtomicUsize::new(0);
        let results: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::new());
        let bar = ProgressBar::new(items.len() as u64);
        if let Ok(style) =
            ProgressStyle::with_template("{msg:>10} {bar:40} {pos}/{len} {elapsed} ETA {eta}")
        {
            bar.set_style(style);
        }
        bar.set_message(title);
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
        let mut directories = Vec::new();
        for thread in 0..threads {
            let own: Arc<Path> = directory.join(format!("thread{thread}")).into();
            fs::create_dir_all(&own).map_err(|e| format!("cannot make {}: {e}", own.display()))?;
            directories.push(own);
        }
        std::thread::scope(|scope| {
            for own in directories {
                let (next, results, bar, work) = (&next, &results, &bar, &work);
                scope.spawn(move || {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(item) = items.get(index) else { break };
                        let result = work(item, &own);
                        bar.inc(1);
                        // A poisoned lock still holds the results of the others.
                        let mut results = results
                            .lock()
                            .unwrap_or_else(std::sync::PoisonError::into_inner);
                        results.push((index, result));
                    }
                });
            }
        });
        bar.finish_and_clear();
        let mut results = results
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        results.sort_by_key(|(index, _)| *index);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::mutation::{Edit, MutationKind};
    use super::*;

    /// What becomes of a change to the header of the fixtures.
    fn outcome(edit: impl Fn(&str) -> Vec<Edit>) -> Outcome {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let spdk = Spdk::open(&fixtures.join("spdk")).expect("the fixtures");
        let bindings = crate::reader::read(&fixtures.join("bindings")).expect("the fixtures");
        let includes = spdk.include_directories();
        let headers = Headers::of(&includes);
        let compiler = Compiler::from_environment();
        let engine = Engine {
            bindings: &bindings,
            headers: &headers,
            compiler: &compiler,
            includes: &includes,
            prefix: None,
        };
        let header: Arc<str> = "spdk/thing.h".into();
        let text = &headers.get(&header).expect("the header").text;
        let mutation = Mutation {
            kind: MutationKind::FieldRetyped,
            header: header.clone(),
            edits: edit(text),
            what: String::new(),
            target: 0,
        };
        let selection = Selection::all(&bindings);
        let includes = bindings.headers.clone();
        let target = Target {
            includes,
            selection,
        };
        let work = tempfile::tempdir().expect("a directory");
        engine
            .mutant(&target, &mutation, work.path())
            .unwrap_or_else(Outcome::Stillborn)
    }

    fn replaced(from: &'static str, to: &'static str) -> Outcome {
        outcome(|text| {
            let start = text.find(from).expect("part of the header");
            vec![(start..start + from.len(), to.to_string())]
        })
    }

    // The canary: an engine that calls everything caught would be worthless.
    #[test]
    fn a_change_of_nothing_survives() {
        assert_eq!(outcome(|_| Vec::new()), Outcome::Survived);
        assert_eq!(replaced("private1", "private3"), Outcome::Survived);
    }

    #[test]
    fn a_change_is_caught_and_nonsense_is_stillborn() {
        let caught = replaced("uint32_t first", "int32_t first");
        assert!(matches!(caught, Outcome::Caught(line) if line.contains("thing.first")));
        assert!(matches!(
            replaced("uint32_t first", "nonsense first"),
            Outcome::Stillborn(_)
        ));
    }

    #[test]
    fn a_shuffle_is_a_permutation_that_the_seed_decides() {
        let shuffled = |seed| {
            let mut items: Vec<u32> = (0..100).collect();
            shuffle(&mut items, seed);
            items
        };
        assert_eq!(shuffled(1), shuffled(1));
        assert_ne!(shuffled(1), shuffled(2));
        let mut sorted = shuffled(3);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<u32>>());
    }
}
