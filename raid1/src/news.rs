//! What happens to mirrors, as notifications that clients get by `notify_get_notifications`.
//!
//! The context is the mirror's name, or `MIRROR/BASE_BDEV` for what happens to a leg.

use core::ffi::CStr;

use barespdk::notify::Kind;

/// A mirror serves requests.
pub(crate) const ONLINE: &CStr = c"raid1_online";
/// A leg is out.
pub(crate) const LEG_OUT: &CStr = c"raid1_leg_out";
/// A leg is copied to, and not read from.
pub(crate) const LEG_REBUILDING: &CStr = c"raid1_leg_rebuilding";
/// A leg has all that was written, and is read from.
pub(crate) const LEG_IN_SYNC: &CStr = c"raid1_leg_in_sync";
/// Legs that may have differed are equal.
pub(crate) const RESYNCED: &CStr = c"raid1_resynced";
/// A mirror has more blocks.
pub(crate) const GROWN: &CStr = c"raid1_grown";

/// The longest context that SPDK keeps, in bytes.
const CONTEXT_LEN_MAX: usize = 127;

/// Has `notify_get_types` list all kinds. News that nobody can get are no reason not to start.
pub(crate) fn register() {
    for kind in [
        ONLINE,
        LEG_OUT,
        LEG_REBUILDING,
        LEG_IN_SYNC,
        RESYNCED,
        GROWN,
    ] {
        let _ = Kind::register(kind);
    }
}

/// Tells of a mirror.
pub(crate) fn of_mirror(kind: &'static CStr, mirror: &str) {
    send(kind, mirror);
}

/// Tells of a leg.
pub(crate) fn of_leg(kind: &'static CStr, mirror: &str, base: &str) {
    send(kind, &alloc::format!("{mirror}/{base}"));
}

fn send(kind: &'static CStr, context: &str) {
    let mut end = context.len().min(CONTEXT_LEN_MAX);
    while !context.is_char_boundary(end) {
        end -= 1;
    }
    if let Ok(kind) = Kind::register(kind) {
        let _ = kind.send(&context[..end]);
    }
}
