//! A bdev module of one's own: `tail_create` makes a bdev of what is behind the first blocks of
//! another one, as where those hold a label. All of SPDK's modules and RPCs are there too.

use barespdk::app::App;
use barespdk::bdev::{Access, Channel, Desc, Event, IoError, IoType, Status};
use barespdk::errno::Errno;
use barespdk::module::{Device, Driver, Module, Options, Request};
use barespdk::rpc::{Method, Params, RpcError, States};
use std::ffi::CStr;

// Defines SPDK's functions where no SPDK does.
#[cfg(all(feature = "embedded", not(feature = "spdk")))]
use barespdk_embedded as _;

/// One bdev of ours. All threads share it.
struct Tail {
    base: Desc,
    first_block: u64,
}

impl Device for Tail {
    /// What each thread has of its own: its way to the base bdev.
    type Channel = Channel;

    fn open_channel(&self) -> Result<Channel, Errno> {
        Channel::new(&self.base)
    }

    fn supports(&self, io_type: IoType) -> bool {
        io_type == IoType::READ || io_type == IoType::WRITE
    }

    // Serves one request, which the output completes. The data is never copied, and the future lives
    // in the memory that SPDK sets aside with each request.
    async fn submit<'a>(&'a self, base: &'a Channel, request: Request<'a>) -> Status {
        let (data, offset) = (request.data(), self.first_block + request.offset_blocks());
        let outcome = match request.io_type() {
            IoType::WRITE => base.write(&data, offset).await,
            // Who reads may leave it to us to find memory.
            _ if request.buffer().await.is_err() => return Status::NoMemory,
            _ => base.read(&data, offset).await,
        };
        outcome.err().map_or(Status::Success, IoError::status)
    }
}

struct TailModule;

impl Driver for TailModule {
    type Device = Tail;
    const NAME: &'static CStr = c"tail";
}

static MODULE: Module<TailModule> = Module::new();

// The RPC. Each `?` is an error that the client sees.
fn create(mut params: Params<'_>) -> Result<bool, RpcError> {
    let name = params.required::<&str>("name")?;
    let base = params.required::<&str>("base_bdev")?;
    let first_block = params.required::<u64>("first_block")?;
    params.finish()?;
    let ours = name.to_owned();
    let base = Desc::open(base, Access::Write, move |event| {
        // The base bdev is about to go, so ours has to. Requests in flight end first.
        if event == Event::Removed {
            drop(MODULE.unregister(&ours));
        }
    })?;
    // From now on nobody else writes to it.
    MODULE.claim(&base)?;
    let num_blocks = base.num_blocks().saturating_sub(first_block);
    let options = Options::new(base.block_size(), num_blocks);
    let registered = MODULE.register(name, c"tail", &options, Tail { base, first_block });
    registered.map(|_| true).map_err(|(errno, _)| errno.into())
}

barespdk::rpc_methods!(Method::sync(c"tail_create", States::RUNTIME, create));

fn main() {
    MODULE.add().expect("this is the first module of its name");
    let code = App::new("tail_bdev").run(std::env::args(), || {});
    std::process::exit(code.unwrap_or(1))
}
