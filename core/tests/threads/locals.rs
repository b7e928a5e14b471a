//! Storage of each thread.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex};

use barespdk::errno::Errno;
use barespdk::local::LocalKey;
use barespdk::thread::{self, Thread};

use crate::{Outcome, check_eq, end, other_core};

pub(crate) async fn each_thread_has_its_own() -> Outcome {
    static COUNT: LocalKey<Cell<u32>> = LocalKey::new(|| Cell::new(100));
    fn add() -> Result<u32, Errno> {
        COUNT.with(|count| {
            count.set(count.get() + 1);
            count.get()
        })
    }
    check_eq!(add(), Ok(101));
    check_eq!(add(), Ok(102));
    // Two threads whose anchors want the same place in the runtime's table of 128.
    let first = other_core("first")?;
    check_eq!(first.call(add).await?, Ok(101));
    let second = loop {
        let thread = other_core("second")?;
        if thread.id() % 128 == first.id() % 128 {
            break thread;
        }
        end(&thread).await?;
    };
    for expected in [101, 102, 103] {
        check_eq!(second.call(add).await?, Ok(expected));
        check_eq!(first.call(add).await?, Ok(expected + 1));
    }
    end(&first).await?;
    check_eq!(second.call(add).await?, Ok(104));
    end(&second).await?;
    check_eq!(add(), Ok(103));
    Ok(())
}

// Peer fault: "thread-local keys with the same slot and different types confuse types".
pub(crate) async fn types_do_not_mix() -> Outcome {
    static NUMBER: LocalKey<u64> = LocalKey::new(|| 0x4142_4344);
    static TEXT: LocalKey<String> = LocalKey::new(|| String::from("text"));
    static SAME: LocalKey<u64> = LocalKey::new(|| 5);
    check_eq!(NUMBER.with(|number| *number), Ok(0x4142_4344));
    check_eq!(TEXT.with(Clone::clone), Ok(String::from("text")));
    check_eq!(SAME.with(|number| *number), Ok(5));
    check_eq!(NUMBER.with(|number| *number), Ok(0x4142_4344));
    Ok(())
}

// Peer fault: "`get` then `set` dangles".
pub(crate) async fn use_within_use() -> Outcome {
    static TEXT: LocalKey<RefCell<String>> = LocalKey::new(|| RefCell::new(String::from("old")));
    static OTHER: LocalKey<u8> = LocalKey::new(|| 1);
    static CIRCLE: LocalKey<Option<Errno>> = LocalKey::new(|| CIRCLE.with(|_| ()).err());
    let seen = TEXT.with(|outer| {
        let held = outer.borrow().clone();
        let _ = OTHER.with(|_| TEXT.with(|inner| *inner.borrow_mut() = String::from("new")));
        (held, outer.borrow().clone())
    });
    check_eq!(seen, Ok((String::from("old"), String::from("new"))));
    check_eq!(CIRCLE.with(|errno| *errno), Ok(Some(Errno::EDEADLK)));
    Ok(())
}

pub(crate) async fn dropped_at_exit() -> Outcome {
    type Seen = Arc<Mutex<Vec<(Option<u64>, Result<(), Errno>)>>>;
    struct OnDrop(Seen);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            // A destructor finds the keys gone; it does not bring them back.
            self.0
                .lock()
                .unwrap()
                .push((thread::current_id(), KEY.with(|_| ())));
        }
    }
    static KEY: LocalKey<RefCell<Vec<OnDrop>>> = LocalKey::new(|| RefCell::new(Vec::new()));
    let there = other_core("drop")?;
    let seen = Seen::default();
    let value = OnDrop(Arc::clone(&seen));
    check_eq!(
        there
            .call(|| KEY.with(|values| values.borrow_mut().push(value)))
            .await?,
        Ok(())
    );
    end(&there).await?;
    check_eq!(
        *seen.lock().unwrap(),
        [(Some(there.id()), Err(Errno::ESHUTDOWN))]
    );
    Ok(())
}

pub(crate) async fn outside_of_spdk_there_are_none() -> Outcome {
    static KEY: LocalKey<u8> = LocalKey::new(|| 1);
    let seen = std::thread::spawn(|| (KEY.with(|value| *value), Thread::current())).join();
    check_eq!(seen.map_err(|_| Errno::EIO)?, (Err(Errno::EPERM), None));
    Ok(())
}
