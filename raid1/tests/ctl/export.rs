//! export start, stop, list.

use serde_json::{Value, json};

use crate::application::{Answer, usual_but};
use crate::run::on;

fn exported() -> Value {
    json!({
        "bdev_name": "m0", "address": "unix:/s", "export_name": "disk", "state": "online",
        "uri": "nbd+unix:///disk?socket=/s", "read_only": false, "connections": 2,
    })
}

#[test]
fn start() {
    let application = usual_but(&[("nbd_export_start", Answer::Result(exported()))]);
    let outcome = on(&application, &["export", "start", "m0", "unix:/s"]).exits(0);
    outcome.says("m0: exported, try: nbdinfo 'nbd+unix:///disk?socket=/s'");
    let params = application.params_of("nbd_export_start");
    assert_eq!(params, json!({"bdev_name": "m0", "address": "unix:/s"}));

    let application = usual_but(&[("nbd_export_start", Answer::Result(json!(true)))]);
    let outcome = on(
        &application,
        &[
            "export",
            "start",
            "m0",
            "tcp:localhost:10809",
            "--export-name",
            "x y",
            "--read-only",
        ],
    );
    outcome.exits(0).says("nbd://localhost:10809/x%20y");
    assert_eq!(
        application.params_of("nbd_export_start"),
        json!({"bdev_name": "m0", "address": "tcp:localhost:10809", "export_name": "x y",
            "read_only": true})
    );
}

#[test]
fn a_relative_path_is_one_of_the_users_directory() {
    let application = usual_but(&[("nbd_export_start", Answer::Result(exported()))]);
    on(&application, &["export", "start", "m0", "unix:s", "--json"])
        .exits(0)
        .json();
    let here = std::env::current_dir().unwrap().join("s");
    let address = &application.params_of("nbd_export_start")["address"];
    assert_eq!(address, &json!(format!("unix:{}", here.display())));
}

#[test]
fn start_knows_the_names() {
    let message = "Parameter 'bdev_name': bdev 'spare' does not exist: No such device (ENODEV)";
    let application = usual_but(&[("nbd_export_start", Answer::Error(-19, message))]);
    let outcome = on(&application, &["export", "start", "spare", "unix:/s"]).exits(1);
    outcome
        .complains(message)
        .complains("did you mean 'Spare'?");
}

#[test]
fn stop() {
    let application = usual_but(&[("nbd_export_stop", Answer::Result(json!(true)))]);
    on(&application, &["export", "stop", "disk"])
        .exits(0)
        .says("disk: exported no more");
    assert_eq!(
        application.params_of("nbd_export_stop"),
        json!({"export_name": "disk"})
    );

    let application = usual_but(&[("nbd_export_stop", Answer::Result(json!(true)))]);
    on(
        &application,
        &["export", "stop", "disk", "--address", "unix:/s"],
    )
    .exits(0);
    assert_eq!(
        application.params_of("nbd_export_stop"),
        json!({"export_name": "disk", "address": "unix:/s"})
    );

    let application = usual_but(&[
        (
            "nbd_export_stop",
            Answer::Error(-19, "There is no such export: ENODEV"),
        ),
        ("nbd_exports_get", Answer::Result(json!([exported()]))),
    ]);
    let outcome = on(&application, &["export", "stop", "dsk"]).exits(1);
    outcome.complains("did you mean 'disk'? The export is: disk");
}

#[test]
fn list() {
    let application = usual_but(&[("nbd_exports_get", Answer::Result(json!([exported()])))]);
    let outcome = on(&application, &["export", "list"]).exits(0);
    assert_eq!(
        outcome.out,
        "EXPORT  BDEV  STATE   ACCESS  CLIENTS  URI\n\
         disk    m0    online  write         2  nbd+unix:///disk?socket=/s\n"
    );
    let outcome = on(&application, &["export", "ls", "--json"]).exits(0);
    assert_eq!(outcome.json(), json!([exported()]));
    let outcome = on(&application, &["status"]).exits(0);
    outcome.says("NBD   nbd+unix:///disk?socket=/s, 2 clients");
    let outcome = on(&application, &["status", "--json"]).exits(0);
    assert_eq!(outcome.json()[0]["exports"], json!([exported()]));
}

#[test]
fn an_application_that_cannot_export() {
    let application = usual_but(&[]);
    for arguments in [
        &["export", "list"][..],
        &["export", "start", "m0", "unix:/s"],
    ] {
        let outcome = on(&application, arguments).exits(1);
        outcome
            .complains("Method not found")
            .complains("of another version");
    }
}
