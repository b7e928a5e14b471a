//! `delete`: deletes a mirror.

use serde_json::{Map, json};

use crate::cli::Delete;
use crate::failure::Failure;
use crate::hint;
use crate::session::Session;

pub(crate) fn run(session: &mut Session, arguments: &Delete) -> Result<(), Failure> {
    let Delete {
        name,
        keep_metadata,
    } = arguments;
    let mut params = Map::from_iter([("name".to_owned(), json!(name))]);
    if *keep_metadata {
        params.insert("keep_metadata".into(), json!(true));
    }
    let answer = session.change_named(
        &format!("deleting {name}: its requests are finished first"),
        "raid1_delete",
        params.into(),
        |session| hint::mirrors(session, name),
    )?;
    session.say_done(&answer, &format!("{name}: deleted"))
}
