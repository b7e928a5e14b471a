//! `create`: makes a mirror.

use serde_json::{Map, Value, json};

use crate::cli::Create;
use crate::failure::Failure;
use crate::hint;
use crate::session::Session;

pub(crate) fn run(session: &mut Session, arguments: &Create) -> Result<(), Failure> {
    let Create {
        name,
        legs,
        uuid,
        no_superblock,
        sync,
        force,
        region_size_kib,
    } = arguments;
    let mut params = Map::from_iter([
        ("name".to_owned(), json!(name)),
        ("base_bdevs".to_owned(), json!(legs)),
    ]);
    if let Some(uuid) = uuid {
        params.insert("uuid".into(), json!(uuid));
    }
    if *no_superblock {
        params.insert("superblock".into(), json!(false));
    }
    if let Some(sync) = sync {
        params.insert("sync".into(), json!(sync));
    }
    if *force {
        params.insert("force".into(), json!(true));
    }
    if let Some(size) = region_size_kib {
        params.insert("region_size_kib".into(), json!(size));
    }
    let answer = session.change_named(
        &format!("making {name}"),
        "raid1_create",
        Value::Object(params),
        |session| hint::free_bdevs(session, legs),
    )?;
    session.say_done(&answer, &format!("{name}: made of {}", legs.join(", ")))
}
