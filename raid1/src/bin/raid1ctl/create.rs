//! `create`: makes a mirror.

use serde_json::{Map, Value, json};

use crate::cli::Create;
use crate::failure::{Failure, RpcFailure};
use crate::hint;
use crate::session::Session;

pub(crate) fn run(session: &mut Session, arguments: &Create) -> Result<(), Failure> {
    let Create {
        name,
        legs,
        uuid,
        superblock,
    } = arguments;
    let mut params = Map::from_iter([
        ("name".to_owned(), json!(name)),
        ("base_bdevs".to_owned(), json!(legs)),
    ]);
    if let Some(uuid) = uuid {
        params.insert("uuid".into(), json!(uuid));
    }
    if *superblock {
        params.insert("superblock".into(), json!(true));
    }
    let what = format!("making {name}");
    let result = session
        .change(&what, "raid1_create", Value::Object(params))
        .map_err(|failure| with_names(session, failure, legs))?;
    if session.json {
        return session.say_json(&result);
    }
    session.say(&format!("{name}: made of {}", legs.join(", ")))
}

/// Names the bdevs that there are if one of the legs is none.
fn with_names(session: &mut Session, failure: Failure, legs: &[String]) -> Failure {
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
    let Ok(bdevs) = session.bdevs() else {
        return failure;
    };
    let Some(unknown) = legs
        .iter()
        .find(|leg| !bdevs.iter().any(|bdev| bdev.name == **leg))
    else {
        return failure;
    };
    let free = bdevs.iter().filter(|bdev| !bdev.claimed);
    let free: Vec<_> = free.map(|bdev| bdev.name.clone()).collect();
    failure.with_hint(hint::names("unclaimed bdev", unknown, &free))
}
