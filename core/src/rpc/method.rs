//! Methods and how SPDK learns of them.

use core::ffi::CStr;
use core::fmt;
use core::ptr::{self, NonNull};

use barespdk_sys::{json, jsonrpc, rpc as ffi, thread};

use super::error::RpcError;
use super::params::Params;
use super::request::{Reply, RpcRequest};
use crate::runtime;

/// In which states of the application a method may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct States(u32);

impl States {
    /// Before the subsystems are initialised (`--wait-for-rpc`).
    pub const STARTUP: Self = Self(ffi::SPDK_RPC_STARTUP);
    /// In normal operation.
    pub const RUNTIME: Self = Self(ffi::SPDK_RPC_RUNTIME);
    /// Always.
    pub const ANY: Self = Self(ffi::SPDK_RPC_STARTUP | ffi::SPDK_RPC_RUNTIME);
}

/// A method of JSON-RPC: its name, when it may be called, and what it does.
///
/// SPDK calls a handler by a plain function pointer without any context. So a handler is a function
/// or a closure that captures nothing; one that does capture does not compile.
#[derive(Clone, Copy)]
pub struct Method {
    name: &'static CStr,
    states: States,
    handler: unsafe extern "C" fn(*mut jsonrpc::spdk_jsonrpc_request, *const json::spdk_json_val),
}

impl Method {
    /// A method that answers in its own time: the handler may keep the request.
    pub const fn new<F>(name: &'static CStr, states: States, handler: F) -> Self
    where
        F: Fn(RpcRequest) + Copy + Send + Sync + 'static,
    {
        const { assert!(size_of::<F>() == 0, "a handler must not capture anything") };
        // `handle` makes its own copies out of nothing, which this value shows to exist.
        let _ = handler;
        Self {
            name,
            states,
            handler: handle::<F>,
        }
    }

    /// A method that answers at once, with what the handler returns. The reply cannot borrow from
    /// the parameters; a function that returns `impl Reply` has to say so: `impl Reply + use<>`.
    pub const fn sync<F, R>(name: &'static CStr, states: States, handler: F) -> Self
    where
        F: Fn(Params<'_>) -> Result<R, RpcError> + Copy + Send + Sync + 'static,
        R: Reply + 'static,
    {
        Self::new(name, states, move |request: RpcRequest| {
            request.answer_with(handler)
        })
    }

    /// A method that answers later: the handler is an `async` function, which runs as a task on the
    /// app thread. Its parameters are borrowed from the request, which the task keeps until the
    /// answer.
    ///
    /// If the task cannot be started, or is dropped when its thread ends, the client gets an
    /// internal error.
    pub const fn asynchronous<F, R>(name: &'static CStr, states: States, handler: F) -> Self
    where
        F: AsyncFn(Params<'_>) -> Result<R, RpcError> + Copy + Send + Sync + 'static,
        R: Reply + 'static,
    {
        Self::new(name, states, move |request: RpcRequest| {
            let spawned = runtime::spawn_local(async move {
                let outcome = match request.params() {
                    Ok(params) => handler(params).await,
                    Err(error) => Err(error),
                };
                request.answer(outcome);
            });
            if let Err(errno) = spawned {
                crate::log_error!("JSON-RPC: no task for an asynchronous method: {errno}");
            }
        })
    }

    /// The name that clients call.
    pub const fn name(&self) -> &'static CStr {
        self.name
    }

    /// Makes the method known to SPDK. It stays known until the process ends.
    ///
    /// From the app thread only. Methods that must be there earlier - all that a configuration file
    /// may call - are registered by [`rpc_methods!`](crate::rpc_methods) or
    /// [`App::methods`](crate::app::App::methods).
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn register(&self) -> Result<(), RegisterError> {
        // SAFETY: both functions take no pointer but NULL, which means the current thread.
        let on_app_thread = unsafe {
            !thread::spdk_get_thread().is_null()
                && thread::spdk_thread_is_app_thread(ptr::null_mut())
        };
        if !on_app_thread {
            return Err(RegisterError::NotAppThread);
        }
        // SAFETY: SPDK reads and changes its list of methods on this thread alone.
        unsafe { self.register_unsynchronized() }
    }

    /// # Safety
    /// Nothing else uses SPDK's list of methods meanwhile: this is the app thread, or there is none
    /// yet and this is the only thread that registers.
    pub(crate) unsafe fn register_unsynchronized(&self) -> Result<(), RegisterError> {
        // Registering a name twice would make SPDK refuse to start, so look first. A method is
        // allowed in "no state" whenever it exists.
        // SAFETY: a C string, used during the call only; exclusive by the caller's promise.
        if unsafe { ffi::spdk_rpc_is_method_allowed(self.name.as_ptr(), 0) } == 0 {
            return Err(RegisterError::Exists(self.name));
        }
        // SAFETY: SPDK copies the name; the handler is a function, and so lives as long as the
        // code; exclusive by the caller's promise.
        unsafe {
            ffi::spdk_rpc_register_method(self.name.as_ptr(), Some(self.handler), self.states.0);
        }
        Ok(())
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Method")
            .field("name", &self.name)
            .field("states", &self.states)
            .finish()
    }
}

/// Why a method was not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterError {
    /// The current thread is not the app thread.
    NotAppThread,
    /// There is a method of this name.
    Exists(&'static CStr),
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAppThread => {
                f.write_str("JSON-RPC methods can be registered on the app thread only")
            }
            Self::Exists(name) => {
                write!(f, "a JSON-RPC method {name:?} is registered already")
            }
        }
    }
}

impl core::error::Error for RegisterError {}

/// What SPDK calls for a method with the handler `F`.
unsafe extern "C" fn handle<F>(
    request: *mut jsonrpc::spdk_jsonrpc_request,
    params: *const json::spdk_json_val,
) where
    F: Fn(RpcRequest) + Copy + Send + Sync + 'static,
{
    let Some(request) = NonNull::new(request) else {
        return;
    };
    const { assert!(size_of::<F>() == 0, "a handler must not capture anything") };
    // SAFETY: `F` has no bytes, so that there is nothing to read and any aligned pointer will do.
    // `Method::new` was given a value of this type, so it has values; it is `Copy` and `'static`, so
    // that one more of them at any later time is allowed, and `Send` and `Sync`, so that it may
    // appear on this thread.
    let handler = unsafe { NonNull::<F>::dangling().read() };
    // SAFETY: SPDK calls this on the app thread with a request for us to answer, and its parameters.
    handler(unsafe { RpcRequest::from_raw(request, params) });
}

/// For [`rpc_methods!`](crate::rpc_methods).
///
/// # Safety
/// Only before `main`, from a constructor.
#[doc(hidden)]
pub unsafe fn register_before_main(methods: &[Method]) {
    for method in methods {
        // SAFETY: constructors run one after another on the one thread that there is. SPDK's list
        // is statically initialised and so ready.
        if let Err(error) = unsafe { method.register_unsynchronized() } {
            crate::log_error!("{error}");
        }
    }
}

/// Registers [`Method`]s when the program is loaded, before `main`, as SPDK's own methods are. It
/// works in an executable as well as in a shared object that a stock SPDK application loads.
///
/// A name that exists already is logged and left to its first owner.
#[macro_export]
macro_rules! rpc_methods {
    ($($method:expr),+ $(,)?) => {
        const _: () = {
            static METHODS: &[$crate::rpc::Method] = &[$($method),+];

            fn register() {
                // SAFETY: run by the loader, and named nowhere else.
                unsafe { $crate::rpc::register_before_main(METHODS) };
            }

            $crate::at_load!(register);
        };
    };
}
