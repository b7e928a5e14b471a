//! `remove`: takes a leg out of its mirror.

use serde_json::json;

use crate::cli::Remove;
use crate::failure::Failure;
use crate::hint;
use crate::session::Session;

pub(crate) fn run(session: &mut Session, arguments: &Remove) -> Result<(), Failure> {
    let Remove { leg } = arguments;
    let answer = session.change_named(
        &format!("removing {leg}: its requests are finished first"),
        "raid1_remove_base_bdev",
        json!({ "name": leg }),
        |session| legs(session, leg),
    )?;
    session.say_done(&answer, &format!("{leg}: removed"))
}

/// Which legs there are.
fn legs(session: &mut Session, typed: &str) -> Option<String> {
    let mirrors = session.mirrors(None).ok()?;
    if mirrors.iter().any(|mirror| mirror.name == typed) {
        return Some(format!(
            "'{typed}' is a mirror: raid1ctl delete {typed} deletes it"
        ));
    }
    let legs = mirrors.iter().flat_map(|mirror| mirror.leg_names());
    let legs: Vec<_> = legs.map(str::to_owned).collect();
    hint::names("leg", typed, &legs)
}
