//! Types of I/O that few bdevs have: seeks, zones, NVMe commands, aborts.

use std::sync::atomic::{AtomicU64, Ordering};

use barespdk::bdev::{
    Access, Channel, Data, Desc, IoError, IoType, NvmeCommand, Status, ZoneAction, ZoneInfo,
    ZoneKind, ZoneState,
};
use barespdk::errno::Errno;
use barespdk::module::{Options, Request, RequestId, Zones};

use crate::lab::{Bench, Lab, Serving, status};
use crate::support::{Outcome, check, check_eq, disk, filled, open, poll_once, reads, turn};

/// Blocks 100 to 199 hold data, and no others do.
pub(crate) async fn seeks() -> Outcome {
    fn seek<'a>(_: &'a Lab, _: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            let from = request.offset_blocks();
            let found = match request.io_type() {
                IoType::SEEK_DATA if from < 200 => request.found(Some(from.max(100))),
                IoType::SEEK_HOLE if (100..200).contains(&from) => request.found(Some(200)),
                IoType::SEEK_HOLE => request.found(Some(from)),
                // Nothing said is nothing found.
                IoType::SEEK_DATA => Ok(()),
                _ => match request.found(None) {
                    Err(Errno::EINVAL) => return Status::Failed,
                    _ => Ok(()),
                },
            };
            found.map_or(Status::Failed, |()| Status::Success)
        })
    }
    let lab = Lab::new(seek).make("seek", 512, 300)?;
    {
        let disk = disk("seek")?;
        for (from, data, hole) in [
            (0, Some(100), Some(0)),
            (100, Some(100), Some(200)),
            (199, Some(199), Some(200)),
            (200, None, Some(200)),
            (299, None, Some(299)),
        ] {
            check_eq!(disk.seek_data(from).await, Ok(data));
            check_eq!(disk.seek_hole(from).await, Ok(hole));
        }
        check!(disk.flush(0, 1).await.is_err());
    }
    lab.unregister().await?;
    Ok(())
}

/// The write pointer of the second zone, in blocks from its begin.
static WRITTEN: AtomicU64 = AtomicU64::new(0);
const ZONE: u64 = 1024;

/// Zones on memory.
fn zoned<'a>(lab: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
    Box::pin(async move {
        let lower = &bench.lowers[0];
        match request.io_type() {
            IoType::ZONE_APPEND => {
                let at = request.offset_blocks()
                    + WRITTEN.fetch_add(request.num_blocks(), Ordering::SeqCst);
                let mut passed = match request.fan_out() {
                    Ok(passed) => passed,
                    Err(_) => return Status::Failed,
                };
                passed.write(lower, at);
                if !(&mut passed).await.is_empty() || request.appended(at).is_err() {
                    return Status::Failed;
                }
                Status::Success
            }
            IoType::ZONE_MANAGEMENT => match (request.zone_action(), request.zones()) {
                (Some(action), Some((zone_id, 1))) => {
                    lab.note(format!("{action:?} {zone_id}"));
                    Status::Success
                }
                _ => Status::Failed,
            },
            IoType::GET_ZONE_INFO => {
                let Some((first, count)) = request.zones() else {
                    return Status::Failed;
                };
                for index in 0..count {
                    let zone_id = first + u64::from(index) * ZONE;
                    let zone = ZoneInfo {
                        zone_id,
                        write_pointer: zone_id + WRITTEN.load(Ordering::SeqCst),
                        capacity: ZONE - 1,
                        state: if index == 0 {
                            ZoneState::Full
                        } else {
                            ZoneState::Other(77)
                        },
                        kind: ZoneKind::Sequential,
                    };
                    if request.report_zone(index, &zone).is_err()
                        || request.report_zone(count, &zone) != Err(Errno::EINVAL)
                    {
                        return Status::Failed;
                    }
                }
                Status::Success
            }
            IoType::READ => status(lower.read(&request.data(), request.offset_blocks()).await),
            _ => Status::Failed,
        }
    })
}

fn zoned_options() -> Options {
    let mut options = Options::new(512, 8 * ZONE);
    options.zones = Some(Zones {
        size: ZONE,
        max_append_size: 16,
        max_open: 4,
        max_active: 6,
        optimal_open: 2,
    });
    options
}

