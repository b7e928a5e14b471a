//! A bdev serves all threads, and what its channels are visited with goes from one to the next.

use std::rc::Rc;

use barespdk::bdev::{IoType, Status};
use barespdk::errno::Errno;
use barespdk::module::{Bdev, Device, Request};

struct Alone(Rc<u64>);

impl Device for Alone {
    type Channel = ();

    fn open_channel(&self) -> Result<(), Errno> {
        Ok(())
    }

    fn supports(&self, _: IoType) -> bool {
        *self.0 > 0
    }

    async fn submit<'a>(&'a self, (): &'a (), _: Request<'a>) -> Status {
        Status::Success
    }
}

struct Fine;

impl Device for Fine {
    type Channel = ();

    fn open_channel(&self) -> Result<(), Errno> {
        Ok(())
    }

    fn supports(&self, _: IoType) -> bool {
        true
    }

    async fn submit<'a>(&'a self, (): &'a (), _: Request<'a>) -> Status {
        Status::Success
    }
}

fn visit(bdev: &Bdev<Fine>, shared: Rc<u64>) {
    let _ = bdev.for_each_channel(move |_, ()| drop(Rc::clone(&shared)));
}

fn main() {
    let _ = visit;
}
