//! A request is passed on inside of the call, not after: by then it may be complete.

use std::cell::RefCell;

use barespdk::bdev::{IoType, Status};
use barespdk::errno::Errno;
use barespdk::module::{Device, Pass, Request};

struct Late;

impl Device for Late {
    type Channel = RefCell<Option<&'static mut Pass<'static>>>;

    fn open_channel(&self) -> Result<Self::Channel, Errno> {
        Ok(RefCell::default())
    }

    fn supports(&self, _: IoType) -> bool {
        true
    }

    async fn submit<'a>(&'a self, _: &'a Self::Channel, _: Request<'a>) -> Status {
        Status::Success
    }

    fn pass(&self, kept: &Self::Channel, request: &mut Pass<'_>) {
        *kept.borrow_mut() = Some(request);
    }
}

fn main() {}
