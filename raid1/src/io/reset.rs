//! Resets: of all legs.

use barespdk::bdev::Status;

use crate::channel::Channel;

pub(super) async fn reset(channel: &Channel) -> Status {
    let mut ios = heapless::Vec::new();
    channel.to_all(&mut ios, |leg| Some(leg.reset()));
    let mut status = if ios.is_empty() {
        Status::Failed
    } else {
        Status::Success
    };
    while let Some(io) = ios.pop() {
        if let Err(error) = io.await {
            status = error.status();
        }
    }
    status
}
