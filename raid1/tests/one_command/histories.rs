//! Legs that went on without each other, and old states of legs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::scratch::Scratch;

const MIB: usize = 1 << 20;
const MIRROR: [&str; 4] = ["--mirror", "m=a,b", "--nbd", "unix:nbd.sock"];

/// Starts the mirror, fills it by nbdcopy, if there is one, and stops it.
fn fill(scratch: &Scratch, byte: u8) {
    let running = scratch.start(&MIRROR);
    scratch.wait_until_whole();
    let image = scratch.path("image");
    fs::write(&image, vec![byte; 4 * MIB]).unwrap();
    let uri = format!(
        "nbd+unix:///m?socket={}",
        scratch.path("nbd.sock").display()
    );
    match Command::new("nbdcopy").arg(&image).arg(uri).status() {
        Ok(status) => assert!(status.success()),
        Err(_) => eprintln!("there is no nbdcopy: no data"),
    }
    assert_eq!(running.stop("-TERM").0, Some(0));
}

fn rename(scratch: &Scratch, from: &str, to: &str) {
    fs::rename(scratch.path(from), scratch.path(to)).unwrap();
}

fn contents(scratch: &Scratch) -> [Vec<u8>; 2] {
    ["a", "b"].map(|name| fs::read(scratch.path(name)).unwrap())
}

/// A mirror each of whose legs went on without the other, and what either has by then.
fn split() -> (Scratch, [Vec<u8>; 2]) {
    let scratch = Scratch::new();
    let running = scratch.start(&["--mirror", "m=a,b", "--size", "4MiB"]);
    assert_eq!(running.stop("-TERM").0, Some(0));
    rename(&scratch, "b", "b.old");
    fill(&scratch, 0xaa);
    rename(&scratch, "a", "a.old");
    rename(&scratch, "b", "b.with-a");
    rename(&scratch, "b.old", "b");
    fill(&scratch, 0xbb);
    rename(&scratch, "a", "a.with-b");
    rename(&scratch, "a.old", "a");
    let contents = contents(&scratch);
    (scratch, contents)
}

#[test]
fn split_brain_is_refused_and_nothing_is_changed() {
    let (scratch, before) = split();
    for further in [&[][..], &["--force"]] {
        let text = scratch.fails(&[&MIRROR[..], further].concat(), 1);
        assert!(text.contains("--mirror m: split brain: "), "{text}");
        for name in ["a", "b"] {
            let path: PathBuf = scratch.path(name);
            let line = format!("  {}: generation ", path.display());
            let line = text.lines().find(|shown| shown.starts_with(&line));
            let line = line.unwrap_or_else(|| panic!("{text}"));
            assert!(line.contains(", stopped in order, last written to 20"));
        }
        assert!(text.contains("--force does not choose"), "{text}");
        assert!(contents(&scratch) == before);
        assert!(!scratch.has("nbd.sock"));
    }
}

#[test]
fn the_history_whose_files_are_kept_counts() {
    for (kept, other) in [("a", "b"), ("b", "a")] {
        let (scratch, [a, b]) = split();
        rename(&scratch, other, "lost");
        let running = scratch.start(&MIRROR);
        let made = format!("{other} (missing, made anew: rebuilt from the others)");
        assert!(running.text.contains(&made), "{}", running.text);
        scratch.wait_until_whole();
        assert_eq!(running.stop("-TERM").0, Some(0));
        let (chosen, lost) = if kept == "a" { (&a, &b) } else { (&b, &a) };
        for content in contents(&scratch) {
            assert!(content[MIB..] == chosen[MIB..], "{kept}");
        }
        // What was not chosen is there still.
        assert!(fs::read(scratch.path("lost")).unwrap() == *lost);
    }
}

/// One that says that it is the only leg left, and is seen first, would start without the other.
#[test]
fn an_old_state_of_a_leg_is_copied_to() {
    let scratch = Scratch::new();
    let running = scratch.start(&["--mirror", "m=a,b", "--size", "4MiB"]);
    let Some(output) = scratch.raid1ctl(&["remove", "m-leg1"]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(running.stop("-TERM").0, Some(0));
    fs::copy(scratch.path("a"), scratch.path("a.old")).unwrap();
    fill(&scratch, 0xaa);
    rename(&scratch, "a.old", "a");
    let [_, b] = contents(&scratch);
    let running = scratch.start(&MIRROR);
    let text = &running.text;
    assert!(
        text.contains("a (an old state: all is copied to it)"),
        "{text}"
    );
    scratch.wait_until_whole();
    let output = scratch.raid1ctl(&["status", "--json"]).unwrap();
    let status = String::from_utf8_lossy(&output.stdout);
    assert!(!status.contains("waiting_base_bdevs"), "{status}");
    assert_eq!(running.stop("-TERM").0, Some(0));
    for content in contents(&scratch) {
        assert!(content[MIB..] == b[MIB..]);
    }
}
