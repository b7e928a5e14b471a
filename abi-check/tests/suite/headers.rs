//! Every check against headers has the change that must make it fail. Needs a C compiler, no SPDK.

use crate::workspace::Workspace;

const HEADER: &str = "spdk/include/spdk/thing.h";

/// Changes the header, and expects the report to hold each of `texts`.
#[track_caller]
fn changed(from: &str, to: &str, texts: &[&str]) {
    Workspace::new()
        .replace(HEADER, from, to)
        .check()
        .expect(1, texts);
}

#[test]
fn unchanged_headers_pass_and_the_counts_are_printed() {
    Workspace::new().check().expect(
        0,
        &[
            "checked bindings against SPDK 26.01.0",
            "       5  structs and unions",
            "      25  fields",
            "       3  bit-fields",
            "       3  enumerators",
            "       4  constants",
            "       7  functions",
            "       1  rewritten static inline functions",
            "      21  parameter names",
            "SYMBOLS WERE NOT CHECKED",
            "everything proved",
        ],
    );
}

#[test]
fn fields_of_one_type_swapped() {
    changed(
        "uint32_t first;\n\tuint32_t second;",
        "uint32_t second;\n\tuint32_t first;",
        &[
            "bindings/thing.rs:77: struct thing.first: expected offset 8, found 12",
            "bindings/thing.rs:79: struct thing.second: expected offset 12, found 8",
            "2 MISMATCHES",
        ],
    );
}

#[test]
fn field_retyped_to_the_same_size() {
    let what = "struct thing.first: expected type uint32_t, found";
    changed(
        "uint32_t first;",
        "int32_t first;",
        &[&format!("{what} int32_t")],
    );
    changed(
        "uint32_t first;",
        "float first;",
        &[&format!("{what} float")],
    );
    changed(
        "struct thing_source *source;\n\tstruct thing_unknown",
        "struct thing *source;\n\tstruct thing_unknown",
        &["struct thing.source: expected type struct thing_source *, found struct thing *"],
    );
    changed(
        "enum thing_kind kind;\n\tbool",
        "unsigned int kind;\n\tbool",
        &["struct thing.kind: expected type enum thing_kind, found unsigned int"],
    );
    changed(
        "char letters[7]",
        "uint8_t letters[7]",
        &["struct thing.letters: expected type char"],
    );
    changed(
        "parts[2][3]",
        "parts[3][2]",
        &["struct thing.parts: expected type uint8_t [2][3]"],
    );
}

#[test]
fn a_const_of_a_field_dropped() {
    changed(
        "const char *name;\n\tuint32_t",
        "char *name;\n\tuint32_t",
        &["struct thing.name"],
    );
}

#[test]
fn an_untyped_pointer_is_held_to_the_type_that_its_documentation_names() {
    changed(
        "struct thing_unknown *unknown;",
        "struct thing_source *unknown;",
        &["struct thing.unknown: expected type void *, found struct thing_source *"],
    );
}

#[test]
fn field_inserted_or_removed() {
    let unnamed = "expected no C field that is neither named nor within _tail, found extra";
    // Into padding that no offset tells of.
    changed(
        "uint8_t green;",
        "uint8_t green;\n\t\tuint8_t extra;",
        &[unnamed],
    );
    changed(
        "uint32_t raw;",
        "uint32_t raw;\n\t\tuint8_t extra;",
        &[unnamed],
    );
    changed(
        "uint64_t private2;",
        "uint64_t private2, extra;",
        &["expected size 112, found 120"],
    );
    changed(
        "int32_t level;",
        "",
        &["struct thing.level: expected a field, found none"],
    );
}

#[test]
fn bit_field_moved_or_retyped() {
    changed(
        "uint32_t fast : 1;\n\tuint32_t mode : 3;",
        "uint32_t mode : 3;\n\tuint32_t fast : 1;",
        &[
            "struct thing.fast: expected 1 bits at bit 256, found 1 bits at bit 259",
            "struct thing.mode: expected 3 bits at bit 257, found 3 bits at bit 256",
        ],
    );
    changed(
        "uint32_t mode : 3",
        "int32_t mode : 3",
        &["expected an unsigned bit-field"],
    );
    changed(
        "int32_t offset : 28",
        "uint32_t offset : 28",
        &["expected a signed bit-field"],
    );
    changed(
        "uint32_t fast : 1;",
        "uint32_t fast : 1, more : 1;",
        &["found more"],
    );
}

