//! `raid1_stop {name}`: takes a mirror offline; its base bdevs keep all.

use barespdk::errno::Errno;
use barespdk::json::Name;
use barespdk::rpc::{Params, RpcError};

use super::NAME_LEN_MAX;
use crate::{assembly, mirrors};

pub(super) async fn stop(mut params: Params<'_>) -> Result<bool, RpcError> {
    let name = params.required::<Name<'_, NAME_LEN_MAX>>("name")?;
    params.finish()?;
    let failed = |errno, reason| {
        RpcError::failed(
            errno,
            format_args!("Parameter 'name': mirror '{name}' {reason}"),
        )
    };
    let mirror = mirrors::find(&name).ok_or_else(|| failed(Errno::ENODEV, "is not online"))?;
    if mirror.device().regions.is_none() {
        let reason = "has no superblock, and could not be started again";
        return Err(failed(Errno::EINVAL, reason));
    }
    assembly::stop(&mirror)
        .await
        .map(|()| true)
        .map_err(|errno| match errno {
            Errno::EBUSY | Errno::ENODEV => failed(errno, "is being deleted already"),
            errno => failed(errno, "is not stopped"),
        })
}
