//! What was passed on is complete when the device has been told of it.

use std::cell::RefCell;

use barespdk::bdev::{IoType, Status};
use barespdk::errno::Errno;
use barespdk::module::{Device, PassedOn, Request};

struct Late;

impl Device for Late {
    type Channel = RefCell<Option<&'static PassedOn<'static>>>;

    fn open_channel(&self) -> Result<Self::Channel, Errno> {
        Ok(RefCell::default())
    }

    fn supports(&self, _: IoType) -> bool {
        true
    }

    async fn submit<'a>(&'a self, _: &'a Self::Channel, _: Request<'a>) -> Status {
        Status::Success
    }

    fn passed(&self, kept: &Self::Channel, request: &PassedOn<'_>) {
        *kept.borrow_mut() = Some(request);
    }
}

fn main() {}