#[test]
fn struct_packed_or_no_longer_packed() {
    changed(
        "} __attribute__((packed));",
        "};",
        &["struct thing_wire: expected size 11, found 24"],
    );
    changed(
        "uint64_t private2;\n};",
        "uint64_t private2;\n} __attribute__((packed));",
        &["struct thing: expected alignment 8, found 1"],
    );
}

#[test]
fn enumerator_renumbered_inserted_or_removed() {
    changed(
        "THING_FIRST = 4",
        "THING_FIRST = 3",
        &["thing_kind: THING_SECOND: expected value 5"],
    );
    changed(
        "THING_NONE,",
        "THING_NONE, THING_NEW,",
        &["found THING_NEW = 1"],
    );
    changed(
        "THING_NONE,\n",
        "",
        &["thing_kind: THING_NONE: expected an enumerator, found none"],
    );
    changed(
        "THING_NONE,",
        "THING_NONE = -1,",
        &["enum thing_kind: expected type uint32_t"],
    );
}

#[test]
fn constant_changed_or_removed() {
    changed(
        "THING_LIMIT\t64",
        "THING_LIMIT\t65",
        &["THING_LIMIT: expected 64, found 65"],
    );
    changed(
        "THING_ALL\t(-1)",
        "THING_ALL\t1",
        &["THING_ALL: expected -1, found 1"],
    );
    changed(
        "\"thing\"",
        "\"things\"",
        &["THING_NAME: expected \"thing\", found \"things\""],
    );
    changed(
        "#define THING_LIMIT\t64",
        "",
        &["THING_LIMIT: expected 64, found nothing of the kind"],
    );
}

#[test]
fn prototype_changed() {
    let close = "void thing_close(struct thing_source *source);";
    changed(
        close,
        "void thing_close(struct thing *source);",
        &["thing_close: expected void"],
    );
    changed(
        close,
        "int thing_close(struct thing_source *source);",
        &["found int thing_close"],
    );
    changed(
        close,
        "void thing_close(void);",
        &["found void thing_close(void)"],
    );
    changed(
        close,
        "void thing_close(struct thing_source *source, int x);",
        &["thing_close"],
    );
    changed(
        close,
        "void thing_close(const struct thing_source *source);",
        &["thing_close"],
    );
    changed(
        close,
        "",
        &[
            "thing_close: expected void thing_close",
            "nothing of the kind",
        ],
    );
    changed(
        "const struct thing *thing);\n\nuint64_t",
        "struct thing *thing);\n\nuint64_t",
        &["thing_name: expected const char *thing_name(const struct thing *thing)"],
    );
    changed(
        "bool thing_ready(void)",
        "int thing_ready(void)",
        &["thing_ready"],
    );
    changed(
        ", ...) __attribute__((format(printf, 2, 3)))",
        ")",
        &["thing_log: expected int32_t thing_log"],
    );
}

#[test]
fn parameters_of_one_type_swapped() {
    changed(
        "uint64_t from, uint64_t to,",
        "uint64_t to, uint64_t from,",
        &["thing_move, parameter 2: expected the name from, found to"],
    );
}

#[test]
fn callback_type_changed() {
    changed(
        "struct thing_source *source, int status,\n\t\t\tint detail",
        "struct thing_source *source, int detail,\n\t\t\tint status",
        &["thing_cb, parameter 3: expected the name status, found detail"],
    );
    changed(
        "typedef int (*thing_cb)",
        "typedef void (*thing_cb)",
        &["found void thing_cb(void *"],
    );
}

#[test]
fn function_pointer_of_a_struct_changed() {
    changed(
        "int (*poll)(void *ctx, void *arg);",
        "int (*poll)(void *arg, void *ctx);",
        &["struct thing.poll, parameter 1: expected the name ctx, found arg"],
    );
    changed(
        "(*poll)(void *ctx, void *arg)",
        "(*poll)(void *ctx)",
        &["struct thing.poll"],
    );
}

#[test]
fn a_function_made_inline_has_no_symbol() {
    changed(
        "bool thing_ready(void);",
        "static inline bool thing_ready(void) { return true; }",
        &["thing_ready: expected a symbol, found a static inline function"],
    );
}

