//! A channel is of its thread, and so are views of memory. The descriptor is for all.

use barespdk::bdev::{Channel, Data, Desc};

fn is_send<T: Send>() {}

fn main() {
    is_send::<Desc>();
    is_send::<Channel>();
    is_send::<Data<'static>>();
}
