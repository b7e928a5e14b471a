//! What runs then: mirrors, exports, an end.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::scratch::Scratch;

#[test]
fn mirrors_as_raid1ctl_sees_them() {
    let scratch = Scratch::new();
    let arguments = [
        "--mirror=m=a,b",
        "--mirror",
        "n=c,d,e",
        "--size=8MiB",
        "--nbd=unix:nbd.sock",
    ];
    let running = scratch.start(&arguments);
    assert!(running.text.contains("raid1: m is ready"));
    assert!(running.text.contains("raid1: n is ready"));
    assert!(running.text.contains("raid1ctl -s rpc.sock status"));
    if let Some(output) = scratch.raid1ctl(&["status", "--json"]) {
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        let names = |path: &str| {
            let list = status.as_array().unwrap().iter();
            list.map(|mirror| mirror.pointer(path).unwrap().clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names("/name"), ["m", "n"]);
        assert_eq!(names("/base_bdevs_list/1/name"), ["m-leg1", "n-leg1"]);
        assert_eq!(names("/exports/0/export_name"), ["m", "n"]);
        assert_eq!(names("/size_bytes"), [8 << 20, 8 << 20]);
        let output = scratch.raid1ctl(&["remove", "n-leg2"]).unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let output = scratch.raid1ctl(&["status", "n"]).unwrap();
        assert_eq!(output.status.code(), Some(4), "{output:?}");
    }
    let (code, log) = running.stop("-TERM");
    assert_eq!(code, Some(0), "{log}");
    for name in ["rpc.sock", "nbd.sock"] {
        assert!(!scratch.has(name), "{name} was left behind");
    }
}

#[test]
fn without_mirrors_it_says_that_it_is_ready() {
    let scratch = Scratch::new();
    let running = scratch.start(&[]);
    assert!(running.text.contains("raid1 is ready."), "{}", running.text);
    assert!(running.text.contains("raid1ctl -s rpc.sock status"));
    assert_eq!(running.stop("-TERM").0, Some(0));
}

#[test]
fn an_nbd_server_greets() {
    let scratch = Scratch::new();
    let running = scratch.start(&[
        "--mirror",
        "m=a,b",
        "--size",
        "8MiB",
        "--nbd",
        "unix:nbd.sock",
    ]);
    let mut stream = UnixStream::connect(scratch.path("nbd.sock")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut greeting = [0; 18];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting[..16], b"NBDMAGICIHAVEOPT");
    let _ = stream.write_all(b"nonsense that is no option of the protocol");
    drop(stream);
    assert_eq!(running.stop("-INT").0, Some(0));
}

/// With the tools of libnbd, if they are there: data goes in, survives a restart and comes out, and
/// both legs hold it.
#[test]
fn data_survives_a_restart() {
    let scratch = Scratch::new();
    let uri = format!(
        "nbd+unix:///m?socket={}",
        scratch.path("nbd.sock").display()
    );
    let copy = |from: &str, to: &str| {
        let status = Command::new("nbdcopy").args([from, to]).status();
        status.map(|status| assert!(status.success(), "{from} {to}"))
    };
    let arguments = [
        "--mirror",
        "m=a,b",
        "--size",
        "8MiB",
        "--nbd",
        "unix:nbd.sock",
    ];
    let image = scratch.path("image").display().to_string();
    let data: Vec<u8> = (0_u32..2 << 20).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&image, &data).unwrap();

    let running = scratch.start(&arguments);
    if copy(&image, &uri).is_err() {
        eprintln!("skipped: there is no nbdcopy");
        return;
    }
    assert_eq!(running.stop("-TERM").0, Some(0));
    for name in ["a", "b"] {
        let leg = std::fs::read(scratch.path(name)).unwrap();
        assert!(leg[1 << 20..] == data, "{name}");
    }
    let running = scratch.start(&arguments);
    let back = scratch.path("back").display().to_string();
    copy(&uri, &back).unwrap();
    assert!(std::fs::read(&back).unwrap() == data);
    assert_eq!(running.stop("-TERM").0, Some(0));
}

/// The mirror's UUID, by raid1ctl, and its legs' states.
fn state(scratch: &Scratch) -> Option<(String, Vec<String>)> {
    let output = scratch.raid1ctl(&["status", "--json"])?;
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let legs = status[0]["base_bdevs_list"].as_array().unwrap().iter();
    let states = legs.map(|leg| text(&leg["state"])).collect();
    Some((text(&status[0]["uuid"]), states))
}

#[test]
fn a_mirror_is_the_same_after_a_restart_and_after_a_crash() {
    let scratch = Scratch::new();
    let arguments = [
        "--mirror",
        "m=a,b",
        "--size",
        "8MiB",
        "--nbd",
        "unix:nbd.sock",
    ];
    let running = scratch.start(&arguments);
    let first = state(&scratch);
    assert_eq!(running.stop("-TERM").0, Some(0));
    let running = scratch.start(&arguments);
    assert!(!running.text.contains("(new)"), "{}", running.text);
    assert!(
        !running.text.contains("not stopped in order"),
        "{}",
        running.text
    );
    assert_eq!(state(&scratch), first);
    running.crash();
    let running = scratch.start(&arguments);
    assert!(
        running.text.contains("It was not stopped in order"),
        "{}",
        running.text
    );
    scratch.wait_until_whole();
    assert_eq!(state(&scratch), first);
    assert_eq!(running.stop("-TERM").0, Some(0));
}

#[test]
fn a_file_that_is_missing_is_made_anew_and_rebuilt() {
    let scratch = Scratch::new();
    let arguments = ["--mirror", "m=a,b", "--nbd=unix:nbd.sock"];
    let size = ["--size", "8MiB"];
    let running = scratch.start(&[&arguments[..], &size].concat());
    let first = state(&scratch);
    assert_eq!(running.stop("-TERM").0, Some(0));
    for name in ["a", "b"] {
        std::fs::remove_file(scratch.path(name)).unwrap();
        let running = scratch.start(&arguments);
        let made = "(missing, made anew: rebuilt from the others)";
        assert!(
            running.text.contains(&format!("{name} {made}")),
            "{}",
            running.text
        );
        scratch.wait_until_whole();
        assert_eq!(state(&scratch), first);
        assert_eq!(running.stop("-TERM").0, Some(0));
        assert_eq!(scratch.size_of(name), 9 << 20);
    }
}

#[test]
fn a_leg_that_was_out_comes_back() {
    let scratch = Scratch::new();
    let arguments = ["--mirror", "m=a,b"];
    let running = scratch.start(&arguments);
    let Some(output) = scratch.raid1ctl(&["remove", "m-leg1"]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(running.stop("-TERM").0, Some(0));
    let running = scratch.start(&arguments);
    let back = "(was out: what it missed is copied to it)";
    assert!(
        running.text.contains(&format!("b {back}")),
        "{}",
        running.text
    );
    scratch.wait_until_whole();
    let (_, states) = state(&scratch).unwrap();
    assert_eq!(states, ["in_sync", "in_sync"]);
    assert_eq!(running.stop("-TERM").0, Some(0));
}

#[test]
fn what_the_application_refuses_ends_it() {
    let scratch = Scratch::new();
    // A leg of the one has the name of the other.
    let mirrors = ["--mirror", "m=a,b", "--mirror", "m-leg0=c,d"];
    let arguments = [&mirrors[..], &["--size", "1MiB"]].concat();
    let output = scratch.raid1(&arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("m-leg0"), "{text}");
    assert!(text.contains("raid1: the start failed"), "{text}");
}
