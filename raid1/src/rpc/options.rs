//! `raid1_set_options {assemble_timeout_s?, rebuild_limit_mib_s?}`: what holds for all mirrors.

use core::sync::atomic::{AtomicU32, Ordering};

use barespdk::json::ArrayWriter;
use barespdk::rpc::{Params, RpcError};

use crate::keeper::LIMIT_MIB_S;

/// An option: its name, and what it can be.
struct Setting {
    name: &'static str,
    default: u32,
    max: u32,
    value: &'static AtomicU32,
}

impl Setting {
    fn get(&self) -> u32 {
        self.value.load(Ordering::Relaxed)
    }

    /// The value that was asked for, if any.
    fn asked(&self, params: &mut Params<'_>) -> Result<Option<u32>, RpcError> {
        match params.optional::<u64>(self.name)? {
            None => Ok(None),
            Some(value) => match u32::try_from(value) {
                Ok(value) if value <= self.max => Ok(Some(value)),
                _ => Err(RpcError::invalid_param(
                    self.name,
                    format_args!("expected 0 to {}, found {value}", self.max),
                )),
            },
        }
    }
}

const ASSEMBLE_TIMEOUT_S: u32 = 30;

static ASSEMBLE_TIMEOUT: AtomicU32 = AtomicU32::new(ASSEMBLE_TIMEOUT_S);

static ALL: [Setting; 2] = [
    // How long an array waits for legs that are missing before it starts without them; 0: for ever.
    Setting {
        name: "assemble_timeout_s",
        default: ASSEMBLE_TIMEOUT_S,
        max: 86_400,
        value: &ASSEMBLE_TIMEOUT,
    },
    // How much one rebuild, or one resync, may copy in a second; 0: as much as it can.
    Setting {
        name: "rebuild_limit_mib_s",
        default: 0,
        max: 1 << 20,
        value: &LIMIT_MIB_S,
    },
];

pub(crate) fn assemble_timeout_s() -> u32 {
    ASSEMBLE_TIMEOUT.load(Ordering::Relaxed)
}

/// Sets those options that are given.
pub(super) fn set_options(mut params: Params<'_>) -> Result<bool, RpcError> {
    let mut asked = [None; ALL.len()];
    for (asked, setting) in asked.iter_mut().zip(&ALL) {
        *asked = setting.asked(&mut params)?;
    }
    params.finish()?;
    for (asked, setting) in asked.iter().zip(&ALL) {
        if let Some(value) = asked {
            setting.value.store(*value, Ordering::Relaxed);
        }
    }
    Ok(true)
}

/// Writes the call that sets the options which are not as they begin.
pub(crate) fn write_config(calls: &mut ArrayWriter<'_>) {
    let changed = || ALL.iter().filter(|option| option.get() != option.default);
    if changed().next().is_none() {
        return;
    }
    calls.object(|call| {
        call.field("method", "raid1_set_options");
        call.object("params", |params| {
            changed().for_each(|option| params.field(option.name, &option.get()));
        });
    });
}
