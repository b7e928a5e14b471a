//! JSON-RPC methods: how operators and tools talk to the application.
//!
//! A method is a [`Method`]: a name, the [`States`] in which it may be called, and a handler. A
//! handler that answers at once takes [`Params`] and returns a `Result` ([`Method::sync`]); one that
//! has to wait is an `async` function of the same shape ([`Method::asynchronous`]); the general form
//! takes the [`RpcRequest`] itself, which it may keep and answer later ([`Method::new`]). Each
//! request is answered exactly once; one that is dropped unanswered reports an internal error, so
//! that no client waits for ever.
//!
//! Error codes are those of JSON-RPC and of SPDK: parameters that are missing, mistyped or unknown
//! are [`RpcError::INVALID_PARAMS`], with a message that names the parameter and the value; what
//! fails later has the negative error number of the failure, such as -19 (`ENODEV`), as code.
//!
//! Handlers run on the application's first thread (the "app thread"), where SPDK serves its socket.
//! A request and all that is borrowed from it stay on that thread.
//!
//! ```no_run
//! use barespdk::rpc::{Method, Params, RpcError, States};
//!
//! fn greet(mut params: Params<'_>) -> Result<String, RpcError> {
//!     let name = params.required::<&str>("name")?;
//!     let times = params.optional::<u8>("times")?.unwrap_or(1);
//!     params.finish()?;
//!     Ok(format!("Hello, {name}! ").repeat(times.into()))
//! }
//!
//! // At start, before `main`:
//! barespdk::rpc_methods!(Method::sync(c"greet", States::RUNTIME, greet));
//! # fn main() {}
//! ```
//!
//! C: `spdk/rpc.h`, `spdk/jsonrpc.h`.

mod error;
mod method;
mod params;
mod request;

pub use error::RpcError;
#[doc(hidden)]
pub use method::register_before_main;
pub use method::{Method, RegisterError, States};
pub use params::Params;
pub use request::{Json, Reply, RpcRequest};
