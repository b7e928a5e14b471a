//! Which files are made, taken and refused.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::scratch::Scratch;

const MIB: u64 = 1 << 20;

#[test]
fn files_that_are_no_legs_are_refused() {
    let scratch = Scratch::new();
    scratch.file("one", 2 * MIB);
    scratch.file("two", 3 * MIB);
    scratch.file("tiny", MIB);
    scratch.file("empty", 0);
    scratch.file("odd", 2 * MIB + 512);
    scratch.file("odder", 2 * MIB + 1);
    fs::write(scratch.path("old"), vec![1; 2 * MIB as usize]).unwrap();
    fs::create_dir(scratch.path("directory")).unwrap();
    symlink("one", scratch.path("link")).unwrap();
    symlink("nowhere", scratch.path("dangling")).unwrap();
    for (mirror, further, part) in [
        ("m=one,two", &[][..], "legs of a mirror are of one size"),
        ("m=one,one", &[], "one is one file, and is given twice"),
        ("m=one,link", &[], "is one file, and is given twice"),
        ("m=new,./new", &[], "is one file, and is given twice"),
        (
            "m=old,new",
            &[],
            "old holds data, and no metadata of a mirror",
        ),
        ("m=old,new", &[], "with --force it would be overwritten"),
        ("m=tiny,new", &[], "there is no room for data"),
        (
            "m=empty,two",
            &[],
            "is empty: remove it, and it is made anew",
        ),
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
            "has 3 MiB, and --size says 1 MiB",
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
    for name in ["new", "new2", "new3", "nowhere"] {
        assert!(!scratch.has(name), "{name}");
    }
    let sizes = ["one", "two", "empty", "odd", "odder"].map(|name| scratch.size_of(name));
    assert_eq!(sizes, [2 * MIB, 3 * MIB, 0, 2 * MIB + 512, 2 * MIB + 1]);
    assert_eq!(
        fs::read(scratch.path("old")).unwrap(),
        vec![1; 2 * MIB as usize]
    );
}

#[test]
fn new_files_are_sparse_and_private() {
    let scratch = Scratch::new();
    let running = scratch.start(&["--mirror", "m=a,b", "--size", "3GiB"]);
    for name in ["a", "b"] {
        let metadata = fs::metadata(scratch.path(name)).unwrap();
        assert_eq!(metadata.len(), (3 << 30) + MIB);
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
fn blank_files_are_used_and_others_with_force() {
    let scratch = Scratch::new();
    for name in ["a", "b"] {
        let data: Vec<u8> = (0..2 * MIB + 512)
            .map(|index| (index % 251) as u8)
            .collect();
        fs::write(scratch.path(name), data).unwrap();
    }
    let before = fs::read(scratch.path("a")).unwrap();
    let arguments = ["--mirror=m=a,b", "--block-size=512"];
    scratch.fails(&arguments, 1);
    let running = scratch.start(&[&arguments[..], &["--force"]].concat());
    let text = &running.text;
    assert!(text.contains("m is ready: 1.00 MiB"), "{text}");
    assert!(text.contains("blocks of 512 bytes"), "{text}");
    assert!(text.contains("a (overwritten)"), "{text}");
    assert!(text.contains("m-leg0 is copied to the others"), "{text}");
    assert_eq!(running.stop("-INT").0, Some(0));
    // Metadata took its place; the data is what it was, and is a mirror by now.
    for name in ["a", "b"] {
        let after = fs::read(scratch.path(name)).unwrap();
        assert!(after[MIB as usize..] == before[MIB as usize..], "{name}");
    }
    let running = scratch.start(&["--mirror=m=a,b"]);
    assert!(running.text.contains("blocks of 512 bytes"));
    assert_eq!(running.stop("-INT").0, Some(0));

    scratch.file("c", 3 * MIB);
    let running = scratch.start(&["--mirror=n=c,d"]);
    assert!(
        running.text.contains("n is ready: 2 MiB"),
        "{}",
        running.text
    );
    assert_eq!(running.stop("-INT").0, Some(0));
    assert_eq!(scratch.size_of("d"), 3 * MIB);
}

#[test]
fn files_of_another_mirror_are_refused() {
    let scratch = Scratch::new();
    let size = ["--size", "4MiB"];
    for mirror in ["m=a,b", "n=c,d"] {
        let running = scratch.start(&[&["--mirror", mirror], &size[..]].concat());
        assert_eq!(running.stop("-TERM").0, Some(0));
    }
    let before = fs::read(scratch.path("c")).unwrap();
    for (mirror, part) in [
        ("m=a,c", "c is a leg of mirror 'n' ("),
        ("x=a,new", "a is a leg of mirror 'm' ("),
    ] {
        let text = scratch.fails(&["--mirror", mirror], 1);
        assert!(text.contains(part), "{text}");
        assert!(
            text.contains("with --force it would be overwritten"),
            "{text}"
        );
    }
    assert!(!scratch.has("new"));
    fs::copy(scratch.path("a"), scratch.path("copy")).unwrap();
    let text = scratch.fails(&["--mirror", "m=a,copy"], 1);
    assert!(text.contains("a copy of"), "{text}");
    assert!(fs::read(scratch.path("c")).unwrap() == before);

    let running = scratch.start(&["--mirror", "m=a,c", "--force"]);
    let text = &running.text;
    assert!(
        text.contains("c (overwritten: rebuilt from the others)"),
        "{text}"
    );
    assert!(text.contains("It was started without m-leg1"), "{text}");
    scratch.wait_until_whole();
    assert_eq!(running.stop("-TERM").0, Some(0));
    // The leg in whose place that is has no part in it any more.
    let text = scratch.fails(&["--mirror", "m=a,b"], 1);
    assert!(
        text.contains("which has another leg in its place by now"),
        "{text}"
    );
}

#[test]
fn files_in_use_are_refused() {
    let scratch = Scratch::new();
    let running = scratch.start(&["--mirror", "m=a,b", "--size", "1MiB"]);
    let other = Scratch::new();
    let path = |name: &str| scratch.path(name).display().to_string();
    let mirror = format!("m={},{}", path("a"), path("b"));
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
        log.contains("the new files come to take 8.00 TiB when they are full"),
        "{log}"
    );
    let running = scratch.start(&["--mirror", "m=a,b"]);
    assert!(!running.stop("-TERM").1.contains("when they are full"));
}
