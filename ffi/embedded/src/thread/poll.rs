use std::ffi::c_int;

use super::message::BATCH;
use super::{CURRENT, PROGRESS, State, Stats, Thread, note_progress};
use crate::env::clock;

/// Polls a thread once: messages, pollers, timers that are due. `now` is the time in ticks. Returns a
/// positive value if there was work, 0 if not, or a negative one if all pollers gave such.
///
/// # Safety
///
/// `thread` is alive, and no other OS thread polls it.
pub(crate) unsafe fn poll(thread: *mut Thread, now: u64) -> c_int {
    let previous = CURRENT.replace(thread);
    // SAFETY: alive, as the caller promises; nothing that runs here destroys it.
    let it = unsafe { &*thread };
    let mut rc = c_int::from(it.run_messages(BATCH));
    let pollers = it.pollers();
    // From the last to the first, so that those added meanwhile wait for the next round.
    for index in (0..pollers.active_count()).rev() {
        rc = rc.max(pollers.run_active(index).0);
    }
    while let Some(timer_rc) = pollers.run_due(now) {
        rc = rc.max(timer_rc);
    }
    leave(it, now, rc);
    CURRENT.set(previous);
    rc
}

/// Accounts for a poll, and lets an exiting thread go on with that.
fn leave(it: &Thread, now: u64, rc: c_int) {
    if it.state() == State::Exiting {
        it.try_exit(now);
    }
    let end = clock::now();
    let passed = end.saturating_sub(now);
    let stats = it.stats.get();
    it.stats.set(match rc {
        0 => Stats {
            idle: stats.idle + passed,
            ..stats
        },
        1.. => Stats {
            busy: stats.busy + passed,
            ..stats
        },
        _ => stats,
    });
    it.last_ticks.set(end);
}

/// Does one thing on a thread that may have something to do: a message, a timer or a poller, as `choose`
/// says, which gives a number below its argument. For simulations. Whether anything was done.
///
/// # Safety
///
/// As [`poll`].
pub(crate) unsafe fn poll_some(
    thread: *mut Thread,
    now: u64,
    choose: &mut impl FnMut(usize) -> usize,
) -> bool {
    // SAFETY: alive, as the caller promises; nothing that runs here destroys it.
    let it = unsafe { &*thread };
    let progress = PROGRESS.get();
    let pollers = it.pollers();
    let has_messages = it.has_messages();
    let timer_due = pollers.next_due() <= now;
    let active = pollers.active_count();
    // A poller that found nothing finds nothing until something has happened.
    let fresh = |index: &usize| {
        let poller = pollers.active_at(*index);
        // SAFETY: in the list, so alive.
        poller.is_some_and(|poller| unsafe { (*poller).idle_at.get() } != progress)
    };
    let fresh_count = (0..active).filter(fresh).count();
    let count = usize::from(has_messages) + usize::from(timer_due) + fresh_count;
    let exiting = it.state() == State::Exiting;
    if count == 0 && !exiting {
        return false;
    }
    let previous = CURRENT.replace(thread);
    let mut rc = 0;
    if count > 0 {
        let mut chosen = choose(count);
        if chosen < fresh_count {
            if let Some(index) = (0..active).filter(fresh).nth(chosen) {
                let (poller_rc, stays) = pollers.run_active(index);
                rc = poller_rc;
                if poller_rc <= 0 && stays {
                    if let Some(poller) = pollers.active_at(index) {
                        // SAFETY: still in the list.
                        unsafe { (*poller).idle_at.set(PROGRESS.get()) };
                    }
                } else {
                    note_progress();
                }
            }
        } else {
            chosen -= fresh_count;
            if has_messages && chosen == 0 {
                rc = c_int::from(it.run_messages(1));
            } else if let Some(timer_rc) = pollers.run_due(now) {
                rc = timer_rc;
                note_progress();
            }
        }
    }
    leave(it, now, rc);
    CURRENT.set(previous);
    count > 0 || it.state() == State::Exited
}
