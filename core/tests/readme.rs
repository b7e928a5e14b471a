//! The README shows an example that is compiled: here it is shown to be the same.

const README: &str = include_str!("../../README.md");
const EXAMPLE: &str = include_str!("../examples/tail_bdev.rs");

#[test]
fn the_module_in_the_readme_is_the_compiled_example() {
    let heading = README
        .find("in 60 lines")
        .expect("the README has a section on a module in 60 lines");
    let section = &README[heading..];
    let (_, code) = section
        .split_once("```rust\n")
        .expect("the section begins with code");
    let (code, _) = code.split_once("```\n").expect("the code ends");
    assert!(
        code == EXAMPLE,
        "the README and core/examples/tail_bdev.rs differ: copy the one into the other"
    );
}

#[test]
fn the_example_has_at_most_60_lines_of_code() {
    let lines = EXAMPLE
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("//"));
    assert!(lines.count() <= 60);
}
