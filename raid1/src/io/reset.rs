//! Resets: of all legs.

use barespdk::bdev::Status;
use barespdk::module::Request;

use crate::channel::Channel;

pub(super) async fn reset(channel: &Channel, request: &Request<'_>) -> Status {
    let Ok(mut passed) = request.fan_out() else {
        return Status::Failed;
    };
    channel.for_each_leg(|_, leg| passed.reset(leg));
    let failed = (&mut passed).await;
    if passed.lanes() > 0 && failed.is_empty() {
        return Status::Success;
    }
    (0..passed.lanes())
        .find_map(|lane| passed.error(lane))
        .map_or(Status::Failed, |error| error.status())
}
