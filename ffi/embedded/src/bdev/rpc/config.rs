//! What makes the bdev layer as it is.

use serde_json::{Map, Value, json};

use super::bdevs::IO_TYPES;
use crate::bdev::device::Bdev;
use crate::bdev::registry::registry;
use crate::bdev::throttle;
use crate::json;

/// The RPCs that make the bdev subsystem as it is. On the app thread.
pub(in crate::bdev) fn save() -> Vec<Value> {
    let (options, listed, modules, bdevs) = {
        let registry = registry();
        (
            registry.options,
            registry.examine_list.clone(),
            registry.modules.clone(),
            registry.bdevs.clone(),
        )
    };
    let mut calls = vec![json!({"method": "bdev_set_options", "params": {
        "bdev_io_pool_size": options.bdev_io_pool_size,
        "bdev_io_cache_size": options.bdev_io_cache_size,
        "bdev_auto_examine": options.bdev_auto_examine,
        "iobuf_small_cache_size": options.iobuf_small_cache_size,
        "iobuf_large_cache_size": options.iobuf_large_cache_size,
    }})];
    for name in listed {
        let name = name.to_string_lossy();
        calls.push(json!({"method": "bdev_examine", "params": {"name": name}}));
    }
    for module in modules {
        if let Some(config_json) = module.get().config_json {
            calls.extend(json::capture_array(|w| {
                // SAFETY: the writer is lent for this; on the app thread.
                unsafe { config_json(w) };
            }));
        }
    }
    for bdev in bdevs {
        save_bdev(bdev, &mut calls);
    }
    // Last, so that all is examined when it is done.
    calls.push(json!({"method": "bdev_wait_for_examine"}));
    calls
}

/// On the app thread, where the bdev cannot go meanwhile.
fn save_bdev(device: Bdev, calls: &mut Vec<Value>) {
    if let Some(write_config_json) = device.functions().write_config_json {
        calls.extend(json::capture_array(|w| {
            // SAFETY: the writer is lent for this; the module's function, on the app thread.
            unsafe { write_config_json(device.raw(), w) };
        }));
    }
    let limits = device.record().throttle.get();
    if limits.iter().any(|limit| *limit != 0) {
        let mut params = Map::new();
        params.insert("name".into(), device.name_text().into());
        for (name, limit) in throttle::NAMES.iter().zip(limits) {
            if limit != 0 {
                params.insert((*name).into(), limit.into());
            }
        }
        calls.push(json!({"method": "bdev_set_qos_limit", "params": params}));
    }
    let histogram = device.control().histogram;
    if histogram.enabled {
        let mut params = json!({"name": device.name_text(), "enable": true});
        if let Some(opc) = (histogram.io_type as usize)
            .checked_sub(1)
            .and_then(|index| IO_TYPES.get(index))
        {
            params["opc"] = (*opc).into();
        }
        calls.push(json!({"method": "bdev_enable_histogram", "params": params}));
    }
}
