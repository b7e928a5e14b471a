use serde_json::Value;

use super::RpcError;
use super::request::Request;

/// Where the answer to a request goes. Dropped without an answer, it answers "Internal error".
#[derive(Debug)]
pub(crate) struct Reply {
    /// `None` once answered.
    request: Option<Box<Request>>,
}

// SAFETY: a request holds no reference to its thread but in its sink, which is used on the app
// thread alone: `deliver` sends it there. The rest is its own memory.
unsafe impl Send for Reply {}

impl Reply {
    pub(super) fn new(request: Box<Request>) -> Self {
        Self {
            request: Some(request),
        }
    }

    /// Answers. On any SPDK thread.
    pub(crate) fn send(mut self, result: Result<Value, RpcError>) {
        if let Some(request) = self.request.take() {
            answer(request, result);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            request.fail(&RpcError::internal("Internal error"));
        }
    }
}

pub(super) fn answer(mut request: Box<Request>, result: Result<Value, RpcError>) {
    match result {
        Ok(value) => {
            // A failure stays in the writer, and the end of the result finds it.
            let _ = request.begin_result().value(&value);
            request.end_result();
        }
        Err(error) => request.fail(&error),
    }
}
