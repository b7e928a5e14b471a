//! What passes a request on does not outlive it.

use barespdk::module::{FanOut, Request};

fn submit<'a>(request: Request<'a>) -> Option<FanOut<'a>> {
    request.fan_out().ok()
}

fn main() {
    let _ = submit;
}
