//! One request, from its arrival to its answer. C: `spdk/jsonrpc.h`.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;

use barespdk_sys::{
    spdk_get_thread, spdk_json_val, spdk_json_write_ctx, spdk_jsonrpc_request,
    spdk_thread_get_app_thread, spdk_thread_is_app_thread, spdk_thread_send_msg,
};

use super::{RpcError, server};
use crate::json::{Values, Writer};

/// Longest response in bytes: what does not fit fails the writer.
const RESPONSE_LEN_MAX: usize = 32 << 20;

/// Where the response goes.
pub(super) enum Sink {
    /// To a client of the server, by its number. It may have left.
    Client(u64),
    /// To this process.
    Call(Box<dyn FnOnce(Vec<u8>)>),
}

/// The id of a request, as the JSON that the client wrote; it comes back in the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Id {
    /// None, or null: a notification, whose result nobody waits for.
    None,
    Json(Vec<u8>),
}

/// What `spdk_jsonrpc_request` points to.
pub(super) struct Request {
    sink: Sink,
    id: Id,
    /// The parameters, for handlers from C.
    pub(super) values: Option<Values>,
    /// The response so far.
    text: Box<Text>,
    /// Writes into `text`.
    writer: Writer,
}

/// Text of limited length.
#[derive(Debug, Default)]
struct Text {
    bytes: Vec<u8>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The writer's function. `text` is the `Text` beside it.
unsafe extern "C" fn append(text: *mut c_void, data: *const c_void, len: usize) -> c_int {
    // SAFETY: `Request::new` passed its own text, which lives as long as the writer; nothing else
    // uses it while something is written.
    let text = unsafe { &mut *text.cast::<Text>() };
    if text.bytes.len() + len > RESPONSE_LEN_MAX {
        return -1;
    }
    if len != 0 {
        // SAFETY: the writer passes `len` bytes of its buffer.
        text.bytes
            .extend_from_slice(unsafe { std::slice::from_raw_parts(data.cast(), len) });
    }
    0
}

impl Request {
    pub(super) fn new(sink: Sink, id: Id) -> Box<Self> {
        let mut text = Box::<Text>::default();
        let writer = Writer::new(Some(append), (&raw mut *text).cast(), 0);
        Box::new(Self {
            sink,
            id,
            values: None,
            text,
            writer,
        })
    }

    /// As handlers from C get it. To be taken back with [`Request::from_raw`].
    pub(super) fn into_raw(self: Box<Self>) -> *mut spdk_jsonrpc_request {
        Box::into_raw(self).cast()
    }

    /// # Safety
    /// `request` comes from [`Request::into_raw`], once.
    pub(super) unsafe fn from_raw(request: *mut spdk_jsonrpc_request) -> Box<Self> {
        // SAFETY: by the caller's promise.
        unsafe { Box::from_raw(request.cast()) }
    }

    /// Begins a response, up to its result or error.
    fn begin(&mut self) {
        self.writer.reset();
        self.text.bytes.clear();
        // Failures stay in the writer, and `finish` finds them.
        let writer = &mut self.writer;
        let _ = writer.object_begin();
        let _ = writer.name(b"jsonrpc");
        let _ = writer.string(b"2.0");
        let _ = writer.name(b"id");
        let _ = match &self.id {
            Id::None => writer.null(),
            Id::Json(text) => writer.raw(text),
        };
    }

    pub(super) fn begin_result(&mut self) -> &mut Writer {
        self.begin();
        let _ = self.writer.name(b"result");
        &mut self.writer
    }

    /// Ends the result and sends it.
    pub(super) fn end_result(mut self: Box<Self>) {
        let _ = self.writer.object_end();
        if self.writer.end().is_err() {
            let error = "The response could not be written: it is too long, or not UTF-8";
            return self.fail(&RpcError::internal(error));
        }
        match self.id {
            Id::None if matches!(self.sink, Sink::Client(_)) => self.text.bytes.clear(),
            _ => self.text.bytes.push(b'\n'),
        }
        deliver(self);
    }

    /// Sends an error.
    pub(super) fn fail(mut self: Box<Self>, error: &RpcError) {
        self.begin();
        let writer = &mut self.writer;
        let _ = writer.name(b"error");
        let _ = writer.object_begin();
        let _ = writer.name(b"code");
        let _ = writer.display(error.code);
        let _ = writer.name(b"message");
        let _ = writer.string(error.message.as_bytes());
        let _ = writer.object_end();
        let _ = writer.object_end();
        if writer.end().is_err() {
            self.text.bytes.clear();
        }
        self.text.bytes.push(b'\n');
        deliver(self);
    }
}

/// Brings a response to the app thread, where the server is.
fn deliver(request: Box<Request>) {
    if cfg!(test) {
        // Unit tests run no SPDK threads.
        return hand_over(*request);
    }
    // SAFETY: takes nothing; NULL outside of SPDK's threads.
    let outside = unsafe { spdk_get_thread() }.is_null();
    // SAFETY: takes nothing; NULL if there is no app thread any more.
    let app_thread = unsafe { spdk_thread_get_app_thread() };
    // SAFETY: NULL stands for the current thread, which there is.
    if !outside && unsafe { spdk_thread_is_app_thread(std::ptr::null_mut()) } {
        hand_over(*request);
    } else if !app_thread.is_null() {
        let request = request.into_raw().cast();
        // SAFETY: the app thread lives: requests end before it does. The message takes the request.
        unsafe { spdk_thread_send_msg(app_thread, Some(delivered), request) };
    }
}

/// The message of [`deliver`] to the app thread.
unsafe extern "C" fn delivered(request: *mut c_void) {
    // SAFETY: `deliver` gave the request away, to this call alone.
    hand_over(*unsafe { Request::from_raw(request.cast()) });
}

fn hand_over(request: Request) {
    match request.sink {
        Sink::Client(client) => server::respond(client, request.text.bytes),
        Sink::Call(take) => take(request.text.bytes),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_jsonrpc_begin_result(
    request: *mut spdk_jsonrpc_request,
) -> *mut spdk_json_write_ctx {
    // SAFETY: the ABI's promise: a live request that is the caller's to answer.
    let request = unsafe { &mut *request.cast::<Request>() };
    std::ptr::from_mut(request.begin_result()).cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_jsonrpc_end_result(
    request: *mut spdk_jsonrpc_request,
    w: *mut spdk_json_write_ctx,
) {
    let _ = w;
    // SAFETY: the ABI's promise: a live request, which the caller gives up.
    unsafe { Request::from_raw(request) }.end_result();
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_jsonrpc_send_error_response(
    request: *mut spdk_jsonrpc_request,
    error_code: c_int,
    msg: *const c_char,
) {
    let message = if msg.is_null() {
        String::new()
    } else {
        // SAFETY: the ABI's promise: a C string that lives during the call.
        let message = unsafe { CStr::from_ptr(msg) };
        message.to_string_lossy().into_owned()
    };
    // SAFETY: the ABI's promise: a live request, which the caller gives up.
    unsafe { Request::from_raw(request) }.fail(&RpcError {
        code: error_code,
        message,
    });
}

same_as_declared!(
    spdk_jsonrpc_begin_result,
    spdk_jsonrpc_end_result,
    spdk_jsonrpc_send_error_response,
);

/// The parameters of a request as handlers from C get them.
pub(super) fn params_of(request: &Request) -> *const spdk_json_val {
    match &request.values {
        Some(values) => values.as_ptr(),
        None => std::ptr::null(),
    }
}
