//! `start`: takes a mirror that waits online, without the legs that are missing.

use serde_json::{Map, json};

use crate::cli::Start;
use crate::failure::Failure;
use crate::hint;
use crate::session::Session;

pub(crate) fn run(session: &mut Session, arguments: &Start) -> Result<(), Failure> {
    let Start { name, uuid, source } = arguments;
    let key = if *uuid { "uuid" } else { "name" };
    let mut params = Map::from_iter([(key.to_owned(), json!(name))]);
    if let Some(source) = source {
        params.insert("source".into(), json!(source));
    }
    let answer = session.change_named(
        &format!("starting {name}"),
        "raid1_start",
        params.into(),
        |session| hint::mirrors(session, name),
    )?;
    session.say_done(&answer, &format!("{name}: started"))
}
