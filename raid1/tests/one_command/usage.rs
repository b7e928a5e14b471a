//! The help, and arguments that make no sense.

use std::process::Command;

use crate::scratch::Scratch;

#[test]
fn the_help_shows_our_options_before_those_of_spdk() {
    for option in ["-h", "--help"] {
        let output = Command::new(env!("CARGO_BIN_EXE_raid1"))
            .arg(option)
            .output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("no {part}"));
        let parts = [
            "--mirror",
            "--size <",
            "--nbd <",
            "Examples:",
            "--cpumask",
            "--rpc-socket",
        ];
        let places = parts.map(place);
        assert!(places.is_sorted(), "{places:?}");
        assert_eq!(text.matches("--mirror <").count(), 1);
    }
}

#[test]
fn wrong_arguments_exit_with_2_and_touch_nothing() {
    let scratch = Scratch::new();
    for (arguments, part) in [
        (
            &["--mirror", "m"][..],
            "--mirror: expected NAME=FILE,FILE, found 'm'",
        ),
        (&["--mirror", "m=a"], "two files or more"),
        (
            &["--mirror", "m=a,b", "--size", "big"],
            "--size: expected a size",
        ),
        (
            &["--mirror", "m=a,b", "--size", "1000"],
            "--size: expected a multiple of 4096 bytes",
        ),
        (
            &["--mirror", "m=a,b", "--nbd", "x"],
            "--nbd: expected unix:PATH or tcp:HOST:PORT",
        ),
        (
            &["--mirror", "m=a,b", "--nbd", "tcp:0.0.0.0:1"],
            "found '0.0.0.0'",
        ),
        (
            &["--mirror", "m=a,b", "--block-size", "1"],
            "--block-size: expected 512 or 4096",
        ),
        (&["--nbd", "unix:x"], "--nbd: there is no --mirror"),
    ] {
        let text = scratch.fails(arguments, 2);
        assert!(text.contains(part), "{arguments:?}: {text}");
        assert!(text.contains("raid1 --help"), "{text}");
    }
    assert!(!scratch.has("a") && !scratch.has("b"));
}

#[test]
fn a_mirror_and_a_configuration_file_exclude_each_other() {
    let scratch = Scratch::new();
    std::fs::write(scratch.path("config.json"), r#"{"subsystems": []}"#).unwrap();
    for option in ["--json", "-c", "--config"] {
        let text = scratch.fails(&["--mirror", "m=a,b", option, "config.json"], 2);
        assert!(
            text.contains("exclude each other: found config.json"),
            "{text}"
        );
    }
    assert!(!scratch.has("a"));
}

#[test]
fn addresses_that_cannot_be_served_are_named_by_their_option() {
    let scratch = Scratch::new();
    scratch.file("file", 0);
    let served = scratch.path("served");
    let _listener = std::os::unix::net::UnixListener::bind(&served).unwrap();
    for (address, part) in [
        ("unix:none/x", "there is no directory"),
        ("unix:file", "something else than a socket"),
        ("unix:served", "another server listens there"),
    ] {
        let text = scratch.fails(&["--mirror", "m=a,b", "--nbd", address], 1);
        assert!(text.contains("raid1: --nbd unix:"), "{text}");
        assert!(text.contains(part), "{text}");
    }
    assert!(!scratch.has("a") && !scratch.has("b"));
}

#[cfg(not(feature = "spdk"))]
#[test]
fn too_little_memory_is_said_so() {
    let text = Scratch::new().fails(&["-s", "1"], 1);
    assert!(text.contains("raid1: -s 1 is little memory"), "{text}");
}
