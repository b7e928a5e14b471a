//! `add`: adds a leg, and shows how the mirror is rebuilt on it.

use std::slice;

use serde_json::{Map, json};

use crate::cli::Add;
use crate::failure::Failure;
use crate::hint;
use crate::process;
use crate::session::Session;

pub(crate) fn run(session: &mut Session, arguments: &Add) -> Result<(), Failure> {
    let Add {
        name,
        leg,
        force,
        no_wait,
    } = arguments;
    let mut params = Map::from_iter([
        ("raid_bdev".to_owned(), json!(name)),
        ("base_bdev".to_owned(), json!(leg)),
    ]);
    if *force {
        params.insert("force".into(), json!(true));
    }
    let answer = session.change_named(
        &format!("adding {leg}"),
        "raid1_add_base_bdev",
        params.into(),
        |session| {
            hint::mirrors(session, name).or_else(|| hint::free_bdevs(session, slice::from_ref(leg)))
        },
    )?;
    let done = if *no_wait {
        "added, and is rebuilt"
    } else {
        process::follow(session, name, leg)?;
        "added"
    };
    session.say_done(&answer, &format!("{name}: {leg} {done}"))
}
