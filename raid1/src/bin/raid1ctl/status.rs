//! `status`: mirrors and their legs, in full, and as an exit code.

use std::process::ExitCode;

use console::style;
use serde_json::{Value, json};

use crate::cli::Status;
use crate::export;
use crate::failure::Failure;
use crate::mirror::{Bdev, Mirror};
use crate::session::Session;
use crate::size;
use crate::table::{Align, Table};

/// The exit code if a mirror that is shown has less redundancy than it should.
const DEGRADED: u8 = 4;

pub(crate) fn run(session: &mut Session, arguments: &Status) -> Result<ExitCode, Failure> {
    let mirrors = session.mirrors(arguments.name.as_deref())?;
    let bdevs = session.bdevs()?;
    let exports = export::all(session)?;
    if session.json {
        let list: Vec<_> = mirrors
            .iter()
            .map(|mirror| to_json(mirror, &bdevs, &exports))
            .collect();
        session.say_json(&list)?;
    } else if mirrors.is_empty() {
        session.say("There are no mirrors.")?;
    } else {
        for (index, mirror) in mirrors.iter().enumerate() {
            if index > 0 {
                session.say("")?;
            }
            for line in describe(mirror, &bdevs, &exports) {
                session.say(&line)?;
            }
        }
    }
    let is_degraded = mirrors.iter().any(Mirror::is_degraded);
    Ok(ExitCode::from(if is_degraded { DEGRADED } else { 0 }))
}

fn find<'a>(bdevs: &'a [Bdev], name: &str) -> Option<&'a Bdev> {
    bdevs.iter().find(|bdev| bdev.name == name)
}

/// What the application said, with what a script would have to work out.
fn to_json(mirror: &Mirror, bdevs: &[Bdev], exports: &[Value]) -> Value {
    let mut object = mirror.raw.clone();
    object.insert("degraded".into(), json!(mirror.is_degraded()));
    if let Some(bdev) = find(bdevs, &mirror.name) {
        object.insert("block_size".into(), json!(bdev.block_size));
        object.insert("num_blocks".into(), json!(bdev.num_blocks));
        object.insert("size_bytes".into(), json!(bdev.size_bytes()));
    }
    let exports: Vec<_> = export::of(exports, &mirror.name).collect();
    object.insert("exports".into(), json!(exports));
    Value::Object(object)
}

fn describe(mirror: &Mirror, bdevs: &[Bdev], exports: &[Value]) -> Vec<String> {
    let mut lines = vec![headline(mirror)];
    if let Some(bdev) = find(bdevs, &mirror.name) {
        lines.push(format!(
            "  size  {}, {} blocks of {} bytes",
            size::show(bdev.size_bytes()),
            bdev.num_blocks,
            bdev.block_size
        ));
    }
    lines.push(format!("  uuid  {}", mirror.uuid));
    for export in export::lines_of(exports, &mirror.name) {
        lines.push(format!("  NBD   {export}"));
    }
    if let Some(generation) = mirror.generation {
        lines.push(format!("  metadata of generation {generation}"));
    }
    if let Some(resync) = &mirror.resync {
        lines.push(format!(
            "  resync {resync}: what its legs may differ in is copied"
        ));
    }
    if !mirror.waits_for.is_empty() {
        lines.push(format!("  waits for {}", mirror.waits_for));
    }
    let mut table = Table::new(&[
        ("  LEG", Align::Left),
        ("STATE", Align::Left),
        ("KIND", Align::Left),
        ("SIZE", Align::Right),
        ("ON", Align::Left),
    ]);
    for (index, leg) in mirror.legs.iter().enumerate() {
        let state = match leg.condition() {
            (text, true) => style(text).green(),
            (text, false) => style(text).red(),
        };
        let name = leg.name.as_deref().unwrap_or("-");
        let bdev = find(bdevs, name);
        table.row([
            format!("  {index} {name}"),
            state.to_string(),
            bdev.map_or("-".into(), |bdev| bdev.product_name.clone()),
            bdev.map_or("-".into(), |bdev| size::show(bdev.size_bytes())),
            bdev.and_then(Bdev::backing).unwrap_or_default().to_owned(),
        ]);
    }
    lines.extend(table.lines());
    lines
}

/// The name and the state of a mirror.
pub(crate) fn headline(mirror: &Mirror) -> String {
    let Mirror {
        name,
        state,
        legs_present,
        legs_wanted,
        ..
    } = mirror;
    let legs = format!("{legs_present} of {legs_wanted} legs");
    let health = if mirror.is_degraded() {
        style(format!("degraded, {legs}")).red()
    } else {
        style(legs).green()
    };
    format!("{}: {state}, {health}", style(name).bold())
}
