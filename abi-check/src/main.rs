//! Proves the bindings.
fn main() {}
