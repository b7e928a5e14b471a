//! create, add, remove, delete, start, stop, set-options.

use serde_json::{Value, json};

use crate::application::{Answer, mirror_with_metadata, usual_but, waiting};
use crate::run::on;

fn ok() -> Answer {
    Answer::Result(json!(true))
}

const NO_DEVICE: &str = "Parameter 'x': bdev does not exist: No such device (ENODEV)";

#[test]
fn create_sends_what_it_was_given() {
    let application = usual_but(&[("raid1_create", ok())]);
    on(&application, &["create", "m1", "A", "B"])
        .exits(0)
        .says("m1: made of A, B");
    let params = application.params_of("raid1_create");
    assert_eq!(params, json!({"name": "m1", "base_bdevs": ["A", "B"]}));

    let application = usual_but(&[("raid1_create", ok())]);
    let uuid = "0e2b9e14-1ad9-4f10-a26f-b7aa870ad45e";
    let outcome = on(
        &application,
        &[
            "--json",
            "create",
            "m1",
            "A",
            "--uuid",
            uuid,
            "--no-superblock",
        ],
    );
    assert_eq!(outcome.exits(0).json(), json!(true));
    assert_eq!(
        application.params_of("raid1_create"),
        json!({"name": "m1", "base_bdevs": ["A"], "uuid": uuid, "superblock": false})
    );

    let application = usual_but(&[("raid1_create", ok())]);
    let further = [
        "--sync",
        "assume_clean",
        "--force",
        "--region-size-kib",
        "64",
    ];
    on(
        &application,
        &[&["create", "m1", "A"], &further[..]].concat(),
    )
    .exits(0);
    assert_eq!(
        application.params_of("raid1_create"),
        json!({"name": "m1", "base_bdevs": ["A"], "sync": "assume_clean", "force": true,
            "region_size_kib": 64})
    );
}

#[test]
fn create_knows_which_legs_there_are() {
    let application = usual_but(&[("raid1_create", Answer::Error(-19, NO_DEVICE))]);
    let outcome = on(&application, &["create", "m1", "spare"]).exits(1);
    let outcome = outcome
        .complains(NO_DEVICE)
        .complains("(raid1_create: error -19)");
    outcome.complains("hint: did you mean 'Spare'? The unclaimed bdevs are: Spare, m0");

    let error = on(&application, &["--json", "create", "m1", "nothing"])
        .exits(1)
        .error();
    assert_eq!(
        error,
        json!({"kind": "rpc", "method": "raid1_create", "code": -19, "message": NO_DEVICE,
            "hint": "The unclaimed bdevs are: Spare, m0"})
    );
}

#[test]
fn other_errors_are_shown_as_they_are() {
    let message = "Parameter 'name': there is a bdev 'm0' already: File exists (EEXIST)";
    let application = usual_but(&[("raid1_create", Answer::Error(-17, message))]);
    let outcome = on(&application, &["create", "m0", "Leg0"]).exits(1);
    assert_eq!(
        outcome.err,
        format!("raid1ctl: {message}\n  (raid1_create: error -17)\n")
    );
}

#[test]
fn an_error_keeps_its_text_if_nothing_more_can_be_found_out() {
    let application = usual_but(&[
        ("raid1_create", Answer::Error(-19, NO_DEVICE)),
        ("bdev_get_bdevs", Answer::Bytes(b"")),
    ]);
    let outcome = on(&application, &["create", "m1", "spare"]).exits(1);
    assert!(outcome.complains(NO_DEVICE).err.find("hint").is_none());
}

#[test]
fn remove() {
    let application = usual_but(&[("raid1_remove_base_bdev", ok())]);
    on(&application, &["remove", "Leg1"])
        .exits(0)
        .says("Leg1: removed");
    assert_eq!(
        application.params_of("raid1_remove_base_bdev"),
        json!({"name": "Leg1"})
    );
    assert_eq!(
        on(&application, &["rm", "Leg1", "--json"]).exits(0).json(),
        json!(true)
    );

    let application = usual_but(&[("raid1_remove_base_bdev", Answer::Error(-19, NO_DEVICE))]);
    let outcome = on(&application, &["remove", "leg1"]).exits(1);
    outcome.complains("did you mean 'Leg1'? The legs are: Leg0, Leg1");
    let outcome = on(&application, &["remove", "m0"]).exits(1);
    outcome.complains("'m0' is a mirror: raid1ctl delete m0");
}

#[test]
fn delete() {
    let application = usual_but(&[("raid1_delete", ok())]);
    on(&application, &["delete", "m0"])
        .exits(0)
        .says("m0: deleted");
    assert_eq!(application.params_of("raid1_delete"), json!({"name": "m0"}));
    let application = usual_but(&[("raid1_delete", ok())]);
    on(&application, &["delete", "m0", "--keep-metadata"]).exits(0);
    assert_eq!(
        application.params_of("raid1_delete"),
        json!({"name": "m0", "keep_metadata": true})
    );

    let application = usual_but(&[("raid1_delete", Answer::Error(-19, NO_DEVICE))]);
    let outcome = on(&application, &["delete", "mO"]).exits(1);
    outcome.complains("did you mean 'm0'? The mirror is: m0");
    let application = usual_but(&[
        ("raid1_delete", Answer::Error(-19, NO_DEVICE)),
        ("raid1_get_bdevs", Answer::Result(json!([]))),
    ]);
    on(&application, &["delete", "mO"])
        .exits(1)
        .complains("there is no mirror at all");
}

