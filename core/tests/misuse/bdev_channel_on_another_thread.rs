//! A channel is of its thread, and so is what is in flight through it. The descriptor is for all.

use barespdk::bdev::{BufIo, Channel, Data, Desc, Io, SeekIo};

fn is_send<T: Send>() {}

fn main() {
    is_send::<Desc>();
    is_send::<Channel>();
    is_send::<Io>();
    is_send::<BufIo>();
    is_send::<SeekIo>();
    is_send::<Data<'static>>();
}
