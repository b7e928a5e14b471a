//! `set-options`: what holds for all mirrors.

use serde_json::{Map, json};

use crate::cli::SetOptions;
use crate::failure::Failure;
use crate::session::Session;

pub(crate) fn run(session: &mut Session, arguments: &SetOptions) -> Result<(), Failure> {
    let SetOptions {
        assemble_timeout,
        rebuild_limit,
    } = arguments;
    let mut params = Map::new();
    if let Some(seconds) = assemble_timeout {
        params.insert("assemble_timeout_s".into(), json!(seconds));
    }
    if let Some(limit) = rebuild_limit {
        params.insert("rebuild_limit_mib_s".into(), json!(limit));
    }
    let answer = session.change("setting options", "raid1_set_options", params.into())?;
    session.say_done(&answer, "set")
}
