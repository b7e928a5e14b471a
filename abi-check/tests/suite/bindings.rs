//! What is checked without headers, and mistakes in the bindings themselves.

use crate::workspace::Workspace;

const BINDINGS: &str = "bindings/thing.rs";

/// Changes the bindings and expects a report without an SPDK to hold each of `texts`.
#[track_caller]
fn changed(from: &str, to: &str, texts: &[&str]) {
    Workspace::new()
        .replace(BINDINGS, from, to)
        .run(&[])
        .expect(1, texts);
}

#[test]
fn without_an_spdk_the_pinned_numbers_are_checked_and_it_is_said_so() {
    Workspace::new().run(&[]).expect(
        0,
        &[
            "5  pinned layouts",
            "WITHOUT an SPDK",
            "NO HEADERS WERE CHECKED",
            "everything proved",
        ],
    );
}

#[test]
fn pinned_numbers_must_be_those_of_the_types() {
    changed(
        "size 112",
        "size 120",
        &["thing.rs:112: struct thing: expected pinned size 120"],
    );
    changed(
        "size 112, align 8",
        "size 112, align 4",
        &["expected pinned alignment 4, found 8"],
    );
    changed(
        "second: 12",
        "second: 16",
        &["struct thing.second: expected pinned offset 16"],
    );
    changed(
        "level: 16, ",
        "",
        &["struct thing.level: expected a pinned offset, found none"],
    );
    changed(
        "level: 16, ",
        "level: 16, lever: 20, ",
        &["struct thing.lever: expected a field"],
    );
}

#[test]
fn every_type_needs_pinned_numbers_and_the_layout_of_c() {
    let pinned = "layout! { struct thing_wire: size 11, align 1 { tag: 0, length: 1, sum: 9 } }";
    changed(
        pinned,
        "",
        &["struct thing_wire: expected pinned numbers (layout!), found none"],
    );
    changed(
        "#[repr(C, packed)]",
        "#[repr(packed)]",
        &["expected #[repr(C)]"],
    );
}

#[test]
fn bits_must_fit_into_their_field() {
    changed(
        "offset: 4 + 28",
        "offset: 4 + 29",
        &["expected at most 32 bits, found bit 33"],
    );
    changed(
        "offset: 4 + 28",
        "offset: 3 + 28",
        &["expected a bit from 4 on, found bit 3"],
    );
    changed(
        "thing._bits0: u32 {",
        "thing._bits0: u16 {",
        &["expected uint16_t, found uint32_t"],
    );
    changed(
        "thing._bits0: u32 {",
        "thing._bits1: u32 {",
        &["thing._bits1: expected a field"],
    );
}

#[test]
fn what_the_conventions_do_not_allow_is_reported() {
    changed(
        "//! C: spdk/thing.h",
        "//! C spdk/thing.h",
        &["without a `//! C: header` line"],
    );
    changed("= 1 << 6", "= limit()", &["cannot evaluate THING_LIMIT"]);
    changed(
        "THING_NONE = 0,",
        "THING_NONE,",
        &["cannot read enumeration!"],
    );
    changed(
        "/// A thing on the wire.",
        "/// A number.\npub type thing_number = u32;\n/// A thing on the wire.",
        &["nothing proves the alias thing_number"],
    );
    changed(
        "/// A thing on the wire.",
        "flags! { A }\nmod inner { pub const B: u32 = 1; }\n/// A thing on the wire.",
        &[
            "what flags! makes is not proved",
            "what the module inner holds is not proved",
        ],
    );
    changed(
        "    /// Whether things are ready.",
        "    /// Ready?\n    #[link_name = \"thing_set\"]",
        &["thing_ready is linked by another name"],
    );
    changed(
        "cpl: Option<unsafe extern \"C\" fn(",
        "cpl: Option<unsafe fn(",
        &[
            "thing.rs:159: bindings: expected what the conventions allow, found cannot read the type",
        ],
    );
    changed(
        "unsafe extern \"C\" {",
        "unsafe extern \"system\" {",
        &["not extern \"C\""],
    );
}

#[test]
fn mistakes_that_only_the_headers_tell() {
    let wrong = |from: &str, to: &str, text: &str| {
        Workspace::new()
            .replace(BINDINGS, from, to)
            .check()
            .expect(1, &[text]);
    };
    wrong(
        "to: u64, type_",
        "to: i64, type_",
        "thing_move: expected uint64_t thing_move(",
    );
    wrong(
        "thing: *const thing) -> *const",
        "thing: *mut thing) -> *const",
        "thing_name",
    );
    wrong(
        "thing_close(source",
        "thing_shut(source",
        "thing_shut: expected void thing_shut",
    );
    wrong(
        "thing_close(source",
        "thing_close(_source",
        "expected the name _source, found source",
    );
    wrong(
        "    thing_source\n",
        "    thing_sauce\n",
        "struct thing_sauce: expected a type",
    );
    wrong(
        "        /// The first.\n        THING_FIRST = 4,\n",
        "",
        "found THING_FIRST = 4",
    );
    wrong(
        "pub const THING_ALL",
        "pub const THING_ANY",
        "THING_ANY: expected -1, found nothing",
    );
    wrong(
        "/// A signed number.",
        "/// A number.",
        "expected an unsigned bit-field",
    );
    wrong(
        "/// A `struct thing_unknown`.",
        "/// Unknown.",
        "struct thing.unknown: expected type",
    );
    wrong(
        "pub u: thing__u,",
        "pub u: u32,",
        "struct thing.u: expected type uint32_t",
    );
}

#[test]
fn bindings_that_are_not_there_or_not_rust_are_a_failure_of_the_check() {
    let space = Workspace::new();
    space
        .write("empty/readme", "")
        .run(&["--bindings", "empty"])
        .expect(2, &["cannot be used"]);
    space.replace(BINDINGS, "pub struct thing {", "pub struct {");
    space
        .run(&[])
        .expect(2, &["bindings/thing.rs:73: not valid Rust"]);
}

#[test]
fn json_holds_counts_and_mismatches() {
    let space = Workspace::new();
    space.replace(BINDINGS, "THING_ALL: c_int = -1", "THING_ALL: c_int = -2");
    let outcome = space.run(&["--spdk", "spdk", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(outcome.code, 1);
    assert_eq!(report["proved"]["constants"], 3);
    assert_eq!(report["mismatches"][0]["what"], "THING_ALL");
    assert_eq!(report["mismatches"][0]["file"], "bindings/thing.rs");
    assert_eq!(report["mismatches"][0]["found"], "-1");
}
