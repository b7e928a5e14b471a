//! `raid1_delete {name}` and `raid1_remove_base_bdev {name}`.

use barespdk::errno::Errno;
use barespdk::json::Name;
use barespdk::rpc::{Params, RpcError};

use super::{BASE_NAME_LEN_MAX, NAME_LEN_MAX};
use crate::legs::TakeOut;
use crate::{mirrors, removal};

pub(super) async fn delete(mut params: Params<'_>) -> Result<bool, RpcError> {
    let name = params.required::<Name<'_, NAME_LEN_MAX>>("name")?;
    params.finish()?;
    let mirror = mirrors::find(&name).ok_or_else(|| {
        RpcError::failed(
            Errno::ENODEV,
            format_args!("Parameter 'name': there is no mirror '{name}'"),
        )
    })?;
    mirror
        .unregister()
        .await
        .map(|()| true)
        .map_err(|errno| match errno {
            Errno::EBUSY | Errno::ENODEV => RpcError::failed(
                errno,
                format_args!("Parameter 'name': mirror '{name}' is being deleted already"),
            ),
            errno => RpcError::failed(
                errno,
                format_args!("Parameter 'name': mirror '{name}' not deleted"),
            ),
        })
}

pub(super) async fn remove_base_bdev(mut params: Params<'_>) -> Result<bool, RpcError> {
    let name = params.required::<Name<'_, BASE_NAME_LEN_MAX>>("name")?;
    params.finish()?;
    let (mirror, slot) = mirrors::find_by_leg(&name).ok_or_else(|| {
        RpcError::failed(
            Errno::ENODEV,
            format_args!("Parameter 'name': bdev '{name}' is not a base bdev of any mirror"),
        )
    })?;
    match removal::take_out(&mirror, slot, "it was removed by RPC").await {
        Ok(TakeOut::Out | TakeOut::WasOut) => Ok(true),
        Ok(TakeOut::Last) => Err(RpcError::failed(
            Errno::EBUSY,
            format_args!(
                "Parameter 'name': bdev '{name}' is the last base bdev of mirror '{}'",
                mirror.name()
            ),
        )),
        Err(errno) => Err(RpcError::failed(
            errno,
            format_args!(
                "Parameter 'name': base bdev '{name}' not removed from mirror '{}'",
                mirror.name()
            ),
        )),
    }
}
