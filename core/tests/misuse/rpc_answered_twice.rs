//! A request is answered once.

use barespdk::rpc::RpcRequest;

fn handler(request: RpcRequest) {
    request.reply_bool(true);
    request.reply_bool(false);
}

fn main() {
    let _ = handler;
}
