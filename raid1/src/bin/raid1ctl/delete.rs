//! `delete`: deletes a mirror.

use serde_json::json;

use crate::cli::Delete;
use crate::failure::Failure;
use crate::hint;
use crate::session::Session;

pub(crate) fn run(session: &mut Session, arguments: &Delete) -> Result<(), Failure> {
    let Delete { name } = arguments;
    let answer = session.change_named(
        &format!("deleting {name}: its requests are finished first"),
        "raid1_delete",
        json!({ "name": name }),
        |session| hint::mirrors(session, name),
    )?;
    session.say_done(&answer, &format!("{name}: deleted"))
}
