//! `nbd_export_start {bdev_name, address, export_name?, read_only?, wait_for_bdev?}`,
//! `nbd_export_stop {bdev_name?, address?, export_name?}`, `nbd_exports_get {bdev_name?}`.

use alloc::format;
use alloc::string::ToString;
use core::sync::atomic::Ordering;

use barespdk::errno::Errno;
use barespdk::json::{ObjectWriter, ValueWriter};
use barespdk::rpc::{Json, Params, Reply, RpcError};
#[cfg(not(test))]
use barespdk::rpc::{Method, States};

use super::address::Address;
use super::export::{Export, Place};
use super::protocol::NAME_BYTES_MAX;
use super::server::{self, Entry, Order, StartError, State};

// Unit tests run without an SPDK, whose functions this would need.
#[cfg(not(test))]
barespdk::rpc_methods!(
    Method::asynchronous(c"nbd_export_start", States::RUNTIME, start),
    Method::asynchronous(c"nbd_export_stop", States::RUNTIME, stop),
    Method::sync(c"nbd_exports_get", States::RUNTIME, get),
);

fn address(text: &str) -> Result<Address, RpcError> {
    Address::parse(text).map_err(|reason| RpcError::invalid_param("address", reason))
}

/// Answers with the export, as `nbd_exports_get` shows it.
async fn start(mut params: Params<'_>) -> Result<impl Reply + use<>, RpcError> {
    let bdev_name = params.required::<&str>("bdev_name")?;
    let at = address(params.required::<&str>("address")?)?;
    let export_name = params.optional::<&str>("export_name")?.unwrap_or(bdev_name);
    let read_only = params.optional::<bool>("read_only")?.unwrap_or(false);
    let may_wait = params.optional::<bool>("wait_for_bdev")?.unwrap_or(false);
    params.finish()?;
    if export_name.len() > NAME_BYTES_MAX || export_name.contains('\0') {
        return Err(RpcError::invalid_param(
            "export_name",
            format_args!("expected at most {NAME_BYTES_MAX} bytes without NUL"),
        ));
    }
    let order = Order {
        bdev_name: bdev_name.to_string(),
        address: at.clone(),
        export_name: export_name.to_string(),
        read_only,
    };
    let entry = server::start(order, may_wait)
        .await
        .map_err(|error| refusal(&error, bdev_name, &at, export_name))?;
    Ok(Json(move |writer: ValueWriter<'_>| {
        writer.object(|object| describe(&entry, object));
    }))
}

fn refusal(error: &StartError, bdev: &str, address: &Address, export: &str) -> RpcError {
    match error {
        StartError::Exists => RpcError::failed(
            Errno::EEXIST,
            format_args!("Parameter 'export_name': there is an export '{export}' at {address}"),
        ),
        StartError::Ending => RpcError::failed(Errno::ESHUTDOWN, "The application ends"),
        StartError::Open(errno) => RpcError::failed(
            *errno,
            match *errno {
                Errno::ENODEV => format!("Parameter 'bdev_name': bdev '{bdev}' does not exist"),
                Errno::EPERM => format!("Parameter 'bdev_name': bdev '{bdev}' is claimed already"),
                _ => format!("Parameter 'bdev_name': bdev '{bdev}' cannot be opened"),
            },
        ),
        StartError::BlockSize(bytes) => RpcError::failed(
            Errno::ENOTSUP,
            format_args!(
                "Parameter 'bdev_name': bdev '{bdev}' has blocks of {bytes} bytes or metadata in \
                 them; NBD has powers of two up to 65536, and data alone"
            ),
        ),
        StartError::Bind(errno) => RpcError::failed(
            *errno,
            match *errno {
                Errno::EEXIST => {
                    format!("Parameter 'address': {address} is there, and is no socket")
                }
                _ => format!("Parameter 'address': cannot listen at {address}"),
            },
        ),
        StartError::Thread(errno) => {
            RpcError::failed(*errno, "There is no thread to serve the export")
        }
        StartError::Stopped => RpcError::failed(
            Errno::ENODEV,
            format_args!("The export was stopped, or bdev '{bdev}' removed, before it had started"),
        ),
    }
}

async fn stop(mut params: Params<'_>) -> Result<bool, RpcError> {
    let bdev_name = params.optional::<&str>("bdev_name")?;
    let at = params
        .optional::<&str>("address")?
        .map(address)
        .transpose()?;
    let export_name = params.optional::<&str>("export_name")?;
    params.finish()?;
    if bdev_name.is_none() && at.is_none() && export_name.is_none() {
        return Err(RpcError::invalid_params(
            "One of 'bdev_name', 'address' and 'export_name' must be given",
        ));
    }
    let found = server::find(bdev_name, at.as_ref(), export_name);
    if found.is_empty() {
        return Err(RpcError::failed(Errno::ENODEV, "There is no such export"));
    }
    for id in found {
        match server::stop(id, "by RPC").await {
            // Its bdev was removed meanwhile, or another client was faster.
            Ok(()) | Err(Errno::ENODEV | Errno::EALREADY) => {}
            Err(errno) => return Err(RpcError::failed(errno, "The export was not stopped")),
        }
    }
    Ok(true)
}

fn get(mut params: Params<'_>) -> Result<impl Reply + use<>, RpcError> {
    let bdev_name = params.optional::<&str>("bdev_name")?;
    params.finish()?;
    let mut entries = server::entries();
    entries.retain(|entry| bdev_name.is_none_or(|name| entry.order.bdev_name == name));
    if let Some(name) = bdev_name.filter(|_| entries.is_empty()) {
        return Err(RpcError::failed(
            Errno::ENODEV,
            format_args!("Parameter 'bdev_name': bdev '{name}' is not exported"),
        ));
    }
    Ok(Json(move |writer: ValueWriter<'_>| {
        writer.array(|list| {
            for entry in &entries {
                list.object(|object| describe(entry, object));
            }
        });
    }))
}

/// Writes an export.
fn describe(entry: &Entry, object: &mut ObjectWriter<'_>) {
    let order = &entry.order;
    let (state, served) = match &entry.state {
        State::Waiting => ("waiting", None),
        State::Starting => ("starting", None),
        State::Serving(export, place) => ("online", Some((export, place))),
        State::Stopping(export, place) => ("stopping", Some((export, place))),
    };
    object.field("bdev_name", order.bdev_name.as_str());
    object.field("address", &order.address.to_string());
    object.field("export_name", order.export_name.as_str());
    object.field("uri", &order.address.uri(&order.export_name));
    object.field("read_only", &order.read_only);
    object.field("state", state);
    if let Some((export, place)) = served {
        describe_served(export, place, object);
    }
}

fn describe_served(export: &Export, place: &Place, object: &mut ObjectWriter<'_>) {
    let geometry = export.geometry();
    let statistics = &export.statistics;
    object.field("size", &geometry.size());
    object.field("block_size", &geometry.block_size);
    object.field("can_trim", &(geometry.can_trim && !export.read_only));
    object.field(
        "connections",
        &statistics.connections.load(Ordering::Relaxed),
    );
    object.field(
        "connections_total",
        &statistics.connections_total.load(Ordering::Relaxed),
    );
    object.field(
        "address_connections",
        &place.connections.load(Ordering::Relaxed),
    );
    for (name, value) in [
        ("num_read_ops", &statistics.reads),
        ("bytes_read", &statistics.bytes_read),
        ("num_write_ops", &statistics.writes),
        ("bytes_written", &statistics.bytes_written),
        ("num_other_ops", &statistics.others),
        ("num_errors", &statistics.errors),
    ] {
        object.field(name, &value.load(Ordering::Relaxed));
    }
}
