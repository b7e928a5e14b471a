//! One base bdev of a mirror.

use alloc::string::{String, ToString};

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
}

impl Leg {
    /// Whether it is this bdev, by its own name.
    pub(crate) fn is(&self, bdev: &str) -> bool {
        self.desc.name() == bdev
    }

    /// Opens a base bdev for a mirror. When it is about to go, it is taken out of that mirror. On the
    /// app thread.
    ///
    /// # Errors
    /// `ENODEV` where there is none of this name, `EPERM` where another module has claimed it.
    pub(crate) fn open(name: &str, mirror: &str) -> Result<Self, Errno> {
        let (mirror, base) = (mirror.to_string(), name.to_string());
        let desc = Desc::open(name, Access::Write, move |event| match event {
            Event::Removed => keeper::on_removed(&mirror, &base),
            Event::Resized => keeper::on_resized(&mirror),
            Event::MediaManagement | Event::Other(_) => {}
        })?;
        Ok(Self {
            name: name.to_string(),
            uuid: desc.uuid(),
            desc,
        })
    }
}
