//! SPDK's server of JSON-RPC belongs to the app thread: a request stays there.

use barespdk::rpc::RpcRequest;

fn move_to_another_thread<T: Send>(_: T) {}

fn handler(request: RpcRequest) {
    move_to_another_thread(request);
}

fn main() {
    let _ = handler;
}
