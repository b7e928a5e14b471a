//! Which files are made, taken and refused.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::scratch::Scratch;

const MIB: u64 = 1 << 20;

#[test]
fn files_that_are_no_legs_are_refused() {
    let scratch = Scratch::new();
    scratch.file("one", MIB);
    scratch.file("two", 2 * MIB);
    scratch.file("empty", 0);
    scratch.file("odd", MIB + 512);
    scratch.file("odder", MIB + 1);
    fs::create_dir(scratch.path("directory")).unwrap();
    symlink("one", scratch.path("link")).unwrap();
    symlink("nowhere", scratch.path("dangling")).unwrap();
    for (mirror, further, part) in [
        ("m=one,two", &[][..], "legs of a mirror are of one size"),
        ("m=one,one", &[], "one is one file, and is given twice"),
        ("m=one,link", &[], "is one file, and is given twice"),
        ("m=new,./new", &[], "is one file, and is given twice"),
        ("m=one,new", &[], "copy it first:  cp --sparse=always"),
        ("m=empty,empty2", &[], "exists and"),
        (
            "m=empty,two",
            &[],
            "is empty: remove it, and it is made anew",
        ),
        ("m=odd,odd2", &[], "exists and"),
        ("m=odd,one", &[], "--block-size 512 would do"),
        (
            "m=odder,one",
            &[],
            "not a multiple of blocks of 4096 bytes\n",
        ),
        (
            "m=directory,one",
            &[],
            "directory is a directory: expected a file",
        ),
        ("m=dangling,new", &[], "dangling: "),
        ("m=new,none/new", &[], "there is no such directory"),
        (
            "m=one,two",
            &["--size", "1MiB"],
            "has 2 MiB, and --size says 1 MiB",
        ),
        (
            "m=new,new2",
            &["--mirror", "n=new2,new3"],
            "is given twice (m, n)",
        ),
    ] {
        let arguments = [&["--mirror", mirror], further].concat();
        let text = scratch.fails(&arguments, 1);
        assert!(text.contains("raid1: --mirror "), "{text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
    // Nothing was made, and nothing changed.
    for name in ["new", "new2", "new3", "odd2", "empty2", "nowhere"] {
        assert!(!scratch.has(name), "{name}");
    }
    let sizes = ["one", "two", "empty", "odd", "odder"].map(|name| scratch.size_of(name));
    assert_eq!(sizes, [MIB, 2 * MIB, 0, MIB + 512, MIB + 1]);
}

#[test]
fn new_files_are_sparse_and_private() {
    let scratch = Scratch::new();
    let running = scratch.start(&["--mirror", "m=a,b", "--size", "3GiB"]);
    for name in ["a", "b"] {
        let metadata = fs::metadata(scratch.path(name)).unwrap();
        assert_eq!(metadata.len(), 3 << 30);
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert!(std::os::unix::fs::MetadataExt::blocks(&metadata) < 100_000);
    }
    assert!(
        running
            .text
            .contains("m is ready: 3 GiB, blocks of 4096 bytes")
    );
    assert!(running.text.contains("(new)"));
    assert_eq!(running.stop("-TERM").0, Some(0));
}

#[test]
fn files_that_are_there_are_used_as_they_are() {
    let scratch = Scratch::new();
    for name in ["a", "b"] {
        let data: Vec<u8> = (0..MIB + 512).map(|index| (index % 251) as u8).collect();
        fs::write(scratch.path(name), data).unwrap();
    }
    let before = fs::read(scratch.path("a")).unwrap();
    let running = scratch.start(&["--mirror=m=a,b", "--block-size=512"]);
    assert!(
        running.text.contains("blocks of 512 bytes"),
        "{}",
        running.text
    );
    assert!(running.text.contains("are taken as equal"));
    assert!(!running.text.contains("(new)"));
    assert_eq!(running.stop("-INT").0, Some(0));
    for name in ["a", "b"] {
        assert!(fs::read(scratch.path(name)).unwrap() == before, "{name}");
    }
}

#[test]
fn files_in_use_are_refused() {
    let scratch = Scratch::new();
    let running = scratch.start(&["--mirror", "m=a,b", "--size", "1MiB"]);
    let other = Scratch::new();
    let path = |name: &str| scratch.path(name).display().to_string();
    let mirror = format!("n={},{}", path("a"), path("b"));
    let text = other.fails(&["--mirror", &mirror], 1);
    assert!(text.contains("is in use: by another raid1"), "{text}");
    assert_eq!(running.stop("-TERM").0, Some(0));
    let again = other.start(&["--mirror", &mirror]);
    assert_eq!(again.stop("-TERM").0, Some(0));
}

#[test]
fn new_files_that_may_outgrow_their_file_system_are_told_of() {
    let scratch = Scratch::new();
    let running = scratch.start(&["--mirror", "m=a,b", "--size", "4TiB"]);
    let (code, log) = running.stop("-TERM");
    assert_eq!(code, Some(0));
    assert!(
        log.contains("the new files come to take 8 TiB when they are full"),
        "{log}"
    );
    let running = scratch.start(&["--mirror", "m=a,b"]);
    assert!(!running.stop("-TERM").1.contains("when they are full"));
}
