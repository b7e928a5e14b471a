//! The methods that there are. C: `spdk/rpc.h`.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use barespdk_sys::{SPDK_RPC_RUNTIME, SPDK_RPC_STARTUP, spdk_rpc_method_handler};
use serde_json::Value;

use super::reply::{Reply, answer};
use super::request::{Request, params_of};
use super::{RpcError, call::Call};

/// What is called for a method.
#[derive(Clone, Copy)]
enum Handler {
    Sync(fn(Option<Value>) -> Result<Value, RpcError>),
    Async(fn(Option<Value>, Reply)),
    C(spdk_rpc_method_handler),
}

#[derive(Clone, Copy)]
struct Method {
    handler: Handler,
    state_mask: u32,
}

/// Which methods may be called now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Those for the time before the subsystems are initialised.
    Startup,
    /// Those for the time after that.
    Runtime,
}

impl State {
    pub(crate) fn mask(self) -> u32 {
        match self {
            Self::Startup => SPDK_RPC_STARTUP,
            Self::Runtime => SPDK_RPC_RUNTIME,
        }
    }
}

struct Registry {
    /// By name, so that every list of them has one order.
    methods: BTreeMap<String, Method>,
    /// No method was registered twice.
    correct: bool,
    state: State,
    /// The only methods that may be called, if there is such a list.
    allowed: Option<Vec<String>>,
}

impl Registry {
    fn allows(&self, name: &str) -> bool {
        let allowed = self.allowed.as_ref();
        allowed.is_none_or(|allowed| allowed.iter().any(|other| other == name))
    }

    fn find(&self, name: &str) -> Option<Method> {
        let method = self.methods.get(name).copied();
        method.filter(|_| self.allows(name))
    }
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    methods: BTreeMap::new(),
    correct: true,
    state: State::Startup,
    allowed: None,
});

fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Registers this crate's own methods, the first time. SPDK's are there before `main`; so are these
/// for all that can be observed: every way to look at the registry comes by here.
fn with_own() -> MutexGuard<'static, Registry> {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Ordering::AcqRel) {
        super::register();
        crate::app::register();
        crate::bdev::rpc::register();
    }
    registry()
}

fn add(name: &str, method: Method) {
    let mut registry = with_own();
    if registry.methods.contains_key(name) {
        registry.correct = false;
        drop(registry);
        error_log!("duplicate RPC {name} registered...\n");
        return;
    }
    registry.methods.insert(name.to_owned(), method);
}

/// Registers a method that answers at once. `state_mask` is of `SPDK_RPC_STARTUP` and
/// `SPDK_RPC_RUNTIME`. The handler runs on the app thread.
pub(crate) fn method(
    name: &'static str,
    state_mask: u32,
    handler: fn(Option<Value>) -> Result<Value, RpcError>,
) {
    add(
        name,
        Method {
            handler: Handler::Sync(handler),
            state_mask,
        },
    );
}

/// Registers a method that answers when it is done. The handler runs on the app thread.
pub(crate) fn method_async(name: &'static str, state_mask: u32, handler: fn(Option<Value>, Reply)) {
    add(
        name,
        Method {
            handler: Handler::Async(handler),
            state_mask,
        },
    );
}

/// Whether no method was registered twice.
pub(crate) fn correct() -> bool {
    with_own().correct
}

pub(crate) fn state() -> State {
    registry().state
}

pub(crate) fn set_state(state: State) {
    registry().state = state;
}

/// Allows the methods of a list alone; `None` allows all.
pub(crate) fn set_allowed(allowed: Option<Vec<String>>) {
    registry().allowed = allowed;
}

/// The states that a method may be called in, if there is such a method.
pub(crate) fn state_mask(name: &str) -> Option<u32> {
    with_own().methods.get(name).map(|method| method.state_mask)
}

/// The names of the methods, of all or of those that may be called now.
pub(super) fn names(current: bool) -> Vec<String> {
    let registry = with_own();
    let now = registry.state.mask();
    let wanted = |method: &Method| !current || method.state_mask & now == now;
    registry
        .methods
        .iter()
        .filter(|(name, method)| wanted(method) && registry.allows(name))
        .map(|(name, _)| name.clone())
        .collect()
}

/// Calls the method that a request asks for. On the app thread.
pub(super) fn dispatch(mut request: Box<Request>, call: &Call<'_>) {
    let (method, state) = {
        let registry = with_own();
        (registry.find(&call.method), registry.state)
    };
    let Some(method) = method else {
        return request.fail(&RpcError::method_not_found());
    };
    let now = state.mask();
    if method.state_mask & now != now {
        return request.fail(&RpcError::invalid_state(match state {
            State::Startup => {
                "Method may only be called after framework is initialized using \
                 framework_start_init RPC."
            }
            State::Runtime => {
                "Method may only be called before framework is initialized. Use --wait-for-rpc \
                 command line parameter and then issue this RPC before the framework_start_init \
                 RPC."
            }
        }));
    }
    match method.handler {
        Handler::C(Some(handler)) => {
            request.values = call.values();
            let params = params_of(&request);
            // SAFETY: the handler was registered with its rules; it gets the request, which is now
            // its own to answer, and parameters that live as long as that. On the app thread.
            unsafe { handler(request.into_raw(), params) };
        }
        Handler::C(None) => request.fail(&RpcError::method_not_found()),
        Handler::Sync(handler) => {
            let result = call.value().and_then(handler);
            answer(request, result);
        }
        Handler::Async(handler) => match call.value() {
            Ok(params) => handler(params, Reply::new(request)),
            Err(error) => request.fail(&error),
        },
    }
}

/// # Safety
/// `name` is a C string that lives during the call.
unsafe fn text(name: *const c_char) -> String {
    // SAFETY: by the caller's promise.
    let name = unsafe { CStr::from_ptr(name) };
    name.to_string_lossy().into_owned()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_rpc_register_method(
    method: *const c_char,
    func: spdk_rpc_method_handler,
    state_mask: u32,
) {
    // SAFETY: the ABI's promise about `method`.
    let name = unsafe { text(method) };
    let handler = Handler::C(func);
    add(
        &name,
        Method {
            handler,
            state_mask,
        },
    );
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_rpc_is_method_allowed(method: *const c_char, state_mask: u32) -> c_int {
    // SAFETY: the ABI's promise about `method`.
    let name = unsafe { text(method) };
    let registry = with_own();
    match registry.find(&name) {
        None => -libc::ENOENT,
        Some(method) if method.state_mask & state_mask == state_mask => 0,
        Some(_) => -libc::EPERM,
    }
}

same_as_declared!(spdk_rpc_register_method, spdk_rpc_is_method_allowed);
