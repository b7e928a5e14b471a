//! `raid1_get_bdevs {category}`.

use barespdk::json::{ObjectWriter, ValueWriter};
use barespdk::rpc::{Json, Params, Reply, RpcError};

use crate::{assembly, mirrors};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Category {
    All,
    Online,
    /// Arrays that wait: for legs, for a choice, or to be started.
    Configuring,
    /// What goes offline is kept by its legs alone.
    Offline,
}

pub(super) fn get_bdevs(mut params: Params<'_>) -> Result<impl Reply + use<>, RpcError> {
    let category = params.required_one_of(
        "category",
        &[
            ("all", Category::All),
            ("online", Category::Online),
            ("configuring", Category::Configuring),
            ("offline", Category::Offline),
        ],
    )?;
    params.finish()?;
    Ok(Json(move |writer: ValueWriter<'_>| {
        writer.array(|list| {
            let mirrors = match category {
                Category::All | Category::Online => mirrors::all(),
                Category::Configuring | Category::Offline => Default::default(),
            };
            for mirror in mirrors {
                list.object(|object: &mut ObjectWriter<'_>| {
                    object.field("name", mirror.name());
                    super::info::describe(mirror.device(), object);
                    assembly::describe_waiting(mirror.device().uuid, object);
                });
            }
            let arrays = match category {
                Category::All | Category::Configuring => assembly::all(),
                Category::Online | Category::Offline => Default::default(),
            };
            // Legs that wait for a mirror which is online are told of with that.
            let is_online = |uuid| mirrors::all().iter().any(|it| it.device().uuid == uuid);
            for array in arrays.into_iter().filter(|array| !is_online(array.uuid())) {
                list.object(|object| assembly::describe(&array, object));
            }
        });
    }))
}
