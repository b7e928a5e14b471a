//! Kicks: what rouses a thread that may sleep.

use core::task::Poll;
use std::boxed::Box;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::vec::Vec;

use super::support::{Rig, Task};
use crate::executor::Kick;

#[derive(Default)]
struct Counts {
    kicks: AtomicU32,
    ends: AtomicU32,
}

/// A kick that counts its calls.
fn counting(counts: &Arc<Counts>) -> Kick {
    fn of<'a>(context: *mut ()) -> &'a Arc<Counts> {
        // SAFETY: the box below, which `end` frees last.
        unsafe { &*context.cast::<Arc<Counts>>() }
    }
    Kick {
        context: Box::into_raw(Box::new(Arc::clone(counts))).cast(),
        kick: |context| {
            of(context).kicks.fetch_add(1, Ordering::SeqCst);
        },
        end: |context| {
            of(context).ends.fetch_add(1, Ordering::SeqCst);
            // SAFETY: called once, at the end.
            drop(unsafe { Box::from_raw(context.cast::<Arc<Counts>>()) });
        },
    }
}

#[test]
fn the_first_wake_from_elsewhere_kicks() {
    let counts = Arc::new(Counts::default());
    let rig = Rig::with_kick(Some(counting(&counts)));
    let kicks = || counts.kicks.load(Ordering::SeqCst);
    let wakers = Rc::new(core::cell::RefCell::new(Vec::new()));
    let tasks: Vec<Task> = (0..2)
        .map(|_| {
            let wakers = Rc::clone(&wakers);
            let task = Task::new(&rig, move |cx| {
                wakers.borrow_mut().push(cx.waker().clone());
                Poll::Pending
            });
            task.start();
            task
        })
        .collect();
    let wake_elsewhere = |wakers: Vec<core::task::Waker>| {
        std::thread::scope(|scope| {
            scope.spawn(move || wakers.into_iter().for_each(core::task::Waker::wake));
        });
    };
    // One kick for both: the executor takes all that it finds.
    wake_elsewhere(wakers.take());
    assert_eq!(kicks(), 1);
    rig.run();
    // From its own thread none is needed.
    let here = wakers.take();
    here.iter().for_each(core::task::Waker::wake_by_ref);
    assert_eq!(kicks(), 1);
    rig.run();
    wakers.borrow_mut().clear();
    wake_elsewhere(here);
    assert_eq!(kicks(), 2);
    rig.run();
    // A waker that outlives the executor keeps what is kicked, and kicks no more.
    let late = wakers.take();
    tasks.iter().for_each(Task::cancel);
    rig.run();
    drop(tasks);
    drop(rig);
    assert_eq!(counts.ends.load(Ordering::SeqCst), 0);
    wake_elsewhere(late);
    assert_eq!(kicks(), 2);
    assert_eq!(counts.ends.load(Ordering::SeqCst), 1);
}
