//! `stop`: takes a mirror offline.

use serde_json::json;

use crate::cli::Stop;
use crate::failure::Failure;
use crate::hint;
use crate::session::Session;

pub(crate) fn run(session: &mut Session, arguments: &Stop) -> Result<(), Failure> {
    let Stop { name } = arguments;
    let answer = session.change_named(
        &format!("stopping {name}: its requests are finished first"),
        "raid1_stop",
        json!({ "name": name }),
        |session| hint::mirrors(session, name),
    )?;
    session.say_done(
        &answer,
        &format!("{name}: stopped; raid1ctl start {name} starts it again"),
    )
}
