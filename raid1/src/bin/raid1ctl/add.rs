//! `add`: adds a leg, and shows how the mirror is rebuilt on it.

use std::slice;

use serde_json::json;

use crate::cli::Add;
use crate::failure::Failure;
use crate::hint;
use crate::process;
use crate::session::Session;

pub(crate) fn run(session: &mut Session, arguments: &Add) -> Result<(), Failure> {
    let Add { name, leg, no_wait } = arguments;
    let answer = session.change_named(
        &format!("adding {leg}"),
        "raid1_add_base_bdev",
        json!({"raid_bdev": name, "base_bdev": leg}),
        |session| {
            hint::mirrors(session, name).or_else(|| hint::free_bdevs(session, slice::from_ref(leg)))
        },
    )?;
    if !no_wait {
        process::follow(session, name)?;
    }
    session.say_done(&answer, &format!("{name}: {leg} added"))
}
