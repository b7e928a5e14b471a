//! watch.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::application::{Answer, Application, mirror, mirror_with_metadata, usual_but};
use crate::run::{command, on};

/// Counters that grow by 100 reads of 4 KiB in each second of the application's clock.
fn iostat() -> Answer {
    let at = |second: u64| {
        let reads = second * 100;
        json!({
            "tick_rate": 1000, "ticks": second * 1000,
            "bdevs": [
                {"name": "m0", "num_read_ops": reads, "bytes_read": reads * 4096,
                    "read_latency_ticks": reads * 2},
                {"name": "Leg0", "num_read_ops": reads, "bytes_read": reads * 4096,
                    "read_latency_ticks": reads},
                {"name": "Leg1"},
            ],
        })
    };
    Answer::Each((1..1000).map(|second| Answer::Result(at(second))).collect())
}

fn application() -> Application {
    usual_but(&[("bdev_get_iostat", iostat())])
}

#[test]
fn frames_of_text() {
    let outcome = on(&application(), &["watch", "-n", "2", "-i", "0.05"]).exits(0);
    assert!(!outcome.out.contains('\x1b'), "{outcome:?}");
    assert_eq!(outcome.out.matches("m0: online, 2 of 2 legs").count(), 2);
    let row = |name: &str| {
        let line = outcome
            .out
            .lines()
            .find(|line| line.trim_start().starts_with(name));
        line.unwrap().split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(
        row("m0 "),
        ["m0", "100", "0.4", "2.00", "ms", "0", "0.0", "-"]
    );
    assert_eq!(
        row("0 Leg0"),
        ["0", "Leg0", "100", "0.4", "1.00", "ms", "0", "0.0", "-"]
    );
    assert_eq!(
        row("1 Leg1"),
        ["1", "Leg1", "0", "0.0", "-", "0", "0.0", "-"]
    );
}

#[test]
fn lines_of_json() {
    let outcome = on(
        &application(),
        &["watch", "m0", "-n", "3", "-i", "0.05", "--json"],
    )
    .exits(0);
    let lines: Vec<Value> = outcome
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    for line in &lines {
        let mirror = &line["mirrors"][0];
        assert_eq!(mirror["rates"]["read"]["ops_per_second"], 100.0);
        assert_eq!(mirror["rates"]["read"]["latency_us"], 2000.0);
        assert_eq!(mirror["legs"][0]["name"], "Leg0");
    }
}

#[test]
fn lost_legs_and_mirrors() {
    let mirrors = json!([mirror("m0", [None, Some("Leg1")])]);
    let application = usual_but(&[
        ("bdev_get_iostat", iostat()),
        ("raid1_get_bdevs", Answer::Result(mirrors)),
    ]);
    let outcome = on(&application, &["watch", "-n", "1", "-i", "0.05"]).exits(0);
    outcome.says("degraded, 1 of 2 legs").says("0 missing");
    let application = usual_but(&[
        ("bdev_get_iostat", iostat()),
        ("raid1_get_bdevs", Answer::Result(json!([]))),
    ]);
    on(&application, &["watch", "-n", "1", "-i", "0.05"])
        .exits(0)
        .says("There are no mirrors.");
    on(&application, &["watch", "m0"])
        .exits(1)
        .complains("there is no mirror 'm0'");
}

#[test]
fn rebuilds() {
    let legs = [
        (Some("Leg0"), "in_sync", None),
        (Some("Leg1"), "rebuilding", Some(85)),
    ];
    let mirrors = json!([mirror_with_metadata("m0", &legs)]);
    let application = usual_but(&[
        ("bdev_get_iostat", iostat()),
        ("raid1_get_bdevs", Answer::Result(mirrors)),
    ]);
    let outcome = on(&application, &["watch", "-n", "1", "-i", "0.05"]).exits(0);
    outcome.says("rebuild of Leg1 42%").says("1 Leg1");
}

#[test]
fn the_application_may_go() {
    let counters = [
        Answer::Result(json!({"tick_rate": 1, "ticks": 1, "bdevs": []})),
        Answer::Bytes(b""),
    ];
    let application = usual_but(&[("bdev_get_iostat", Answer::Each(counters.to_vec()))]);
    on(&application, &["watch", "-i", "0.05"])
        .exits(3)
        .complains("hung up");
}

/// Sends a signal as a shell does.
fn signal(name: &str, process: u32) {
    let status = Command::new("kill")
        .args([name, &process.to_string()])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn signals_end_it_well() {
    for name in ["-INT", "-TERM"] {
        let application = application();
        let socket = application.socket();
        let mut child = command(&["-s", socket.to_str().unwrap(), "watch", "-i", "0.05"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.next().unwrap().unwrap().starts_with("raid1 at "));
        signal(name, child.id());
        let start = Instant::now();
        while lines.next().is_some() {}
        let status = child.wait().unwrap();
        assert!(start.elapsed() < Duration::from_secs(20));
        assert_eq!(status.code(), Some(0), "{name}");
    }
}

/// On a terminal, which `script` of util-linux makes, if it is there.
#[test]
fn the_terminal_is_restored() {
    let application = application();
    let socket = application.socket();
    let line = format!(
        "{} -s {} watch -n 2 -i 0.1",
        env!("CARGO_BIN_EXE_raid1ctl"),
        socket.display()
    );
    let script = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .stdin(Stdio::null())
        .env("TERM", "xterm")
        .output();
    let Ok(output) = script else {
        eprintln!("skipped: there is no script of util-linux");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let enter = text.find("\x1b[?1049h").expect("the alternate screen");
    let leave = text
        .rfind("\x1b[?25h\x1b[?1049l")
        .expect("the first one again");
    assert!(enter < leave);
    assert_eq!(text.matches("\x1b[H").count(), 3);
    assert_eq!(
        text.get(leave..).unwrap().trim_end(),
        "\x1b[?25h\x1b[?1049l"
    );
}
