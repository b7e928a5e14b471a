use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::null_mut;

use barespdk_sys::{spdk_poller, spdk_poller_fn};

use super::{State, Thread, current, current_or_log, name_of};
use crate::env::clock;

/// Where a poller is.
///
/// ```text
///   register ──▶ Waiting ◀─────── resume ───────┐
///                 │  ▲  │                        │
///            run  │  │  └─ pause ─▶ Pausing ─▶ Paused     (at its next turn)
///                 ▼  │                 ▲
///                Running ──── pause ───┘
///                 │ unregister within its own function
///                 ▼
///            Unregistered ─▶ freed                        (after the function)
/// ```
///
/// One without a period is freed at its next turn in any case, as the round of turns may be under way;
/// one with a period, or paused, at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PollerState {
    Waiting,
    Running,
    Unregistered,
    Pausing,
    Paused,
}

/// `struct spdk_poller`.
pub(crate) struct Poller {
    function: spdk_poller_fn,
    argument: *mut c_void,
    name: CString,
    id: u64,
    thread: *mut Thread,
    period_ticks: u64,
    state: Cell<PollerState>,
    /// When its turn is, and its place among those of the same time; for those with a period.
    due: Cell<(u64, u64)>,
    /// Whether it is among the timers: not while its function runs.
    queued: Cell<bool>,
    run_count: Cell<u64>,
    busy_count: Cell<u64>,
    /// The count of progress at which it last found nothing to do. For simulations.
    pub(super) idle_at: Cell<u64>,
}

/// A thread's pollers.
pub(crate) struct Pollers {
    /// Without a period. Turns go from the last to the first.
    active: RefCell<Vec<*mut Poller>>,
    /// With a period, by when they are due.
    timed: RefCell<BTreeMap<(u64, u64), *mut Poller>>,
    paused: RefCell<Vec<*mut Poller>>,
    /// When the first timer is due, or `u64::MAX`.
    next_due: Cell<u64>,
    /// Orders timers of the same time as they were queued.
    next_place: Cell<u64>,
    next_id: Cell<u64>,
}

/// Numbers of a poller for statistics.
pub(crate) struct PollerInfo<'a> {
    pub(crate) name: &'a CStr,
    pub(crate) id: u64,
    pub(crate) state: &'static str,
    pub(crate) run_count: u64,
    pub(crate) busy_count: u64,
    pub(crate) period_ticks: u64,
}

impl Poller {
    /// Calls the function.
    fn run(&self) -> c_int {
        self.state.set(PollerState::Running);
        // SAFETY: registered, on its thread. It may unregister this poller, which stays until its
        // state is looked at afterwards.
        let rc = self
            .function
            .map_or(0, |function| unsafe { function(self.argument) });
        self.run_count.set(self.run_count.get() + 1);
        if rc > 0 {
            self.busy_count.set(self.busy_count.get() + 1);
        }
        rc
    }

    pub(crate) fn info(&self) -> PollerInfo<'_> {
        PollerInfo {
            name: &self.name,
            id: self.id,
            state: match self.state.get() {
                PollerState::Waiting => "waiting",
                PollerState::Running => "running",
                PollerState::Unregistered => "unregistered",
                PollerState::Pausing => "pausing",
                PollerState::Paused => "paused",
            },
            run_count: self.run_count.get(),
            busy_count: self.busy_count.get(),
            period_ticks: self.period_ticks,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.state.get() != PollerState::Unregistered
    }
}

/// Frees a poller.
///
/// # Safety
///
/// It is in no list any more, and its function does not run.
unsafe fn free(poller: *mut Poller) {
    // SAFETY: made by `Box::into_raw`, and freed once as the caller promises.
    drop(unsafe { Box::from_raw(poller) });
}

impl Pollers {
    pub(super) fn new() -> Self {
        Self {
            active: RefCell::default(),
            timed: RefCell::default(),
            paused: RefCell::default(),
            next_due: Cell::new(u64::MAX),
            next_place: Cell::new(0),
            next_id: Cell::new(1),
        }
    }

    /// When the first timer is due.
    #[inline]
    pub(crate) fn next_due(&self) -> u64 {
        self.next_due.get()
    }

