//! One base bdev of a mirror.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use barespdk::bdev::{Access, Desc, Event};
use barespdk::errno::Errno;
use barespdk::uuid::Uuid;

use crate::keeper;

/// A base bdev, open and claimed as long as it is part of its mirror.
#[derive(Clone, Debug)]
pub(crate) struct Leg {
    /// The name, or the alias, that the mirror was told.
    pub(crate) name: String,
    pub(crate) uuid: Uuid,
    pub(crate) desc: Desc,
    /// It is about to go.
    is_removed: Arc<AtomicBool>,
}

impl Leg {
    /// Whether it is this bdev, by its own name.
    pub(crate) fn is(&self, bdev: &str) -> bool {
        self.desc.name() == bdev
    }

    /// Whether it is about to go. Who makes it part of a mirror asks after that is done: what was told
    /// before found no mirror that it concerns.
    pub(crate) fn is_removed(&self) -> bool {
        self.is_removed.load(Ordering::Relaxed)
    }

    /// Opens a base bdev for a mirror. When it is about to go, it is taken out of that mirror. On the
    /// app thread.
    ///
    /// # Errors
    /// `ENODEV` where there is none of this name, `EPERM` where another module has claimed it.
    pub(crate) fn open(name: &str, mirror: &str) -> Result<Self, Errno> {
        let (mirror, base) = (mirror.to_string(), name.to_string());
        let is_removed = Arc::new(AtomicBool::new(false));
        let removed = Arc::clone(&is_removed);
        let desc = Desc::open(name, Access::Write, move |event| match event {
            Event::Removed => {
                removed.store(true, Ordering::Relaxed);
                keeper::on_removed(&mirror, &base);
            }
            Event::Resized => keeper::on_resized(&mirror),
            Event::MediaManagement | Event::Other(_) => {}
        })?;
        Ok(Self {
            name: name.to_string(),
            uuid: desc.uuid(),
            desc,
            is_removed,
        })
    }
}
