//! JSON-RPC: the server, the registry of methods, the methods of no other part.
//! C: `spdk/rpc.h`, `spdk/jsonrpc.h`.

mod error;

pub(crate) use error::RpcError;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Where the answer to a request goes. Dropped without an answer, it answers "Internal error".
#[derive(Debug)]
pub(crate) struct Reply {}

impl Reply {
    /// Answers. On any SPDK thread.
    pub(crate) fn send(self, result: Result<Value, RpcError>) {
        let _ = result;
    }
}

/// Registers a method that answers at once. `state_mask` is of `SPDK_RPC_STARTUP` and
/// `SPDK_RPC_RUNTIME`. The handler runs on the app thread.
pub(crate) fn method(
    name: &'static str,
    state_mask: u32,
    handler: fn(Option<Value>) -> Result<Value, RpcError>,
) {
    let _ = (name, state_mask, handler);
}

/// Registers a method that answers when it is done. The handler runs on the app thread.
pub(crate) fn method_async(name: &'static str, state_mask: u32, handler: fn(Option<Value>, Reply)) {
    let _ = (name, state_mask, handler);
}

/// The parameters of a request as a type; no parameters are an empty object.
pub(crate) fn params<T: DeserializeOwned>(params: Option<Value>) -> Result<T, RpcError> {
    serde_json::from_value(params.unwrap_or_else(|| Value::Object(Default::default())))
        .map_err(|error| RpcError::invalid_params(error.to_string()))
}
