//! A request ends with the future that serves it: its data is nobody's after.

use std::cell::RefCell;

use barespdk::bdev::{Data, IoType, Status};
use barespdk::errno::Errno;
use barespdk::module::{Device, Request};

struct Hoarder;

impl Device for Hoarder {
    type Channel = RefCell<Vec<Data<'static>>>;

    fn open_channel(&self) -> Result<Self::Channel, Errno> {
        Ok(RefCell::default())
    }

    fn supports(&self, _: IoType) -> bool {
        true
    }

    async fn submit<'a>(&'a self, kept: &'a Self::Channel, request: Request<'a>) -> Status {
        kept.borrow_mut().push(request.data());
        Status::Success
    }
}

fn main() {}
