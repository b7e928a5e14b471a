//! `set-options`: what holds for all mirrors.

use serde_json::{Map, json};

use crate::cli::SetOptions;
use crate::failure::Failure;
use crate::session::Session;

pub(crate) fn run(session: &mut Session, arguments: &SetOptions) -> Result<(), Failure> {
    let SetOptions { assemble_timeout } = arguments;
    let mut params = Map::new();
    if let Some(seconds) = assemble_timeout {
        params.insert("assemble_timeout_s".into(), json!(seconds));
    }
    let answer = session.change("setting options", "raid1_set_options", params.into())?;
    session.say_done(&answer, "set")
}
