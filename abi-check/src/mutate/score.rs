//! How many of the changes were reported.

use std::collections::BTreeMap;

use super::Outcome;
use super::mutation::{Mutation, MutationKind};

/// The outcome of all changes.
#[derive(Debug, Default)]
pub(crate) struct Score {
    /// Caught and made, by kind.
    kinds: BTreeMap<MutationKind, (usize, usize)>,
    /// All that could have been made, for the score of a sample.
    possible: usize,
    survivors: Vec<String>,
    stillborn: Vec<String>,
    unreachable: Vec<String>,
}

impl Score {
    pub(super) fn new(possible: usize, unreachable: Vec<String>) -> Self {
        Self {
            possible,
            unreachable,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, mutation: &Mutation, outcome: Outcome) {
        let line = format!("{}: {} [{}]", mutation.header, mutation.what, mutation.kind);
        match outcome {
            Outcome::Stillborn(why) => self.stillborn.push(format!("{line}: {why}")),
            Outcome::Survived => {
                self.kinds.entry(mutation.kind).or_default().1 += 1;
                self.survivors.push(line);
            }
            Outcome::Caught(_) => {
                let (caught, made) = self.kinds.entry(mutation.kind).or_default();
                *caught += 1;
                *made += 1;
            }
        }
    }

    fn totals(&self) -> (usize, usize) {
        self.kinds
            .values()
            .fold((0, 0), |(caught, made), (c, m)| (caught + c, made + m))
    }

    /// Whether changes were made and all of them were reported.
    pub(crate) fn is_perfect(&self) -> bool {
        let (caught, made) = self.totals();
        made > 0 && caught == made
    }

    /// The score as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        let (caught, made) = self.totals();
        let kinds: serde_json::Map<_, _> = self
            .kinds
            .iter()
            .map(|(kind, (caught, made))| {
                (
                    kind.to_string(),
                    serde_json::json!({ "caught": caught, "made": made }),
                )
            })
            .collect();
        serde_json::json!({
            "caught": caught, "made": made, "possible": self.possible, "kinds": kinds,
            "survivors": self.survivors, "not_c": self.stillborn,
            "without_text": self.unreachable,
        })
    }

    /// Prints the score for people.
    pub(crate) fn print(&self, verbose: bool) {
        for survivor in &self.survivors {
            println!("NOT CAUGHT: {survivor}");
        }
        if verbose {
            for line in &self.stillborn {
                println!("not C any more: {line}");
            }
            for line in &self.unreachable {
                println!("no text to change: {line}");
            }
        }
        for (kind, (caught, made)) in &self.kinds {
            println!("  {caught:>6} of {made:>6}  {kind}");
        }
        let (caught, made) = self.totals();
        if made + self.stillborn.len() < self.possible {
            println!("a sample of {} possible changes", self.possible);
        }
        if !self.stillborn.is_empty() {
            println!(
                "not counted: {} changes after which the header itself is not C any more",
                self.stillborn.len()
            );
        }
        if !self.unreachable.is_empty() {
            println!(
                "{} things have no text of their own to change (see --verbose)",
                self.unreachable.len()
            );
        }
        println!("mutations caught: {caught} of {made}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(outcomes: &[Outcome]) -> Score {
        let mut score = Score::new(outcomes.len(), Vec::new());
        let mutation = Mutation {
            kind: MutationKind::FieldRemoved,
            header: "spdk/thing.h".into(),
            edits: Vec::new(),
            what: "struct thing.first removed".to_string(),
            target: 0,
        };
        outcomes
            .iter()
            .for_each(|outcome| score.add(&mutation, outcome.clone()));
        score
    }

    #[test]
    fn only_a_score_of_all_is_perfect() {
        let caught = Outcome::Caught(String::new());
        let stillborn = Outcome::Stillborn(String::new());
        assert!(score(&[caught.clone(), stillborn.clone()]).is_perfect());
        assert!(!score(&[caught, Outcome::Survived]).is_perfect());
        // Nothing made is nothing proved.
        assert!(!score(&[stillborn]).is_perfect());
        assert!(!score(&[]).is_perfect());
    }
}
