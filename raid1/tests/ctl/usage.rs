//! Help, wrong arguments, completions.

use crate::application::usual_but;
use crate::run::{command, on, run};

#[test]
fn the_help_tells_of_everything() {
    let help = run(&["--help"]).exits(0);
    for word in [
        "create",
        "list",
        "status",
        "add",
        "remove",
        "delete",
        "start",
        "stop",
        "set-options",
        "export",
        "stats",
        "watch",
        "completions",
        "--socket",
        "--timeout",
        "--json",
        "RAID1_SOCKET",
        "/var/tmp/spdk.sock",
        "Exit codes:",
        "Examples:",
    ] {
        assert!(help.out.contains(word), "no {word}");
    }
    for code in ["0  done", "1  the app", "2  wrong", "3  no app", "4  with"] {
        assert!(help.out.contains(code), "no {code}");
    }
    let too_long = help.out.lines().find(|line| line.len() > 100);
    assert_eq!(too_long, None);
}

#[test]
fn every_subcommand_has_help() {
    for subcommand in [
        "create",
        "list",
        "status",
        "add",
        "remove",
        "delete",
        "start",
        "stop",
        "set-options",
        "export",
        "stats",
        "watch",
        "completions",
    ] {
        run(&[subcommand, "--help"]).exits(0).says("Usage:");
    }
    for subcommand in ["start", "stop", "list"] {
        run(&["export", subcommand, "--help"])
            .exits(0)
            .says("Usage:");
    }
    run(&["--version"]).exits(0).says("raid1ctl 0.");
}

#[test]
fn wrong_arguments_exit_with_2() {
    for (arguments, part) in [
        (&[][..], "Usage:"),
        (&["export"], "Usage:"),
        (&["lst"], "similar"),
        (&["create", "m0"], "LEG"),
        (&["delete"], "NAME"),
        (&["delete", "a", "b"], "unexpected argument 'b'"),
        (
            &["list", "--category", "x"],
            "[possible values: all, online, configuring, offline]",
        ),
        (&["-t", "x", "list"], "--timeout"),
        (&["-t", "0", "list"], "--timeout"),
        (&["watch", "-n", "0"], "--count"),
        (&["watch", "-i", "-1"], "-1"),
        (
            &["export", "start", "m0", "/s"],
            "expected unix:PATH or tcp:HOST:PORT, found '/s'",
        ),
        (
            &["export", "start", "m0", "tcp:example.org:1"],
            "found 'example.org'",
        ),
        (&["completions", "cmd"], "[possible values: bash"),
    ] {
        run(arguments).exits(2).complains(part);
    }
}

#[test]
fn completions_for_shells() {
    for (shell, part) in [
        ("bash", "complete -F _raid1ctl"),
        ("zsh", "#compdef raid1ctl"),
        ("fish", "complete -c raid1ctl"),
    ] {
        run(&["completions", shell]).exits(0).says(part);
    }
}

#[test]
fn the_socket_may_come_from_the_environment_and_options_from_anywhere() {
    let application = usual_but(&[]);
    let outcome = command(&["list"])
        .env("RAID1_SOCKET", application.socket())
        .output();
    crate::run::Outcome::from(outcome.unwrap())
        .exits(0)
        .says("m0");
    let socket = application.socket();
    run(&["list", "--json", "-s", socket.to_str().unwrap()]).exits(0);
    on(&application, &["-j", "list"]).exits(0).json();
}

#[test]
fn an_output_that_nobody_reads_is_no_error() {
    let application = usual_but(&[]);
    let socket = application.socket();
    let mut child = command(&["-s", socket.to_str().unwrap(), "watch", "-i", "0.05"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let outcome = crate::run::Outcome::from(child.wait_with_output().unwrap());
    assert_eq!(outcome.exits(0).err, "");
}
