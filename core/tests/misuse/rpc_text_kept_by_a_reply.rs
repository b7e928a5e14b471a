//! A reply is written when the parameters are no longer borrowed.

use barespdk::rpc::{Json, Method, Params, Reply, RpcError, States};

fn handler(mut params: Params<'_>) -> Result<impl Reply, RpcError> {
    let name = params.required::<&str>("name")?;
    Ok(Json(move |writer: barespdk::json::ValueWriter<'_>| writer.str(name)))
}

fn main() {
    let _ = Method::sync(c"method", States::ANY, handler);
}
