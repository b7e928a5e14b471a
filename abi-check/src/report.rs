//! What was proved and what was not.

use std::fmt;

use crate::bindings::Place;

/// Something that the bindings and C do not agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// The Rust line.
    pub(crate) place: Place,
    /// The thing, as in `struct spdk_bdev.name`.
    pub(crate) what: String,
    /// What the bindings say.
    pub(crate) expected: String,
    /// What C says.
    pub(crate) found: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            what,
            expected,
            found,
        } = self;
        write!(f, "{place}: {what}: expected {expected}, found {found}")
    }
}

macro_rules! counts {
    ($($(#[$meta:meta])* $name:ident: $title:literal),* $(,)?) => {
        /// How much was proved of each kind.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Counts {
            $($(#[$meta])* pub(crate) $name: usize,)*
        }

        impl Counts {
            /// The counts with their titles, in the order of the report.
            pub(crate) fn rows(&self) -> Vec<(&'static str, usize)> {
                vec![$(($title, self.$name)),*]
            }
        }
    };
}

counts! {
    /// Layouts computed from the Rust definition that equal the pinned numbers.
    pinned: "pinned layouts (size, alignment, every offset)",
    aggregates: "structs and unions (size, alignment)",
    fields: "fields (offset, size, type)",
    members: "C members named or covered by a tail",
    bit_fields: "bit-fields (position, width, signedness)",
    enumerations: "enums (size, signedness, no enumerator unknown)",
    enumerators: "enumerators",
    constants: "constants",
    callbacks: "callback types (prototype)",
    functions: "functions (prototype)",
    rewritten: "rewritten static inline functions (prototype)",
    statics: "variables (type)",
    parameters: "parameter names",
    opaques: "opaque types",
    symbols: "symbols in libraries",
}

/// The outcome of a check.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) counts: Counts,
    pub(crate) mismatches: Vec<Mismatch>,
    /// What the user should know, such as checks that could not be made.
    pub(crate) notes: Vec<String>,
}

impl Report {
    /// Adds a mismatch.
    pub(crate) fn mismatch(
        &mut self,
        place: &Place,
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.mismatches.push(Mismatch {
            place: place.clone(),
            what: what.into(),
            expected: expected.into(),
            found: found.into(),
        });
    }

    /// Counts a proof, or adds a mismatch. Returns whether it was proved.
    pub(crate) fn equal<T: PartialEq + fmt::Display>(
        &mut self,
        place: &Place,
        what: &str,
        label: &str,
        expected: T,
        found: T,
    ) -> bool {
        let equal = expected == found;
        if !equal {
            self.mismatch(
                place,
                what,
                format!("{label} {expected}"),
                found.to_string(),
            );
        }
        equal
    }

    /// The report as JSON.
    pub(crate) fn json(&self, title: &str) -> serde_json::Value {
        let counts: serde_json::Map<_, _> = self
            .counts
            .rows()
            .into_iter()
            .map(|(title, count)| (title.to_string(), count.into()))
            .collect();
        let mismatches: Vec<_> = self
            .mismatches
            .iter()
            .map(|m| {
                serde_json::json!({
                    "what": m.what, "file": &*m.place.file, "line": m.place.line,
                    "expected": m.expected, "found": m.found,
                })
            })
            .collect();
        serde_json::json!({
            "checked": title, "proved": counts, "mismatches": mismatches, "notes": self.notes,
        })
    }

    /// Prints the report for people: mismatches one a line, then the counts.
    pub(crate) fn print(&self, title: &str) {
        for mismatch in &self.mismatches {
            println!("{mismatch}");
        }
        println!("{title}");
        for (title, count) in self
            .counts
            .rows()
            .into_iter()
            .filter(|(_, count)| *count > 0)
        {
            println!("  {count:>6}  {title}");
        }
        for note in &self.notes {
            println!("note: {note}");
        }
        match self.mismatches.len() {
            0 => println!("everything proved"),
            1 => println!("1 MISMATCH"),
            count => println!("{count} MISMATCHES"),
        }
    }
}
