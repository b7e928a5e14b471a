//! One request of a client, and its answer.

use alloc::string::String;
use core::fmt;
use core::mem;
use core::ptr::NonNull;

use barespdk_sys::{json, jsonrpc as ffi};

use super::error::RpcError;
use super::params::Params;
use crate::json::{JsonWriter, Value, ValueWriter, WriteError, WriteJson};

/// A request that waits for its answer.
///
/// Every way to answer takes the request, so that it is answered once; dropped unanswered, it
/// reports an internal error to the client. It may be kept and moved into a task, but stays on the
/// app thread, where it came in: it is not `Send`. A client that has gone away meanwhile is no
/// error. What is read from the parameters borrows from the request and must be copied to be kept
/// longer; SPDK frees them with the answer.
pub struct RpcRequest {
    request: NonNull<ffi::spdk_jsonrpc_request>,
    params: *const json::spdk_json_val,
}

impl RpcRequest {
    /// Takes a request from a handler's arguments (`spdk_rpc_method_handler`).
    ///
    /// # Safety
    /// The arguments are those of a handler that SPDK has called on the app thread, and nothing
    /// else answers the request.
    pub const unsafe fn from_raw(
        request: NonNull<ffi::spdk_jsonrpc_request>,
        params: *const json::spdk_json_val,
    ) -> Self {
        Self { request, params }
    }

    /// The parameters. No parameters are an empty object.
    ///
    /// # Errors
    /// The client sent an array instead of an object.
    pub fn params(&self) -> Result<Params<'_>, RpcError> {
        // SAFETY: by the promise made to `from_raw` the pointer is NULL or stands at the begin of a
        // value that SPDK has parsed. SPDK keeps tokens and text, unchanged, until the request is
        // answered, even if the client closes the connection; answering takes `self` and so ends
        // the borrow first.
        Params::new(unsafe { Value::from_raw(self.params) })
    }

    /// Answers with the outcome of a handler.
    pub fn answer<R: Reply>(self, outcome: Result<R, RpcError>) {
        match outcome {
            Ok(reply) => self.reply(|writer| reply.write(writer)),
            Err(error) => self.fail(&error),
        }
    }

    /// Has a handler read the parameters, and answers with its outcome.
    pub fn answer_with<R: Reply>(self, handler: impl FnOnce(Params<'_>) -> Result<R, RpcError>) {
        let outcome = self.params().and_then(handler);
        self.answer(outcome);
    }

    /// Answers with the value that `write` writes; `null` if it writes none.
    pub fn reply(self, write: impl FnOnce(ValueWriter<'_>)) {
        let request = self.into_raw();
        // SAFETY: the request is live and unanswered, and stays so until the end of this function:
        // `into_raw` took it from an `RpcRequest`, of which there is one for each request.
        let written = match NonNull::new(unsafe { ffi::spdk_jsonrpc_begin_result(request) }) {
            Some(ctx) => {
                // SAFETY: the writer is SPDK's for this answer; it is used here alone until
                // `spdk_jsonrpc_end_result`, or an error response, which begins afresh.
                let written = unsafe { JsonWriter::from_raw(ctx) }.value(write);
                written.map(|()| ctx)
            }
            None => Err(WriteError),
        };
        match written {
            // SAFETY: the answer was begun above, with this writer, and is complete.
            Ok(ctx) => unsafe { ffi::spdk_jsonrpc_end_result(request, ctx.as_ptr()) },
            // SAFETY: the request is live and unanswered; what was written so far is dropped by
            // the function.
            Err(error) => unsafe { send_error(request, &error.into()) },
        }
    }

    /// Answers with `true` or `false`. SPDK's methods without a result answer `true`.
    pub fn reply_bool(self, value: bool) {
        self.reply(|writer| writer.bool(value));
    }

    /// Answers with an error.
    pub fn fail(self, error: &RpcError) {
        // SAFETY: `into_raw` gives a live request, unanswered.
        unsafe { send_error(self.into_raw(), error) };
    }

    /// Takes the request out, whose answer is then up to the caller.
    fn into_raw(self) -> *mut ffi::spdk_jsonrpc_request {
        mem::ManuallyDrop::new(self).request.as_ptr()
    }
}

impl Drop for RpcRequest {
    fn drop(&mut self) {
        let error = RpcError::internal("The method ended without an answer");
        // SAFETY: all other ways to answer go through `into_raw`, after which there is no drop: the
        // request is live and unanswered.
        unsafe { send_error(self.request.as_ptr(), &error) };
    }
}

impl fmt::Debug for RpcRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcRequest")
            .field("params", &self.params().ok())
            .finish()
    }
}

/// # Safety
/// The request is live and unanswered, and is not used after.
unsafe fn send_error(request: *mut ffi::spdk_jsonrpc_request, error: &RpcError) {
    let message = error.to_c_message();
    // SAFETY: a live request by the caller's promise; SPDK copies the message.
    unsafe { ffi::spdk_jsonrpc_send_error_response(request, error.code(), message.as_ptr()) };
}

/// What a handler may return for the client.
pub trait Reply {
    /// Writes the answer.
    fn write(self, writer: ValueWriter<'_>);
}

/// `true`, as SPDK's methods answer that have nothing to say.
impl Reply for () {
    fn write(self, writer: ValueWriter<'_>) {
        writer.bool(true);
    }
}

/// A string.
impl Reply for String {
    fn write(self, writer: ValueWriter<'_>) {
        writer.str(&self);
    }
}

impl Reply for bool {
    fn write(self, writer: ValueWriter<'_>) {
        writer.bool(self);
    }
}

impl Reply for u64 {
    fn write(self, writer: ValueWriter<'_>) {
        writer.u64(self);
    }
}

/// Any other answer: `Json(|writer| ...)` with a closure that writes it, or [`Json::of`] a value.
#[derive(Clone, Copy, Debug)]
pub struct Json<F>(pub F);

impl<F: FnOnce(ValueWriter<'_>)> Reply for Json<F> {
    fn write(self, writer: ValueWriter<'_>) {
        (self.0)(writer);
    }
}

impl Json<()> {
    /// A value as answer.
    pub fn of<T: WriteJson>(value: T) -> Json<impl FnOnce(ValueWriter<'_>)> {
        Json(move |writer: ValueWriter<'_>| value.write_json(writer))
    }
}
