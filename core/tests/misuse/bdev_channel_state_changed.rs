//! The requests of a thread share its state for the bdev: none has it alone across an await.

use barespdk::bdev::{IoType, Status};
use barespdk::errno::Errno;
use barespdk::module::{Device, Request};

struct Counting;

impl Device for Counting {
    type Channel = u64;

    fn open_channel(&self) -> Result<u64, Errno> {
        Ok(0)
    }

    fn supports(&self, _: IoType) -> bool {
        true
    }

    async fn submit<'a>(&'a self, served: &'a mut u64, request: Request<'a>) -> Status {
        let _ = request.buffer().await;
        *served += 1;
        Status::Success
    }
}

fn main() {}
