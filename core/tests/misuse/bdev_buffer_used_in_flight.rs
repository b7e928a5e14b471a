//! A buffer is the I/O's until it comes back with the outcome.

use barespdk::bdev::Channel;
use barespdk_alloc_dma::DmaBuf;

async fn write(channel: &Channel, mut buffer: DmaBuf) {
    let io = channel.write_buf(buffer, 0);
    buffer.fill(1);
    let _ = io.await;
}

fn main() {
    let _ = write;
}
