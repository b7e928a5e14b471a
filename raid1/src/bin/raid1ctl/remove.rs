//! `remove`: takes a leg out of its mirror.

use serde_json::json;

use crate::cli::Remove;
use crate::failure::{Failure, RpcFailure};
use crate::hint;
use crate::session::Session;

pub(crate) fn run(session: &mut Session, arguments: &Remove) -> Result<(), Failure> {
    let Remove { leg } = arguments;
    let result = session
        .change(
            &format!("removing {leg}: its requests are finished first"),
            "raid1_remove_base_bdev",
            json!({ "name": leg }),
        )
        .map_err(|failure| with_names(session, failure, leg))?;
    if session.json {
        return session.say_json(&result);
    }
    session.say(&format!("{leg}: removed"))
}

fn with_names(session: &mut Session, failure: Failure, leg: &str) -> Failure {
    let Failure::Rpc { error, .. } = &failure else {
        return failure;
    };
    if error.code != RpcFailure::NO_DEVICE {
        return failure;
    }
    let Ok(mirrors) = session.mirrors(None) else {
        return failure;
    };
    if mirrors.iter().any(|mirror| mirror.name == leg) {
        return failure.with_hint(format!(
            "'{leg}' is a mirror: raid1ctl delete {leg} deletes it"
        ));
    }
    let legs = mirrors.iter().flat_map(|mirror| mirror.leg_names());
    let legs: Vec<_> = legs.map(str::to_owned).collect();
    failure.with_hint(hint::names("leg", leg, &legs))
}