#[test]
fn add_of_an_application_that_cannot() {
    let application = usual_but(&[]);
    let outcome = on(&application, &["add", "m0", "Spare"]).exits(1);
    let outcome = outcome
        .complains("Method not found")
        .complains("raid1_add_base_bdev");
    outcome
        .complains("of another version")
        .complains("cannot do it yet");
}

fn rebuilt(blocks_done: u64) -> Value {
    let legs = [
        (Some("Leg0"), "in_sync", None),
        (Some("Spare"), "rebuilding", Some(blocks_done)),
    ];
    json!([mirror_with_metadata("m0", &legs)])
}

#[test]
fn add_waits_for_the_rebuild() {
    let legs = [
        (Some("Leg0"), "in_sync", None),
        (Some("Spare"), "in_sync", None),
    ];
    let whole = json!([mirror_with_metadata("m0", &legs)]);
    let progress = [rebuilt(10), rebuilt(90), whole].map(Answer::Result);
    let application = usual_but(&[
        ("raid1_add_base_bdev", ok()),
        ("raid1_get_bdevs", Answer::Each(progress.to_vec())),
    ]);
    on(&application, &["add", "m0", "Spare"])
        .exits(0)
        .says("m0: Spare added");
    assert_eq!(
        application.params_of("raid1_add_base_bdev"),
        json!({"raid_bdev": "m0", "base_bdev": "Spare"})
    );
    let looks = application.calls();
    let looks = looks
        .iter()
        .filter(|(method, _)| method == "raid1_get_bdevs");
    assert_eq!(looks.count(), 3);
}

#[test]
fn add_tells_of_a_leg_that_fails() {
    let legs = [(Some("Leg0"), "in_sync", None), (None, "failed", None)];
    let failed = json!([mirror_with_metadata("m0", &legs)]);
    let progress = [rebuilt(10), failed].map(Answer::Result);
    let application = usual_but(&[
        ("raid1_add_base_bdev", ok()),
        ("raid1_get_bdevs", Answer::Each(progress.to_vec())),
    ]);
    on(&application, &["add", "m0", "Spare", "--force"])
        .exits(1)
        .complains("Spare was added, and has failed before it was rebuilt");
    assert_eq!(
        application.params_of("raid1_add_base_bdev"),
        json!({"raid_bdev": "m0", "base_bdev": "Spare", "force": true})
    );
}

#[test]
fn start_stop_and_options() {
    let application = usual_but(&[
        ("raid1_start", ok()),
        ("raid1_stop", ok()),
        ("raid1_set_options", ok()),
    ]);
    on(&application, &["start", "m0", "--source", "Leg1"])
        .exits(0)
        .says("m0: started");
    assert_eq!(
        application.params_of("raid1_start"),
        json!({"name": "m0", "source": "Leg1"})
    );
    on(&application, &["stop", "m0"])
        .exits(0)
        .says("raid1ctl start m0 starts it again");
    assert_eq!(application.params_of("raid1_stop"), json!({"name": "m0"}));
    on(&application, &["set-options", "--assemble-timeout", "5"]).exits(0);
    assert_eq!(
        application.params_of("raid1_set_options"),
        json!({"assemble_timeout_s": 5})
    );
    let application = usual_but(&[("raid1_set_options", ok())]);
    on(&application, &["set-options", "--rebuild-limit", "100"]).exits(0);
    assert_eq!(
        application.params_of("raid1_set_options"),
        json!({"rebuild_limit_mib_s": 100})
    );

    let application = usual_but(&[
        ("raid1_start", Answer::Error(-19, NO_DEVICE)),
        ("raid1_get_bdevs", Answer::Result(json!([waiting("m0")]))),
    ]);
    on(&application, &["start", "mO"])
        .exits(1)
        .complains("did you mean 'm0'?");
}

#[test]
fn add_need_not_wait() {
    let application = usual_but(&[
        ("raid1_add_base_bdev", ok()),
        ("raid1_get_bdevs", Answer::Result(rebuilt(1))),
    ]);
    on(&application, &["add", "m0", "Spare", "--no-wait"]).exits(0);
    assert_eq!(application.calls().len(), 1);
}

#[test]
fn add_knows_the_names() {
    let application = usual_but(&[("raid1_add_base_bdev", Answer::Error(-19, NO_DEVICE))]);
    let outcome = on(&application, &["add", "mO", "Spare"]).exits(1);
    outcome.complains("The mirror is: m0");
    let outcome = on(&application, &["add", "m0", "Spara"]).exits(1);
    outcome.complains("did you mean 'Spare'? The unclaimed bdevs are: Spare, m0");
}
