//! A request is served once: there are no two of it, and no way to complete it but the output.

use barespdk::module::Request;

fn twice(request: Request<'_>) {
    let other = request.clone();
    request.complete();
    other.complete();
}

fn main() {
    let _ = twice;
}
