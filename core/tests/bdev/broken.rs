//! What a module does at the wrong time.

use std::sync::Mutex;

use barespdk::bdev::{IoType, Status};
use barespdk::errno::Errno;
use barespdk::module::{Device, Driver, Module, Options, Request};

use crate::lab::{LABS, Lab, LabDriver, through};
use crate::support::{Outcome, check_eq};

/// Another module of the same name as [`LABS`].
static SECOND: Module<LabDriver> = Module::new();

/// One whose requests are larger than any of SPDK's modules has set aside.
pub(crate) struct Large;

pub(crate) struct LargeDevice;

impl Device for LargeDevice {
    type Channel = ();

    fn open_channel(&self) -> Result<(), Errno> {
        Ok(())
    }

    fn supports(&self, _: IoType) -> bool {
        true
    }

    async fn submit<'a>(&'a self, (): &'a (), request: Request<'a>) -> Status {
        let room = [1_u8; 1 << 16];
        let _ = request.buffer().await;
        if std::hint::black_box(&room).iter().all(|byte| *byte == 1) {
            Status::Success
        } else {
            Status::Failed
        }
    }
}

impl Driver for Large {
    type Device = LargeDevice;
    const NAME: &'static std::ffi::CStr = c"large";
}

pub(crate) static LARGE: Module<Large> = Module::new();

pub(crate) fn idle() -> Lab {
    Lab::new(through)
}

static BEFORE: Mutex<Vec<Errno>> = Mutex::new(Vec::new());

pub(crate) fn before_spdk() {
    let mut errors = BEFORE.lock().unwrap();
    let register = || {
        let refused = LABS.register("early", c"lab", &Options::new(512, 8), idle());
        refused.err().map(|(errno, _)| errno)
    };
    errors.extend(register());
    let _ = LABS.add();
    // In the list, but SPDK has not started it.
    errors.extend(register());
    errors.extend(LABS.add().err());
    errors.extend(SECOND.add().err());
}

/// Outside of SPDK there is no app thread, and no thread is the one that there is not.
pub(crate) async fn what_came_before_spdk() -> Outcome {
    let errors = BEFORE.lock().unwrap().clone();
    check_eq!(
        errors,
        [Errno::ENODEV, Errno::ENODEV, Errno::EEXIST, Errno::EEXIST]
    );
    let options = Options::new(512, 8);
    let second = SECOND.register("second", c"lab", &options, idle());
    check_eq!(second.err().map(|(errno, _)| errno), Some(Errno::ENODEV));
    Ok(())
}