pub(crate) async fn zones() -> Outcome {
    let lab = Lab::new(zoned)
        .over(open("Malloc")?)
        .make_with("zoned", &zoned_options())?;
    {
        let disk = disk("zoned")?;
        let desc = disk.desc();
        check!(desc.is_zoned());
        check_eq!((desc.zone_size(), desc.max_zone_append_size()), (ZONE, 16));
        check_eq!((desc.max_open_zones(), desc.max_active_zones()), (4, 6));
        check_eq!(desc.optimal_open_zones(), 2);
        WRITTEN.store(0, Ordering::SeqCst);
        for (count, byte) in [(1, 11), (16, 12), (2, 13)] {
            let data = Data::from_buffer(filled(count * 512, byte)?);
            let wanted = ZONE + WRITTEN.load(Ordering::SeqCst);
            // Dropped ones are done all the same.
            let at = disk.zone_append(&data, ZONE).await;
            check_eq!(at, Ok(wanted));
            check!(reads(&disk, wanted, count * 512, byte).await?);
        }
        drop(disk.zone_append(&Data::from_buffer(filled(512, 14)?), ZONE));
        let zones = disk.zone_info(ZONE, 7).await?;
        check_eq!(zones.len(), 7);
        check_eq!((zones[0].zone_id, zones[0].state), (ZONE, ZoneState::Full));
        check_eq!(
            (zones[6].zone_id, zones[6].state),
            (7 * ZONE, ZoneState::Other(77))
        );
        check_eq!(
            (zones[1].capacity, zones[1].kind),
            (ZONE - 1, ZoneKind::Sequential)
        );
        check_eq!(zones[0].write_pointer, ZONE + 20);
        drop(disk.zone_info(0, 8));
        for action in [
            ZoneAction::Open,
            ZoneAction::Close,
            ZoneAction::Finish,
            ZoneAction::Reset,
            ZoneAction::Offline,
        ] {
            check_eq!(disk.zone_management(3 * ZONE, action).await, Ok(()));
        }
        let wanted =
            ["Open", "Close", "Finish", "Reset", "Offline"].map(|name| format!("{name} 3072"));
        check_eq!(lab.device().notes(), wanted);
    }
    lab.unregister().await?;
    Ok(())
}

/// SPDK itself would take all of these.
pub(crate) async fn zones_refused() -> Outcome {
    let lab = Lab::new(zoned)
        .over(open("Malloc")?)
        .make_with("zoned", &zoned_options())?;
    let refused = |errno| IoError::Submit(errno);
    {
        let disk = disk("zoned")?;
        for (zone_id, count) in [
            (1, 1),
            (0, 0),
            (0, 9),
            (8 * ZONE, 1),
            (u64::MAX - ZONE + 1, 1),
            (0, u32::MAX),
        ] {
            check_eq!(
                disk.zone_info(zone_id, count).await,
                Err(refused(Errno::EINVAL))
            );
        }
        let (one, many) = (filled(512, 1)?, filled(17 * 512, 1)?);
        let (one, many) = (Data::from_buffer(one), Data::from_buffer(many));
        check_eq!(disk.zone_append(&one, 5).await, Err(refused(Errno::EINVAL)));
        check_eq!(
            disk.zone_append(&many, 0).await,
            Err(refused(Errno::EINVAL))
        );
        check_eq!(
            disk.zone_append(&one.slice(0..100)?, 0).await,
            Err(refused(Errno::EINVAL))
        );
        let reader = Channel::new(&Desc::open("zoned", Access::Read, |_| ())?)?;
        let denied = refused(Errno::EBADF);
        check_eq!(reader.zone_append(&one, 0).await, Err(denied));
        check_eq!(
            reader.zone_management(0, ZoneAction::Reset).await,
            Err(denied)
        );
        check_eq!(reader.zone_info(0, 8).await.map(|zones| zones.len()), Ok(8));
        let plain = crate::support::disk("Malloc")?;
        let no_zones = refused(Errno::ENOTSUP);
        check_eq!(plain.zone_append(&one, 0).await, Err(no_zones));
        check_eq!(plain.zone_info(0, 1).await, Err(no_zones));
        check_eq!(
            plain.zone_management(0, ZoneAction::Reset).await,
            Err(no_zones)
        );
    }
    lab.unregister().await?;
    Ok(())
}

