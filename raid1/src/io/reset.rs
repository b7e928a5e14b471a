//! Resets: of all legs.

use barespdk::bdev::Status;
use barespdk::module::Request;

use crate::channel::Channel;
use crate::legs::LegSet;
use crate::mirror::Mirror;

pub(super) async fn reset(mirror: &Mirror, channel: &Channel, request: &Request<'_>) -> Status {
    let Ok(mut passed) = request.fan_out() else {
        return Status::Failed;
    };
    let mut legs = LegSet::EMPTY;
    channel.for_each_leg(|slot, leg| {
        passed.reset(leg);
        legs.insert(slot);
    });
    let failed = (&mut passed).await;
    if legs.is_empty() {
        return Status::Failed;
    }
    if failed.is_empty() {
        return Status::Success;
    }
    // A leg that is leaving, or out, by now is nobody's concern any more: the table knows it first.
    let still_in = mirror.legs.lock().in_sync().and(channel.readable());
    let mut lanes = (0..passed.lanes()).map(|lane| passed.error(lane));
    let mut done = false;
    while let (Some(slot), Some(error)) = (legs.pop_first(), lanes.next()) {
        match error {
            None => done = true,
            Some(error) if still_in.contains(slot) => return error.status(),
            Some(_) => {}
        }
    }
    if done {
        Status::Success
    } else {
        Status::Failed
    }
}