#[test]
fn an_inline_function_that_rust_rewrites_must_stay_as_it_is() {
    changed(
        "static inline uint32_t\nthing_sum(const struct thing *thing)",
        "static inline uint64_t\nthing_sum(const struct thing *thing)",
        &["thing_sum: expected uint32_t thing_sum(const struct thing *thing), found"],
    );
    changed(
        "\n{\n\treturn thing->first + thing->second;\n}",
        ";",
        &["thing_sum: expected a static inline function, found a symbol"],
    );
}

#[test]
fn a_type_gone() {
    changed(
        "struct thing_wire {",
        "struct thing_cable {",
        &["struct thing_wire: expected"],
    );
    Workspace::new().remove(HEADER).check().expect(
        1,
        &[
            "bindings/thing.rs:1: spdk/thing.h: expected a header, found none of this name",
            "thing_open",
        ],
    );
}

#[test]
fn symbols_are_looked_up_in_every_kind_of_library() {
    let space = Workspace::new();
    space.library(true, "").library(false, "");
    space.check().expect(
        0,
        &["7  symbols in libraries", "1 static and 1 shared libraries"],
    );
    space.library(true, "thing_move");
    let found = "thing_move: expected a symbol, found none in 1 shared libraries";
    space.check().expect(1, &[found, "1 MISMATCH"]);
    space.library(false, "thing_each");
    space.check().expect(
        1,
        &[
            found,
            "thing_each: expected a symbol, found none in 1 static",
        ],
    );
}

#[test]
fn a_tree_that_was_not_built_is_checked_too() {
    let space = Workspace::new();
    space.remove("spdk/include/spdk/version.h");
    space.check().expect(
        2,
        &["there is neither include/spdk/version.h nor version.h.in"],
    );
    space.write(
        "spdk/include/spdk/version.h.in",
        "#define SPDK_VERSION_MAJOR $SPDK_VERSION_MAJOR\n\
         #define SPDK_VERSION_MINOR $SPDK_VERSION_MINOR\n\
         #define SPDK_VERSION_PATCH $SPDK_VERSION_PATCH\n\
         #define SPDK_VERSION_SUFFIX \"$SPDK_VERSION_SUFFIX\"\n",
    );
    space.write("spdk/VERSION", "26.09.0-pre\n");
    space.replace(
        HEADER,
        "#include <stdint.h>",
        "#include <stdint.h>\n#include \"spdk/config.h\"",
    );
    space.check().expect(
        0,
        &["SPDK 26.09.0-pre", "was not built", "an empty config.h"],
    );
}

#[test]
fn headers_that_do_not_compile_are_a_failure_of_the_check() {
    let space = Workspace::new();
    space.replace(HEADER, "struct thing {", "struct thing { nonsense;");
    space.check().expect(2, &["the headers do not compile"]);
}

#[test]
fn a_wrong_directory_is_a_failure_of_the_check() {
    let space = Workspace::new();
    space
        .run(&["--spdk", "nowhere"])
        .expect(2, &["no SPDK in nowhere: No such file"]);
    space
        .run(&["--spdk", "spdk/include/spdk/thing.h"])
        .expect(2, &["not a directory"]);
    space
        .run(&["--spdk", "bindings"])
        .expect(2, &["there is no include/spdk"]);
    space.run(&["--spdk"]).expect(2, &["a value is required"]);
}

#[test]
fn headers_of_another_spdk_are_not_mixed_in() {
    let space = Workspace::new();
    space.replace(
        HEADER,
        "#include <stdint.h>",
        "#include <stdint.h>\n#include \"spdk/old.h\"",
    );
    space.write("elsewhere/spdk/old.h", "");
    let variables = [("C_INCLUDE_PATH", "elsewhere")];
    space.run_with(&["--spdk", "spdk"], &variables).expect(
        2,
        &["the headers include elsewhere/spdk/old.h of another SPDK"],
    );
}

#[test]
fn the_compiler_is_the_one_that_the_environment_names() {
    let space = Workspace::new();
    let run = |cc| space.run_with(&["--spdk", "spdk"], &[("CC", cc)]);
    run("cc -DTHING_EXTRA").expect(0, &["everything proved"]);
    run("no-such-compiler").expect(2, &["cannot run the C compiler no-such-compiler"]);
    // One that fails without a word of why.
    run("false").expect(2, &["the C compiler false failed"]);
}
