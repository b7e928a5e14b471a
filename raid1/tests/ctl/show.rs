//! list, status, stats.

use serde_json::{Value, json};

use crate::application::{Answer, mirror, mirror_with_metadata, usual_but, waiting};
use crate::run::on;

fn mirrors(list: &[Value]) -> (&'static str, Answer) {
    ("raid1_get_bdevs", Answer::Result(json!(list)))
}

#[test]
fn list() {
    let application = usual_but(&[mirrors(&[
        mirror("m0", [Some("Leg0"), Some("Leg1")]),
        mirror("other", [Some("Leg2"), None]),
    ])]);
    let outcome = on(&application, &["list"]).exits(0);
    let lines: Vec<_> = outcome.out.lines().collect();
    let uuid = "0e2b9e14-1ad9-4f10-a26f-b7aa870ad45e";
    assert_eq!(
        lines,
        [
            "NAME   STATE     LEGS    SIZE  UUID".to_owned(),
            format!("m0     online    2/2   64 MiB  {uuid}"),
            format!("other  degraded  1/2        -  {uuid}"),
        ]
    );
    assert_eq!(
        application.params_of("raid1_get_bdevs"),
        json!({"category": "all"})
    );
}

#[test]
fn list_of_a_state_as_json() {
    let application = usual_but(&[mirrors(&[])]);
    let outcome = on(&application, &["ls", "--json", "--category", "offline"]).exits(0);
    assert_eq!(outcome.json(), json!([]));
    assert_eq!(
        application.params_of("raid1_get_bdevs"),
        json!({"category": "offline"})
    );
    let application = usual_but(&[]);
    let outcome = on(&application, &["ls", "--json"]).exits(0);
    // What the application said, in its order.
    let whole = mirror("m0", [Some("Leg0"), Some("Leg1")]);
    assert_eq!(
        outcome.out,
        serde_json::to_string_pretty(&json!([whole])).unwrap() + "\n"
    );
}

#[test]
fn status_of_what_is_whole() {
    let application = usual_but(&[]);
    let outcome = on(&application, &["status"]).exits(0);
    assert_eq!(
        outcome.out,
        "m0: online, 2 of 2 legs\n  \
           size  64 MiB, 131072 blocks of 512 bytes\n  \
           uuid  0e2b9e14-1ad9-4f10-a26f-b7aa870ad45e\n  \
           LEG     STATE  KIND        SIZE  ON\n  \
           0 Leg0  ok     AIO disk  64 MiB  /files/Leg0\n  \
           1 Leg1  ok     AIO disk  64 MiB  /files/Leg1\n"
    );
}

#[test]
fn status_of_what_is_degraded() {
    let legs = [None, Some("Leg1")];
    let application = usual_but(&[mirrors(&[mirror("m0", legs)])]);
    let outcome = on(&application, &["status", "m0"]).exits(4);
    outcome
        .says("m0: online, degraded, 1 of 2 legs")
        .says("0 -     missing");
    let outcome = on(&application, &["status", "--json"]).exits(4);
    let status = outcome.json();
    assert_eq!(status[0]["degraded"], true);
    assert_eq!(status[0]["size_bytes"], 64 << 20);
    assert_eq!(status[0]["base_bdevs_list"][0]["name"], Value::Null);
}

#[test]
fn one_of_several_counts_alone() {
    let application = usual_but(&[mirrors(&[
        mirror("good", [Some("Leg0"), Some("Leg1")]),
        mirror("bad", [None, Some("Leg2")]),
    ])]);
    on(&application, &["status", "good"]).exits(0);
    on(&application, &["status", "bad"]).exits(4);
    on(&application, &["status"])
        .exits(4)
        .says("good: ")
        .says("bad: ");
    let outcome = on(&application, &["status", "god"]).exits(1);
    outcome
        .complains("there is no mirror 'god'")
        .complains("did you mean 'good'? The mirrors are: good, bad");
}

#[test]
fn status_of_metadata() {
    let legs = [
        (Some("Leg0"), "in_sync", None),
        (Some("Leg1"), "rebuilding", Some(85)),
        (None, "failed", None),
    ];
    let application = usual_but(&[mirrors(&[mirror_with_metadata("m0", &legs)])]);
    let outcome = on(&application, &["status"]).exits(4);
    outcome
        .says("m0: online, degraded, 1 of 3 legs")
        .says("metadata of generation 7")
        .says("0 Leg0  in sync")
        .says("1 Leg1  rebuilding 42%")
        .says("2 -     failed");
    on(&application, &["list"])
        .exits(0)
        .says("m0    rebuilding  1/3");

    // Being resynced it has all its legs.
    let whole = [
        (Some("Leg0"), "in_sync", None),
        (Some("Leg1"), "in_sync", None),
    ];
    let mut resynced = mirror_with_metadata("m0", &whole);
    resynced["resync"] = json!({"blocks_done": 1, "blocks_total": 3, "waits": true});
    let application = usual_but(&[mirrors(&[resynced])]);
    on(&application, &["status"])
        .exits(0)
        .says("resync 33%, waits");
}

#[test]
fn status_of_what_waits() {
    let application = usual_but(&[mirrors(&[waiting("m0")])]);
    on(&application, &["status"])
        .exits(4)
        .says("m0: configuring, degraded, 1 of 2 legs")
        .says("waits for Leg1 (slot 1); 'raid1ctl start NAME' starts it without")
        .says("1 -     missing");
    let mut offline = mirror("m0", [Some("Leg0"), Some("Leg1")]);
    offline["state"] = json!("offline");
    let application = usual_but(&[mirrors(&[offline])]);
    on(&application, &["status"]).exits(4).says("m0: offline");
}

#[test]
fn status_of_nothing() {
    let application = usual_but(&[mirrors(&[])]);
    on(&application, &["status"])
        .exits(0)
        .says("There are no mirrors.");
    on(&application, &["stats"])
        .exits(0)
        .says("There are no mirrors.");
    assert_eq!(
        on(&application, &["status", "--json"]).exits(0).json(),
        json!([])
    );
}

#[test]
fn stats() {
    let iostat = json!({
        "tick_rate": 1_000_000, "ticks": 1,
        "bdevs": [
            {"name": "m0", "num_read_ops": 12_000, "bytes_read": 49_152_000,
                "read_latency_ticks": 1_200_000, "max_read_latency_ticks": 5000,
                "num_write_ops": 0},
            {"name": "Leg0", "num_write_ops": 2, "bytes_written": 1024, "write_latency_ticks": 30,
                "io_error": {"aio_error": 3, "nomem": 1}},
        ],
    });
    let application = usual_but(&[("bdev_get_iostat", Answer::Result(iostat))]);
    let outcome = on(&application, &["stats"]).exits(0);
    let words: Vec<Vec<_>> = outcome
        .out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        words[1][..7],
        ["m0", "12.0k", "46.88", "MiB", "100", "us", "5.00"]
    );
    assert_eq!(words[2][..2], ["Leg0", "0"]);
    assert_eq!(words[2].last(), Some(&"4"));
    assert_eq!(words[3], ["Leg1", "gone"]);

    let stats = on(&application, &["stats", "m0", "--json"]).exits(0).json();
    assert_eq!(stats[0]["mirror"]["read_latency_us_mean"], 100.0);
    assert_eq!(stats[0]["mirror"]["write_latency_us_mean"], Value::Null);
    assert_eq!(stats[0]["legs"][0]["num_errors"], 4);
    on(&application, &["stats", "x"])
        .exits(1)
        .complains("there is no mirror 'x'");
}
