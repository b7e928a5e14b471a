//! What the fuzzers start from, and what they have found, in `raid1/fuzz/corpus`.

use super::*;

/// The files of a fuzz target.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let dir = std::format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(dir).unwrap();
    let corpus: Vec<_> = files
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect();
    assert!(!corpus.is_empty());
    corpus
}

#[test]
fn superblock() {
    corpus("superblock")
        .iter()
        .for_each(|input| fuzz::superblock(input));
}

#[test]
fn bitmap() {
    corpus("bitmap")
        .iter()
        .for_each(|input| fuzz::bitmap(input));
}

#[test]
fn import() {
    corpus("import")
        .iter()
        .for_each(|input| fuzz::import(input));
}
