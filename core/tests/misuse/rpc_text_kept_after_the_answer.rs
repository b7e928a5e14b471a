//! SPDK frees the text of the parameters with the answer.

use barespdk::rpc::RpcRequest;

fn handler(request: RpcRequest) {
    let Ok(mut params) = request.params() else { return };
    let Ok(name) = params.required::<&str>("name") else { return };
    request.reply_bool(true);
    println!("{name}");
}

fn main() {
    let _ = handler;
}
