//! `export`: serves bdevs over NBD.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cli::{Export, ExportStart, ExportStop};
use crate::failure::{Failure, RpcFailure};
use crate::hint;
use crate::nbd_address::NbdAddress;
use crate::session::Session;
use crate::table::{Align, Table};

/// What is served: an element of what `nbd_exports_get` answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Exported {
    export_name: String,
    bdev_name: String,
    address: String,
    read_only: bool,
}

pub(crate) fn run(session: &mut Session, command: &Export) -> Result<(), Failure> {
    match command {
        Export::Start(arguments) => start(session, arguments),
        Export::Stop(arguments) => stop(session, arguments),
        Export::List => list(session),
    }
}

fn start(session: &mut Session, arguments: &ExportStart) -> Result<(), Failure> {
    let ExportStart {
        name,
        address,
        export_name,
        read_only,
    } = arguments;
    let mut params = Map::from_iter([
        ("bdev_name".to_owned(), json!(name)),
        ("address".to_owned(), json!(address.to_string())),
    ]);
    if let Some(export_name) = export_name {
        params.insert("export_name".into(), json!(export_name));
    }
    if *read_only {
        params.insert("read_only".into(), json!(true));
    }
    let what = format!("exporting {name}");
    let result = session
        .change(&what, "nbd_export_start", Value::Object(params))
        .map_err(|failure| with_bdevs(session, failure, name))?;
    if session.json {
        return session.say_json(&result);
    }
    let uri = address.uri(export_name.as_ref().unwrap_or(name));
    session.say(&format!("{name}: exported, try: nbdinfo '{uri}'"))
}

fn with_bdevs(session: &mut Session, failure: Failure, name: &str) -> Failure {
    let Failure::Rpc { error, .. } = &failure else {
        return failure;
    };
    if error.code != RpcFailure::NO_DEVICE {
        return failure;
    }
    let Ok(bdevs) = session.bdevs() else {
        return failure;
    };
    let free = bdevs.into_iter().filter(|bdev| !bdev.claimed);
    let free: Vec<_> = free.map(|bdev| bdev.name).collect();
    failure.with_hint(hint::names("unclaimed bdev", name, &free))
}

fn stop(session: &mut Session, arguments: &ExportStop) -> Result<(), Failure> {
    let ExportStop { name } = arguments;
    let result = session
        .change(
            &format!("ending the export {name}"),
            "nbd_export_stop",
            json!({ "export_name": name }),
        )
        .map_err(|failure| with_exports(session, failure, name))?;
    if session.json {
        return session.say_json(&result);
    }
    session.say(&format!("{name}: exported no more"))
}

fn with_exports(session: &mut Session, failure: Failure, name: &str) -> Failure {
    let Failure::Rpc { error, .. } = &failure else {
        return failure;
    };
    if error.code == RpcFailure::METHOD_NOT_FOUND {
        return failure;
    }
    let Ok(exports) = session
        .client
        .get::<Vec<Exported>>("nbd_exports_get", Value::Null)
    else {
        return failure;
    };
    if exports.iter().any(|export| export.export_name == name) {
        return failure;
    }
    let names: Vec<_> = exports
        .into_iter()
        .map(|export| export.export_name)
        .collect();
    failure.with_hint(hint::names("export", name, &names))
}

fn list(session: &mut Session) -> Result<(), Failure> {
    let result = session.change("waiting", "nbd_exports_get", Value::Null)?;
    if session.json {
        return session.say_json(&result);
    }
    let exports: Vec<Exported> = serde_json::from_value(result)
        .map_err(|error| Failure::connection(format!("nbd_exports_get: {error}")))?;
    let mut table = Table::new(&[
        ("EXPORT", Align::Left),
        ("BDEV", Align::Left),
        ("ACCESS", Align::Left),
        ("URI", Align::Left),
    ]);
    for export in exports {
        let uri = NbdAddress::parse(&export.address)
            .map_or(export.address, |address| address.uri(&export.export_name));
        let access = if export.read_only {
            "read"
        } else {
            "read, write"
        };
        table.row([export.export_name, export.bdev_name, access.into(), uri]);
    }
    for line in table.lines() {
        session.say(&line)?;
    }
    Ok(())
}
