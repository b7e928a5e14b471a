//! `raid1_get_bdevs {category}`.

use barespdk::json::{ObjectWriter, ValueWriter};
use barespdk::rpc::{Json, Params, Reply, RpcError};

use crate::mirrors;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Category {
    All,
    Online,
    /// Without metadata no mirror waits for legs, and none is kept after it went offline.
    Nothing,
}

pub(super) fn get_bdevs(mut params: Params<'_>) -> Result<impl Reply + use<>, RpcError> {
    let category = params.required_one_of(
        "category",
        &[
            ("all", Category::All),
            ("online", Category::Online),
            ("configuring", Category::Nothing),
            ("offline", Category::Nothing),
        ],
    )?;
    params.finish()?;
    Ok(Json(move |writer: ValueWriter<'_>| {
        writer.array(|list| {
            let mirrors = if category == Category::Nothing {
                Default::default()
            } else {
                mirrors::all()
            };
            for mirror in mirrors {
                list.object(|object: &mut ObjectWriter<'_>| {
                    object.field("name", mirror.name());
                    super::info::describe(mirror.device(), object);
                });
            }
        });
    }))
}
