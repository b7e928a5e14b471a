//! The generated changes, and the comparison of two SPDKs.

use crate::workspace::Workspace;

const HEADER: &str = "spdk/include/spdk/thing.h";

#[test]
fn every_generated_change_is_caught() {
    let outcome = Workspace::new().run(&["--spdk", "spdk", "--mutate", "--json"]);
    let score: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(outcome.code, 0, "{score:#}");
    assert_eq!(score["caught"], score["made"]);
    assert!(score["made"].as_u64().expect("a number") > 250, "{score:#}");
    assert_eq!(
        score["not_c"].as_array().expect("a list").len(),
        0,
        "{score:#}"
    );
    // Of each kind that is promised, some were made.
    let kinds = score["kinds"].as_object().expect("an object");
    assert_eq!(kinds.len(), 23, "{score:#}");
}

#[test]
fn a_sample_depends_on_its_seed_alone() {
    let space = Workspace::new();
    let run = |seed| {
        let arguments = [
            "--spdk", "spdk", "--mutate", "--sample", "12", "--seed", seed,
        ];
        let outcome = space.run(&arguments);
        outcome.expect(0, &["a sample of", "mutations caught: 12 of 12"]);
        outcome.stdout
    };
    assert_eq!(run("1"), run("1"));
    assert_ne!(run("1"), run("2"));
}

#[test]
fn a_score_of_headers_that_do_not_pass_unchanged_would_mean_nothing() {
    let space = Workspace::new();
    space.replace(HEADER, "THING_LIMIT\t64", "THING_LIMIT\t65");
    space
        .run(&["--spdk", "spdk", "--mutate"])
        .expect(2, &["the unchanged headers do not pass", "THING_LIMIT"]);
}

#[test]
fn two_trees_are_compared() {
    let space = Workspace::new();
    let header = std::fs::read_to_string(space.path(HEADER)).expect("the header");
    let version = std::fs::read_to_string(space.path("spdk/include/spdk/version.h"));
    space.write(
        "next/include/spdk/version.h",
        &version.expect("the version"),
    );
    space.write("next/include/spdk/thing.h", &header);
    space
        .run(&["--diff", "spdk", "next"])
        .expect(0, &["0 differences"]);
    let next = "next/include/spdk/thing.h";
    space.replace(next, "uint32_t second;", "uint32_t second, third;");
    space.replace(
        next,
        "uint64_t from, uint64_t to,",
        "uint64_t to, uint64_t from,",
    );
    space.replace(next, "THING_FIRST = 4", "THING_FIRST = 3");
    space.replace(next, "void thing_close(struct thing_source *source);", "");
    space.replace(next, "thing->first + thing->second;", "thing->first;");
    space.run(&["--diff", "spdk", "next"]).expect(
        1,
        &[
            "struct thing.third: new",
            "struct thing.level: was int32_t at offset 16, 4 bytes, is int32_t at offset 20",
            "thing_move, names of the parameters: was thing, from, to, type, is thing, to, from",
            "enum thing_kind: THING_FIRST: was 4, is 3",
            "thing_close: gone; was void thing_close(struct thing_source *)",
            "thing_sum, the C that it stands for: was",
        ],
    );
    space
        .run(&["--diff", "spdk"])
        .expect(2, &["2 values required"]);
    space
        .run(&["--diff", "spdk", "nowhere"])
        .expect(2, &["no SPDK in nowhere"]);
}
