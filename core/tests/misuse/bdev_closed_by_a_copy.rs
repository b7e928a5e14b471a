//! A descriptor is closed by its last handle: nobody closes it under another.

use barespdk::bdev::{Channel, Desc};

fn close(desc: Desc) {
    let channel = Channel::new(&desc);
    desc.close();
    drop(channel);
}

fn main() {
    let _ = close;
}
