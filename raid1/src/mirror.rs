//! A mirror: the device that SPDK sees.

use alloc::string::String;
use core::future::Future;

use barespdk::bdev::{IoType, Status};
use barespdk::errno::Errno;
use barespdk::json::{ArrayWriter, ObjectWriter};
use barespdk::module::{Device, Pass, Request};
use barespdk::mutex::Mutex;
use barespdk::uuid::Uuid;

use crate::channel::Channel;
use crate::geometry::Supported;
use crate::io;
use crate::legs::Legs;
use crate::removal::{self, UNREACHABLE};
use crate::rpc::info;

/// A mirror, shared by all threads.
#[derive(Debug)]
pub(crate) struct Mirror {
    pub(crate) name: String,
    pub(crate) uuid: Uuid,
    pub(crate) num_blocks: u64,
    pub(crate) supported: Supported,
    /// Looked at when channels are made and legs come and go; not by requests.
    pub(crate) legs: Mutex<Legs>,
}

impl Device for Mirror {
    type Channel = Channel;

    fn open_channel(&self) -> Result<Channel, Errno> {
        let channel = Channel::open(&self.name, &self.legs.lock())?;
        removal::begin_to_eject(self, channel.missing(), UNREACHABLE);
        Ok(channel)
    }

    fn supports(&self, io_type: IoType) -> bool {
        self.supported.contains(io_type)
    }

    const PASSES: bool = true;

    #[inline]
    fn pass(&self, channel: &Channel, request: &mut Pass<'_>) {
        io::pass(channel, request);
    }

    fn submit<'a>(
        &'a self,
        channel: &'a Channel,
        request: Request<'a>,
    ) -> impl Future<Output = Status> + 'a {
        io::serve(self, channel, request)
    }

    fn dump_info(&self, object: &mut ObjectWriter<'_>) {
        object.object("raid", |raid| info::describe(self, raid));
    }

    fn write_config(&self, calls: &mut ArrayWriter<'_>) {
        calls.object(|call| info::create_call(self, call));
    }

    async fn destruct(&self) {
        crate::mirrors::remove(&self.name);
        self.legs.lock().clear();
    }
}
