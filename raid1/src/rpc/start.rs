//! `raid1_start {name | uuid, source?}`: starts an array that waits, though legs are missing.

use alloc::string::ToString;

use barespdk::errno::Errno;
use barespdk::json::Name;
use barespdk::rpc::{Params, RpcError};
use barespdk::uuid::Uuid;

use super::{BASE_NAME_LEN_MAX, NAME_LEN_MAX};
use crate::assembly;
use crate::mirrors;

pub(super) async fn start(mut params: Params<'_>) -> Result<bool, RpcError> {
    let name = params.optional::<Name<'_, NAME_LEN_MAX>>("name")?;
    let uuid = params.optional::<Uuid>("uuid")?;
    let source = params.optional::<Name<'_, BASE_NAME_LEN_MAX>>("source")?;
    params.finish()?;
    let (field, key) = match (name, uuid) {
        (Some(name), None) => ("name", name.to_string()),
        (None, Some(uuid)) => ("uuid", uuid.to_string()),
        (Some(_), Some(_)) => {
            return Err(RpcError::invalid_param(
                "uuid",
                "'name' is given too: one of them is enough",
            ));
        }
        (None, None) => return Err(RpcError::invalid_params("Missing parameter 'name'")),
    };
    let source = source.as_deref();
    match assembly::start(&key, source).await {
        Ok(()) => Ok(true),
        Err((errno, _))
            if errno == Errno::EEXIST
                || errno == Errno::ENODEV && mirrors::find(&key).is_some() =>
        {
            Err(RpcError::failed(
                Errno::EEXIST,
                format_args!("Parameter '{field}': mirror '{key}' is online already"),
            ))
        }
        Err((Errno::EINVAL, reason)) => Err(RpcError::failed(
            Errno::EINVAL,
            format_args!("Parameter 'source': {reason}"),
        )),
        Err((Errno::ENODEV, _)) => Err(RpcError::failed(
            Errno::ENODEV,
            format_args!("Parameter '{field}': no mirror '{key}' waits for its start"),
        )),
        Err((errno, reason)) => Err(RpcError::failed(
            errno,
            format_args!("Parameter '{field}': mirror '{key}' waits for {reason}"),
        )),
    }
}
