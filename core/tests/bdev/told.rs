//! Devices that want to be told of what they have passed on.

use barespdk::bdev::{IoError, IoType, Status};
use barespdk::errno::Errno;
use barespdk::module::{PassedOn, Request};

use crate::lab::{Bench, Lab, Serving, through};
use crate::support::{Outcome, check, check_eq, disk, open, reads, rpc_done, write};

/// Notes what a device is shown.
fn noted(lab: &Lab, bench: &Bench, request: &PassedOn<'_>) {
    // No lane is in flight any more, and the device may use its channel.
    let lower = bench.lowers[0].flush(0, 1);
    drop(lower);
    lab.note(format!(
        "{:?} {}+{} {:#x}",
        request.io_type(),
        request.offset_blocks(),
        request.num_blocks(),
        request.note()
    ));
}

/// Serves with what was in vain: notes it, and does it again.
fn again<'a>(lab: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
    Box::pin(async move {
        if let Some((passed, note)) = request.in_vain() {
            let errors: Vec<_> = (0..20).filter_map(|lane| passed.error(lane)).collect();
            lab.note(format!("in vain {note:#x} {errors:?}"));
        } else {
            lab.note("not at all");
        }
        through(lab, bench, request).await
    })
}

/// After the last of the lanes, before the request is complete.
pub(crate) async fn when_all_is_done() -> Outcome {
    let mut lab = Lab::new(again).over(open("Malloc")?).over(open("Slow")?);
    lab.pass = |lab, bench, pass| {
        check_lanes(lab, pass.lanes() == 0);
        let offset = pass.offset_blocks();
        match pass.io_type() {
            IoType::READ => {
                pass.tell();
                pass.read(&bench.lowers[0], offset);
                pass.note(0xffff_0001);
            }
            IoType::WRITE => {
                for lower in &bench.lowers {
                    pass.write(lower, offset);
                }
                pass.note(offset as u32);
                pass.note(u32::MAX - offset as u32);
                pass.tell();
                pass.tell();
                check_lanes(lab, pass.lanes() == 2);
            }
            _ => pass.tell(),
        }
    };
    lab.told = noted;
    let lab = lab.make("told", 512, 8192)?;
    {
        let told = disk("told")?;
        write(&told, 0, 4096, 3).await?;
        write(&told, 16, 512, 4).await?;
        check!(reads(&told, 0, 4096, 3).await?);
        check_eq!(lab.device().served.get(), 0);
        // Asked for, but not passed on.
        check_eq!(told.flush(7, 1).await, Ok(()));
    }
    check_eq!(
        lab.device().notes(),
        [
            "write 0+8 0xffffffff",
            "write 16+1 0xffffffef",
            "read 0+8 0xffff0001",
            "not at all",
        ]
        .map(|text| text
            .replace("write", &name(IoType::WRITE))
            .replace("read", &name(IoType::READ)))
    );
    lab.unregister().await?;
    Ok(())
}

fn name(io_type: IoType) -> String {
    format!("{io_type:?}")
}

fn check_lanes(lab: &Lab, right: bool) {
    if !right {
        lab.note("wrong count of lanes");
    }
}

/// Whatever fails, at once or later, alone or between others.
pub(crate) async fn not_when_in_vain() -> Outcome {
    let mut lab = Lab::new(again)
        .over(open("Malloc")?)
        .over(open("EE_BadBase")?);
    lab.pass = |_, bench, pass| {
        let offset = pass.offset_blocks();
        pass.tell();
        pass.note(0x1_0000 + offset as u32);
        match offset {
            0 => {
                pass.write(&bench.lowers[1], offset);
                pass.write(&bench.lowers[0], offset);
            }
            1 => pass.write(&bench.lowers[0], u64::MAX),
            2 => {
                for block in 0..17 {
                    pass.write(&bench.lowers[0], block);
                }
            }
            _ => pass.write(&bench.lowers[0], offset),
        }
    };
    lab.told = noted;
    let lab = lab.make("untold", 512, 8192)?;
    {
        let untold = disk("untold")?;
        let fails = r#"{"name":"EE_BadBase","io_type":"write","error_type":"failure","num":1}"#;
        rpc_done("bdev_error_inject_error", fails).await?;
        for block in 0..4 {
            write(&untold, block, 512, 1).await?;
        }
    }
    let failed = [IoError::Failed(Status::Failed)];
    let [refused, too_many] = [Errno::EINVAL, Errno::E2BIG].map(|errno| [IoError::Submit(errno)]);
    check_eq!(
        lab.device().notes(),
        [
            format!("in vain 0x10000 {failed:?}"),
            format!("in vain 0x10001 {refused:?}"),
            format!("in vain 0x10002 {too_many:?}"),
            format!("{} 3+1 0x10003", name(IoType::WRITE)),
        ]
    );
    check_eq!(lab.device().served.get(), 3);
    lab.unregister().await?;
    Ok(())
}

pub(crate) async fn not_where_nobody_asked() -> Outcome {
    let mut lab = Lab::new(again).over(open("Malloc")?);
    lab.pass = |lab, bench, pass| {
        // Every other request, in the memory of the one before.
        if lab.passed.add() % 2 == 0 {
            pass.tell();
        }
        pass.write(&bench.lowers[0], pass.offset_blocks());
    };
    lab.told = noted;
    let lab = lab.make("quiet", 512, 8192)?;
    {
        let quiet = disk("quiet")?;
        for block in 0..20 {
            write(&quiet, block, 512, 1).await?;
        }
    }
    check_eq!(lab.device().notes().len(), 10);
    check_eq!(lab.device().served.get(), 0);
    lab.unregister().await?;
    Ok(())
}