    /// Number of pollers without a period.
    #[inline]
    pub(crate) fn active_count(&self) -> usize {
        self.active.borrow().len()
    }

    pub(super) fn active_at(&self, index: usize) -> Option<*mut Poller> {
        self.active.borrow().get(index).copied()
    }

    fn update_next_due(&self) {
        let first = self.timed.borrow().first_key_value().map(|(due, _)| due.0);
        self.next_due.set(first.unwrap_or(u64::MAX));
    }

    /// Queues a poller for its first or next turn.
    fn insert(&self, poller: *mut Poller, now: u64) {
        // SAFETY: a live poller of this thread.
        let it = unsafe { &*poller };
        if it.period_ticks == 0 {
            self.active.borrow_mut().push(poller);
            return;
        }
        let due = (now.saturating_add(it.period_ticks), self.next_place.get());
        self.next_place.set(due.1 + 1);
        it.due.set(due);
        it.queued.set(true);
        self.timed.borrow_mut().insert(due, poller);
        self.next_due.set(self.next_due.get().min(due.0));
    }

    /// Takes a poller out of the timers.
    fn remove_timer(&self, it: &Poller) {
        self.timed.borrow_mut().remove(&it.due.get());
        it.queued.set(false);
        self.update_next_due();
    }

    fn remove_paused(&self, poller: *mut Poller) {
        self.paused.borrow_mut().retain(|other| *other != poller);
    }

    /// Gives the active poller at `index` its turn. What its function returned, and whether it is still
    /// there.
    pub(super) fn run_active(&self, index: usize) -> (c_int, bool) {
        let Some(poller) = self.active_at(index) else {
            return (0, false);
        };
        // SAFETY: a poller in this list is alive.
        let it = unsafe { &*poller };
        let rc = match it.state.get() {
            PollerState::Waiting => it.run(),
            _ => 0,
        };
        match it.state.get() {
            PollerState::Unregistered => {
                // Those behind it have had their turn; none is added before it.
                self.active.borrow_mut().remove(index);
                // SAFETY: in no list now, and its function has returned.
                unsafe { free(poller) };
                return (rc, false);
            }
            PollerState::Pausing => {
                self.active.borrow_mut().remove(index);
                it.state.set(PollerState::Paused);
                self.paused.borrow_mut().push(poller);
                return (rc, false);
            }
            PollerState::Running => it.state.set(PollerState::Waiting),
            PollerState::Waiting | PollerState::Paused => {}
        }
        (rc, true)
    }

    /// Gives the first timer its turn if it is due.
    pub(super) fn run_due(&self, now: u64) -> Option<c_int> {
        if now < self.next_due.get() {
            return None;
        }
        let poller = self
            .timed
            .borrow_mut()
            .pop_first()
            .map(|(_, poller)| poller);
        self.update_next_due();
        let poller = poller?;
        // SAFETY: a poller among the timers is alive.
        let it = unsafe { &*poller };
        it.queued.set(false);
        let rc = match it.state.get() {
            PollerState::Waiting => it.run(),
            _ => 0,
        };
        match it.state.get() {
            // SAFETY: in no list, and its function has returned.
            PollerState::Unregistered => unsafe { free(poller) },
            PollerState::Pausing => {
                it.state.set(PollerState::Paused);
                self.paused.borrow_mut().push(poller);
            }
            PollerState::Running | PollerState::Waiting => {
                it.state.set(PollerState::Waiting);
                self.insert(poller, now);
            }
            PollerState::Paused => {}
        }
        Some(rc)
    }

    /// Calls `f` for each active, each timed, each paused poller, in that order, with its kind's number.
    pub(crate) fn each(&self, mut f: impl FnMut(usize, &Poller)) {
        let all = [
            self.active.borrow().clone(),
            self.timed.borrow().values().copied().collect(),
            self.paused.borrow().clone(),
        ];
        for (kind, pollers) in all.iter().enumerate() {
            for poller in pollers {
                // SAFETY: in a list, so alive; `f` gets no way to free one.
                f(kind, unsafe { &**poller });
            }
        }
    }