/// Commands that move data in both directions, and one that fails; served, and passed on by a bdev
/// above.
pub(crate) async fn nvme_commands() -> Outcome {
    fn controller<'a>(lab: &'a Lab, _: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            let Some(command) = request.nvme_command() else {
                return Status::Failed;
            };
            let data = request.data();
            let io_type = request.io_type().name();
            lab.note(format!(
                "{io_type} {:#x} {}",
                command.opcode(),
                command.dwords[10]
            ));
            let mut memory = vec![0; data.len() as usize];
            let moved = if command.reads() {
                memory.fill(command.dwords[10] as u8);
                data.copy_from(&memory)
            } else {
                let seen = data.copy_to(&mut memory);
                // It is its submitter's.
                if data.copy_from(&memory) != Err(Errno::EPERM) {
                    return Status::Failed;
                }
                seen
            };
            if moved.is_err() || memory.iter().any(|byte| *byte != command.dwords[10] as u8) {
                return Status::Nvme {
                    cdw0: 5,
                    sct: 1,
                    sc: 0x80,
                };
            }
            Status::Nvme {
                cdw0: 0xabcd_0000 + command.nsid(),
                sct: 0,
                sc: 0,
            }
        })
    }
    fn above<'a>(_: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            match request.pass_on_nvme(&bench.lowers[0]).await.result {
                Ok(cdw0) => Status::Nvme {
                    cdw0,
                    sct: 0,
                    sc: 0,
                },
                Err(error) => error.status(),
            }
        })
    }
    let lab = Lab::new(controller).make("controller", 512, 8192)?;
    let upper = Lab::new(above)
        .over(open("controller")?)
        .make("above", 512, 8192)?;
    let other = Lab::new(above)
        .over(open("controller")?)
        .make("other", 4096, 1024)?;
    for name in ["controller", "above"] {
        let disk = disk(name)?;
        let mut reading = NvmeCommand::new(0x02, 3);
        reading.dwords[10] = 0x5a;
        let mut writing = NvmeCommand::new(0x01, 4);
        writing.dwords[10] = 0x77;
        // SAFETY: the bdev moves what the buffer holds.
        let done = unsafe { disk.nvme_io(&reading, Some(filled(4096, 0)?), None) }.await;
        check_eq!(done.result, Ok(0xabcd_0003));
        check!(
            done.data
                .is_some_and(|data| data.iter().all(|byte| *byte == 0x5a))
        );
        // SAFETY: as above.
        let done = unsafe { disk.nvme_admin(&writing, Some(filled(512, 0x77)?)) }.await;
        check_eq!(done.result, Ok(0xabcd_0004));
        check!(done.data.is_some());
        // SAFETY: as above.
        let done =
            unsafe { disk.nvme_io(&writing, Some(filled(512, 0x78)?), Some(filled(64, 1)?)) }.await;
        let failed = IoError::Failed(Status::Nvme {
            cdw0: 5,
            sct: 1,
            sc: 0x80,
        });
        check_eq!(done.result, Err(failed));
        check!(done.data.is_some() && done.metadata.is_some());
        // SAFETY: as above. Without data.
        let done = unsafe { disk.nvme_admin(&NvmeCommand::new(0x0c, 9), None) }.await;
        check_eq!(done.result, Ok(0xabcd_0009));
        // SAFETY: as above. Nobody waits for it; the buffer stays as long as it must.
        drop(unsafe { disk.nvme_io(&reading, Some(filled(4096, 0)?), None) });
        turn().await;
    }
    let wanted = [
        "nvme_io 0x2 90",
        "nvme_admin 0x1 119",
        "nvme_io_md 0x1 119",
        "nvme_admin 0xc 0",
    ];
    check_eq!(lab.device().notes()[..4], wanted);
    check_eq!(lab.device().notes()[5..9], wanted);
    {
        let disk = disk("other")?;
        let command = NvmeCommand::new(0x02, 1);
        // SAFETY: as above.
        let done = unsafe { disk.nvme_io(&command, Some(filled(4096, 0)?), None) }.await;
        check_eq!(done.result, Err(IoError::Failed(Status::Failed)));
        let malloc = crate::support::disk("Malloc")?;
        // SAFETY: as above.
        let done = unsafe { malloc.nvme_admin(&command, Some(filled(512, 0)?)) }.await;
        check_eq!(done.result, Err(IoError::Submit(Errno::ENOTSUP)));
        check!(done.data.is_some());
        let reader = Channel::new(&Desc::open("controller", Access::Read, |_| ())?)?;
        // SAFETY: as above.
        let done = unsafe { reader.nvme_io(&command, None, None) }.await;
        check_eq!(done.result, Err(IoError::Submit(Errno::EBADF)));
    }
    other.unregister().await?;
    upper.unregister().await?;
    lab.unregister().await?;
    Ok(())
}

/// A device that can give up what it has in flight.
pub(crate) async fn a_request_aborts_another() -> Outcome {
    thread_local! {
        static GIVEN_UP: std::cell::Cell<Option<RequestId>> = const { std::cell::Cell::new(None) };
    }
    fn serve<'a>(lab: &'a Lab, _: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            if let Some(target) = request.abort_target() {
                GIVEN_UP.set(Some(target));
                return Status::Success;
            }
            lab.passed.add();
            let given_up = std::future::poll_fn(|cx| {
                if GIVEN_UP.get() == Some(request.id()) {
                    return std::task::Poll::Ready(true);
                }
                if lab.open.load(Ordering::SeqCst) {
                    return std::task::Poll::Ready(false);
                }
                cx.waker().wake_by_ref();
                std::task::Poll::Pending
            });
            if given_up.await {
                Status::Aborted
            } else {
                Status::Success
            }
        })
    }
    let lab = Lab::new(serve).make("aborting", 512, 8192)?;
    {
        let disk = disk("aborting")?;
        let (mut first, second) = (disk.flush(0, 1), disk.flush(0, 1));
        turn().await;
        check!(poll_once(&mut first).await.is_pending());
        check_eq!(disk.abort(&first).await, Ok(()));
        check_eq!(first.await, Err(IoError::Failed(Status::Aborted)));
        lab.device().let_go();
        check_eq!(second.await, Ok(()));
        // Over, so not to be aborted.
        let done = disk.flush(0, 1);
        turn().await;
        turn().await;
        check!(disk.abort(&done).await.is_err());
        drop(done);
    }
    lab.unregister().await?;
    Ok(())
}
