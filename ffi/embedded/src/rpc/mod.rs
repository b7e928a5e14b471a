//! JSON-RPC: the server, the registry of methods, the methods of no other part.
//! C: `spdk/rpc.h`, `spdk/jsonrpc.h`.
//!
//! ```text
//!   client ── server (poller on the app thread) ── Request ── registry ── handler
//!                 ▲                                                         │
//!                 └───────── response, from any SPDK thread ────────────────┘
//! ```

mod call;
mod error;
mod methods;
mod params;
mod registry;
mod reply;
mod request;
mod server;

#[cfg(test)]
mod tests;

pub(crate) use call::call;
pub(crate) use error::RpcError;
pub(crate) use methods::VERSION;
pub(crate) use params::{no_params, params};
pub(crate) use registry::{
    State, correct, method, method_async, set_allowed, set_state, state, state_mask,
};
pub(crate) use reply::Reply;
pub(crate) use server::{listen, pause, resume, shutdown};

/// Registers the methods of this part.
pub(crate) fn register() {
    methods::register();
}
