//! A request is served on the thread that it was submitted on.

use barespdk::bdev::Status;
use barespdk::module::Request;

fn is_send<T: Send>(_: T) {}

async fn submit(request: Request<'_>) -> Status {
    is_send(request.data());
    is_send(request.buffer());
    is_send(&request);
    is_send(request);
    Status::Success
}

fn main() {
    let _ = submit;
}