    /// Frees all. At the end of the thread.
    pub(super) fn clear(&self) {
        let timed = std::mem::take(&mut *self.timed.borrow_mut());
        let all = self.active.take().into_iter().chain(timed.into_values());
        for poller in all.chain(self.paused.take()) {
            // SAFETY: alive, and out of the lists; no function runs at the end of the thread.
            unsafe { free(poller) };
        }
        self.next_due.set(u64::MAX);
    }
}

/// The poller and its thread, if that is the current one; otherwise an error is logged.
unsafe fn own<'a>(poller: *mut spdk_poller, what: &str) -> Option<(&'a Poller, &'a Thread)> {
    // SAFETY: a poller of the caller that was not unregistered.
    let it = unsafe { &*poller.cast::<Poller>() };
    let thread = current_or_log(what)?;
    if it.thread != current() {
        // SAFETY: a thread with pollers is alive.
        let right = unsafe { &*it.thread };
        error_log!(
            "{what}({}) called from wrong thread {}:{} (should be {}:{})\n",
            it.name.to_string_lossy(),
            thread.name.to_string_lossy(),
            thread.id,
            right.name.to_string_lossy(),
            right.id
        );
        return None;
    }
    Some((it, thread))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_poller_register_named(
    fn_: spdk_poller_fn,
    arg: *mut c_void,
    period_microseconds: u64,
    name: *const c_char,
) -> *mut spdk_poller {
    let Some(thread) = current_or_log("spdk_poller_register") else {
        return null_mut();
    };
    if thread.state() == State::Exited {
        error_log!(
            "thread {} is marked as exited\n",
            thread.name.to_string_lossy()
        );
        return null_mut();
    }
    let id = thread.pollers.next_id.get();
    thread.pollers.next_id.set(id + 1);
    let poller = Box::into_raw(Box::new(Poller {
        function: fn_,
        argument: arg,
        // SAFETY: as the ABI has it.
        name: unsafe { name_of(name, || format!("poller {id}")) },
        id,
        thread: current(),
        period_ticks: period_microseconds.saturating_mul(clock::HZ / 1_000_000),
        state: Cell::new(PollerState::Waiting),
        due: Cell::default(),
        queued: Cell::new(false),
        run_count: Cell::new(0),
        busy_count: Cell::new(0),
        idle_at: Cell::new(u64::MAX),
    }));
    thread.pollers.insert(poller, clock::now());
    poller.cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_poller_unregister(ppoller: *mut *mut spdk_poller) {
    // SAFETY: the caller's place, with NULL or a poller in it.
    let poller = unsafe { std::mem::replace(&mut *ppoller, null_mut()) };
    if poller.is_null() {
        return;
    }
    // SAFETY: a poller that was not unregistered.
    let Some((it, thread)) = (unsafe { own(poller, "spdk_poller_unregister") }) else {
        return;
    };
    let poller: *mut Poller = poller.cast();
    let was = it.state.replace(PollerState::Unregistered);
    if was == PollerState::Paused {
        thread.pollers.remove_paused(poller);
    } else if it.queued.get() {
        thread.pollers.remove_timer(it);
    } else {
        // Running, or among the active ones: its turn frees it.
        return;
    }
    // SAFETY: in no list now; a poller that is paused or queued does not run.
    unsafe { free(poller) };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_poller_pause(poller: *mut spdk_poller) {
    // SAFETY: a poller of the caller.
    let Some((it, _)) = (unsafe { own(poller, "spdk_poller_pause") }) else {
        return;
    };
    if matches!(it.state.get(), PollerState::Running | PollerState::Waiting) {
        it.state.set(PollerState::Pausing);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_poller_resume(poller: *mut spdk_poller) {
    // SAFETY: a poller of the caller.
    let Some((it, thread)) = (unsafe { own(poller, "spdk_poller_resume") }) else {
        return;
    };
    match it.state.get() {
        PollerState::Paused => {
            thread.pollers.remove_paused(poller.cast());
            it.state.set(PollerState::Waiting);
            it.idle_at.set(u64::MAX);
            thread.pollers.insert(poller.cast(), clock::now());
        }
        PollerState::Pausing => it.state.set(PollerState::Waiting),
        _ => {}
    }
}

same_as_declared!(
    spdk_poller_register_named,
    spdk_poller_unregister,
    spdk_poller_pause,
    spdk_poller_resume,
);
