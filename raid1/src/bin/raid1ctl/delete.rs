//! `delete`: deletes a mirror.

use serde_json::json;

use crate::cli::Delete;
use crate::failure::{Failure, RpcFailure};
use crate::hint;
use crate::session::Session;

pub(crate) fn run(session: &mut Session, arguments: &Delete) -> Result<(), Failure> {
    let Delete { name } = arguments;
    let result = session
        .change(
            &format!("deleting {name}: its requests are finished first"),
            "raid1_delete",
            json!({ "name": name }),
        )
        .map_err(|failure| with_names(session, failure, name))?;
    if session.json {
        return session.say_json(&result);
    }
    session.say(&format!("{name}: deleted"))
}

fn with_names(session: &mut Session, failure: Failure, name: &str) -> Failure {
    let Failure::Rpc { error, .. } = &failure else {
        return failure;
    };
    if error.code != RpcFailure::NO_DEVICE {
        return failure;
    }
    let Ok(mirrors) = session.mirrors(None) else {
        return failure;
    };
    let names: Vec<_> = mirrors.into_iter().map(|mirror| mirror.name).collect();
    failure.with_hint(hint::names("mirror", name, &names))
}
