//! A request is served by its own future, not by a task that may outlive it.

use barespdk::bdev::Status;
use barespdk::module::Request;
use barespdk::runtime;

fn submit(request: Request<'_>) -> Status {
    let _ = runtime::spawn_local(async move {
        let _ = request.buffer().await;
    });
    Status::Success
}

fn main() {
    let _ = submit;
}
