//! Misuse that must not compile, each with the compiler's message. `TRYBUILD=overwrite` renews the
//! messages after a change of the compiler.

#![cfg(not(loom))]

#[test]
fn misuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/misuse/*.rs");
}
