//! `export`: serves bdevs over NBD.

use std::slice;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cli::{Export, ExportStart, ExportStop};
use crate::failure::{Failure, RpcFailure};
use crate::hint;
use crate::session::Session;
use crate::table::{Align, Table};

/// What is served: an element of what `nbd_exports_get` answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Exported {
    export_name: String,
    bdev_name: String,
    uri: String,
    read_only: bool,
    state: String,
    connections: u64,
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
    let answer = session.change_named(
        &format!("exporting {name}"),
        "nbd_export_start",
        Value::Object(params),
        |session| hint::free_bdevs(session, slice::from_ref(name)),
    )?;
    let ours = || address.uri(export_name.as_ref().unwrap_or(name));
    let theirs = answer.get("uri").and_then(Value::as_str);
    let uri = theirs.map_or_else(ours, str::to_owned);
    session.say_done(&answer, &format!("{name}: exported, try: nbdinfo '{uri}'"))
}

fn stop(session: &mut Session, arguments: &ExportStop) -> Result<(), Failure> {
    let ExportStop { name, address } = arguments;
    let mut params = Map::from_iter([("export_name".to_owned(), json!(name))]);
    if let Some(address) = address {
        params.insert("address".into(), json!(address.to_string()));
    }
    let answer = session.change_named(
        &format!("ending the export {name}"),
        "nbd_export_stop",
        Value::Object(params),
        |session| exports(session, name),
    )?;
    session.say_done(&answer, &format!("{name}: exported no more"))
}

/// Which exports there are, where there is none of this name.
fn exports(session: &mut Session, typed: &str) -> Option<String> {
    let exports: Vec<Exported> = session.client.get("nbd_exports_get", Value::Null).ok()?;
    let names = exports.into_iter().map(|export| export.export_name);
    let names: Vec<_> = names.collect();
    if names.iter().any(|name| name == typed) {
        return None;
    }
    hint::names("export", typed, &names)
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
        ("STATE", Align::Left),
        ("ACCESS", Align::Left),
        ("CLIENTS", Align::Right),
        ("URI", Align::Left),
    ]);
    for export in exports {
        let access = if export.read_only { "read" } else { "write" };
        table.row([
            export.export_name,
            export.bdev_name,
            export.state,
            access.into(),
            export.connections.to_string(),
            export.uri,
        ]);
    }
    for line in table.lines() {
        session.say(&line)?;
    }
    Ok(())
}

/// What is served of a bdev, a line for each export. Nothing where the application has no exports.
pub(crate) fn lines_of(exports: &[Value], bdev: &str) -> Vec<String> {
    let of_bdev = of(exports, bdev).filter_map(|export| Exported::deserialize(export).ok());
    of_bdev
        .map(|export| {
            let clients = match export.connections {
                1 => "1 client".to_owned(),
                count => format!("{count} clients"),
            };
            let access = if export.read_only { ", read only" } else { "" };
            format!("{}, {clients}{access}", export.uri)
        })
        .collect()
}

/// The exports of a bdev.
pub(crate) fn of<'a>(exports: &'a [Value], bdev: &str) -> impl Iterator<Item = &'a Value> {
    exports
        .iter()
        .filter(move |export| export.get("bdev_name").and_then(Value::as_str) == Some(bdev))
}

/// All exports; none where the application cannot export.
pub(crate) fn all(session: &mut Session) -> Result<Vec<Value>, Failure> {
    match session.client.get("nbd_exports_get", Value::Null) {
        Err(Failure::Rpc { error, .. }) if error.code == RpcFailure::METHOD_NOT_FOUND => {
            Ok(Vec::new())
        }
        outcome => outcome,
    }
}
