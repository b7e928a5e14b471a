//! What a mirror does with each request.

mod read;
mod reset;
mod write;

use barespdk::bdev::{IoType, Status};
use barespdk::module::Request;

use crate::channel::Channel;
use crate::mirror::Mirror;

/// Serves a request. The output completes it.
#[inline]
pub(crate) async fn serve<'a>(
    mirror: &'a Mirror,
    channel: &'a Channel,
    request: Request<'a>,
) -> Status {
    match request.io_type() {
        IoType::READ => read::read(channel, &request).await,
        IoType::WRITE | IoType::WRITE_ZEROES | IoType::UNMAP | IoType::FLUSH => {
            write::write(mirror, channel, &request).await
        }
        IoType::RESET => reset::reset(channel).await,
        // The bdev layer does not submit what `supports` denies.
        _ => Status::Failed,
    }
}
