//! `raid1_export {name}`: gives a mirror back to SPDK's `bdev_raid`.

use barespdk::errno::Errno;
use barespdk::json::Name;
use barespdk::log_notice;
use barespdk::rpc::{Params, RpcError};

use super::NAME_LEN_MAX;
use crate::{mirrors, takeover};

pub(super) async fn export(mut params: Params<'_>) -> Result<bool, RpcError> {
    let name = params.required::<Name<'_, NAME_LEN_MAX>>("name")?;
    params.finish()?;
    let mirror = mirrors::find(&name).ok_or_else(|| {
        RpcError::failed(
            Errno::ENODEV,
            format_args!("Parameter 'name': there is no mirror '{name}'"),
        )
    })?;
    takeover::export(&mirror).await.map_err(|(errno, reason)| {
        RpcError::failed(
            errno,
            format_args!("Parameter 'name': mirror '{name}' {reason}"),
        )
    })?;
    log_notice!("raid1 {}: given back to bdev_raid", &*name);
    Ok(true)
}
