//! `add`: adds a leg, and shows how the mirror is rebuilt on it.

use serde_json::json;

use crate::cli::Add;
use crate::failure::{Failure, RpcFailure};
use crate::hint;
use crate::process;
use crate::session::Session;

pub(crate) fn run(session: &mut Session, arguments: &Add) -> Result<(), Failure> {
    let Add { name, leg, no_wait } = arguments;
    let params = json!({"raid_bdev": name, "base_bdev": leg});
    let result = session
        .change(&format!("adding {leg}"), "raid1_add_base_bdev", params)
        .map_err(|failure| with_names(session, failure, name, leg))?;
    if !no_wait {
        process::follow(session, name)?;
    }
    if session.json {
        return session.say_json(&result);
    }
    session.say(&format!("{name}: {leg} added"))
}

/// Names what there is if the mirror, or else the leg, does not exist.
fn with_names(session: &mut Session, failure: Failure, name: &str, leg: &str) -> Failure {
    let Failure::Rpc {
        error: RpcFailure {
            code: RpcFailure::NO_DEVICE,
            ..
        },
        ..
    } = failure
    else {
        return failure;
    };
    let (Ok(mirrors), Ok(bdevs)) = (session.mirrors(None), session.bdevs()) else {
        return failure;
    };
    if !mirrors.iter().any(|mirror| mirror.name == name) {
        let names: Vec<_> = mirrors.into_iter().map(|mirror| mirror.name).collect();
        return failure.with_hint(hint::names("mirror", name, &names));
    }
    if bdevs.iter().any(|bdev| bdev.name == leg) {
        return failure;
    }
    let free = bdevs.into_iter().filter(|bdev| !bdev.claimed);
    let free: Vec<_> = free.map(|bdev| bdev.name).collect();
    failure.with_hint(hint::names("unclaimed bdev", leg, &free))
}
