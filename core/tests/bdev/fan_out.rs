//! Requests that are passed on, with a task and without.

use std::future::Future;
use std::time::{Duration, Instant};

use barespdk::bdev::{IoError, IoType, Status};
use barespdk::errno::Errno;
use barespdk::module::{LANES_MAX, Request};

use crate::POOL;
use crate::lab::{Bench, Lab, Serving, has_served, through};
use crate::support::{
    Outcome, both, check, check_eq, disk, filled, open, pause, peek, poll_once, reads, rpc_done,
    until, write,
};

pub(crate) async fn to_several() -> Outcome {
    fn everywhere<'a>(_: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            let Ok(mut passed) = request.fan_out() else {
                return Status::Failed;
            };
            for lower in &bench.lowers {
                match request.io_type() {
                    IoType::WRITE => passed.write(lower, request.offset_blocks()),
                    IoType::UNMAP => passed.unmap(lower, request.offset_blocks()),
                    IoType::WRITE_ZEROES => passed.write_zeroes(lower, request.offset_blocks()),
                    IoType::FLUSH => passed.flush(lower, request.offset_blocks()),
                    IoType::RESET => passed.reset(lower),
                    _ => passed.read(lower, request.offset_blocks()),
                }
            }
            let failed = (&mut passed).await;
            if failed.is_empty() && passed.lanes() == bench.lowers.len() {
                Status::Success
            } else {
                Status::Failed
            }
        })
    }
    let lowers = ["Malloc", "SlowBase", "BadBase"];
    let mut lab = Lab::new(everywhere);
    for lower in ["Malloc", "Slow", "EE_BadBase"] {
        lab = lab.over(open(lower)?);
    }
    let lab = lab.make("several", 512, 8192)?;
    {
        let several = disk("several")?;
        let mut writes = Vec::new();
        for block in 0..16 {
            writes.push(several.write_buf(filled(4096, 80 + block)?, u64::from(block) * 8));
        }
        for io in writes {
            check_eq!(io.await.0, Ok(()));
        }
        for lower in lowers {
            for block in 0..16 {
                check!(reads(&peek(lower)?, u64::from(block) * 8, 4096, 80 + block).await?);
            }
        }
        check_eq!(several.write_zeroes(0, 8).await, Ok(()));
        check_eq!(several.unmap(8, 8).await, Ok(()));
        check_eq!(several.flush(0, 16).await, Ok(()));
        check_eq!(several.reset().await, Ok(()));
        for lower in lowers {
            check!(reads(&peek(lower)?, 0, 4096, 0).await?);
        }
        let one = r#"{"name":"EE_BadBase","io_type":"write","error_type":"failure","num":1}"#;
        rpc_done("bdev_error_inject_error", one).await?;
        check!(write(&several, 0, 512, 1).await.is_err());
        write(&several, 0, 512, 1).await?;
    }
    lab.unregister().await?;
    Ok(())
}

/// Peer fault: "`&mut` channel state shared by two requests across an await": two who pass on one
/// request at the same time, or before the first has ended.
pub(crate) async fn one_at_a_time() -> Outcome {
    fn twice<'a>(lab: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            let pass_on = async || {
                let Ok(mut passed) = request.fan_out() else {
                    return false;
                };
                passed.write(&bench.lowers[0], request.offset_blocks());
                (&mut passed).await.is_empty()
            };
            lab.note(format!("{:?}", both(pass_on(), pass_on()).await));
            let Ok(mut passed) = request.fan_out() else {
                return Status::Failed;
            };
            passed.write(&bench.lowers[0], request.offset_blocks());
            let _ = poll_once(&mut passed).await;
            drop(passed);
            lab.note(format!("{:?}", request.fan_out().err()));
            while request.fan_out().is_err() {
                pause(Duration::from_millis(1)).await;
            }
            lab.note(format!("{}", pass_on().await));
            Status::Success
        })
    }
    let lab = Lab::new(twice)
        .over(open("Slow")?)
        .make("alone", 512, 8192)?;
    let alone = disk("alone")?;
    write(&alone, 0, 512, 3).await?;
    let busy = format!("{:?}", Some(Errno::EBUSY));
    let first = lab.device().notes();
    check_eq!(first, ["(true, false)".to_owned(), busy, "true".to_owned()]);
    drop(alone);
    lab.unregister().await?;
    Ok(())
}

/// A request whose future leaks its [`FanOut`] is held by its lanes all the same.
pub(crate) async fn forgotten() -> Outcome {
    fn leaks<'a>(lab: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            let Ok(mut passed) = request.fan_out() else {
                return Status::Failed;
            };
            passed.write(&bench.lowers[0], request.offset_blocks());
            passed.write(&bench.lowers[0], 1 + request.offset_blocks());
            if lab.served.get().is_multiple_of(2) {
                let _ = poll_once(&mut passed).await;
            }
            std::mem::forget(passed);
            lab.note(format!("{:?}", request.fan_out().err()));
            Status::Success
        })
    }
    let lab = Lab::new(leaks)
        .over(open("Slow")?)
        .make("leaks", 512, 8192)?;
    let leaks = disk("leaks")?;
    for round in 0..4 {
        let start = Instant::now();
        write(&leaks, 60, 512, round).await?;
        check!(start.elapsed() >= Duration::from_millis(15));
        check!(reads(&peek("SlowBase")?, 60, 1024, round).await?);
    }
    check!(
        lab.device()
            .notes()
            .iter()
            .all(|note| note.contains("EBUSY") || note.contains("16"))
    );
    drop(leaks);
    lab.unregister().await?;
    Ok(())
}

pub(crate) async fn dropped_in_flight() -> Outcome {
    fn drops<'a>(_: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            for lower in &bench.lowers {
                let Ok(mut passed) = request.fan_out() else {
                    return Status::Success;
                };
                passed.write(lower, request.offset_blocks());
                // With a waker that is not the task's own.
                let mut inner = Box::pin(async { (&mut passed).await });
                let waker = std::task::Waker::noop();
                let mut cx = std::task::Context::from_waker(waker);
                let _ = inner.as_mut().poll(&mut cx);
            }
            Status::Success
        })
    }
    let lab = Lab::new(drops)
        .over(open("Slow")?)
        .over(open("Malloc")?)
        .make("drops", 512, 8192)?;
    let drops = disk("drops")?;
    for round in 1..5 {
        write(&drops, 70, 512, round).await?;
        check!(reads(&peek("SlowBase")?, 70, 512, round).await?);
    }
    drop(drops);
    lab.unregister().await?;
    Ok(())
}

/// What is beyond the last lane is not submitted, and does not pass for done.
pub(crate) async fn too_many_lanes() -> Outcome {
    fn many<'a>(lab: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            let Ok(mut passed) = request.fan_out() else {
                return Status::Failed;
            };
            for lane in 0..LANES_MAX as u64 + 3 {
                passed.write(&bench.lowers[0], 8 * lane + request.offset_blocks());
            }
            passed.read(&bench.lowers[0], 0);
            let failed = (&mut passed).await;
            lab.note(format!("{} {failed:?}", passed.lanes()));
            for lane in [
                0,
                LANES_MAX - 1,
                LANES_MAX,
                LANES_MAX + 1,
                31,
                32,
                64,
                usize::MAX,
            ] {
                lab.note(format!("{:?}", passed.error(lane)));
            }
            Status::Success
        })
    }
    let mut lab = Lab::new(many).over(open("Malloc")?);
    lab.pass = |lab, bench, pass| {
        lab.passed.add();
        for lane in 0..LANES_MAX as u64 + 1 {
            pass.write(&bench.lowers[0], 8 * lane + pass.offset_blocks());
        }
    };
    let lab = lab.make("many", 512, 8192)?;
    let many = disk("many")?;
    write(&many, 0, 512, 9).await?;
    let too_many = format!("{:?}", Some(IoError::Submit(Errno::E2BIG)));
    let mut wanted = vec!["16 Failed(65536)".to_owned()];
    wanted.extend(["None", "None", too_many.as_str()].map(String::from));
    wanted.extend(std::iter::repeat_n("None".to_owned(), 5));
    check_eq!(lab.device().notes(), wanted);
    check_eq!(
        (lab.device().served.get(), lab.device().passed.get()),
        (1, 1)
    );
    drop(many);
    lab.unregister().await?;
    Ok(())
}

/// Lanes that SPDK does not take: out of range, of another block size, read-only, of no data.
pub(crate) async fn refused_lanes() -> Outcome {
    fn refused<'a>(lab: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            let Ok(mut passed) = request.fan_out() else {
                return Status::Failed;
            };
            match request.io_type() {
                IoType::WRITE => {
                    passed.write(&bench.lowers[0], u64::MAX);
                    passed.write(&bench.lowers[1], 0);
                    passed.write(&bench.lowers[0], request.offset_blocks());
                    passed.unmap(&bench.lowers[0], u64::MAX - 1);
                }
                _ => passed.write(&bench.lowers[0], 0),
            }
            let failed = (&mut passed).await;
            lab.note(format!("{failed:?}"));
            let errors: Vec<_> = (0..passed.lanes()).map(|lane| passed.error(lane)).collect();
            lab.note(format!("{errors:?}"));
            // Once more with the same value: what is over stays over.
            let failed = (&mut passed).await;
            if failed.0 & 1 == 1 {
                Status::Success
            } else {
                Status::Failed
            }
        })
    }
    let lab = Lab::new(refused)
        .over(open("Malloc")?)
        .over(open("Malloc4k")?)
        .make("refused", 512, 8192)?;
    let refused = disk("refused")?;
    write(&refused, 90, 512, 33).await?;
    check!(reads(&disk("Malloc")?, 90, 512, 33).await?);
    check_eq!(refused.flush(0, 1).await, Ok(()));
    let invalid = Some(IoError::Submit(Errno::EINVAL));
    let errors = format!("{:?}", [invalid, invalid, None, invalid]);
    let no_data = format!("{:?}", [Some(IoError::Submit(Errno::EFAULT))]);
    check_eq!(
        lab.device().notes(),
        [
            "Failed(11)".to_owned(),
            errors,
            "Failed(1)".to_owned(),
            no_data
        ]
    );
    drop(refused);
    lab.unregister().await?;
    Ok(())
}

/// Without a task, where all goes well.
pub(crate) async fn passed_on() -> Outcome {
    let mut lab = Lab::new(through)
        .over(open("Malloc")?)
        .over(open("Second")?);
    lab.pass = |_, bench, pass| match pass.io_type() {
        IoType::READ => pass.read(&bench.lowers[0], pass.offset_blocks()),
        IoType::WRITE => {
            for lower in &bench.lowers {
                pass.write(lower, pass.offset_blocks());
            }
        }
        _ => {}
    };
    let lab = lab.make("pass", 512, 8192)?;
    let pass = disk("pass")?;
    for round in 1..50 {
        write(&pass, 10, 4096, round).await?;
        check!(reads(&pass, 10, 4096, round).await?);
        check!(reads(&disk("Second")?, 10, 4096, round).await?);
    }
    check_eq!(lab.device().served.get(), 0);
    check_eq!(pass.flush(0, 1).await, Ok(()));
    check_eq!(lab.device().served.get(), 1);
    drop(pass);
    lab.unregister().await?;
    Ok(())
}

/// What a lower bdev fails is served by a task, once.
pub(crate) async fn passed_on_in_vain() -> Outcome {
    let mut lab = Lab::new(through)
        .over(open("Malloc")?)
        .over(open("EE_BadBase")?);
    lab.pass = |_, bench, pass| {
        for lower in &bench.lowers {
            pass.write(lower, pass.offset_blocks());
        }
    };
    let lab = lab.make("vain", 512, 8192)?;
    let vain = disk("vain")?;
    for round in 1..20 {
        let fails = r#"{"name":"EE_BadBase","io_type":"write","error_type":"failure","num":1}"#;
        rpc_done("bdev_error_inject_error", fails).await?;
        write(&vain, 20, 4096, round).await?;
        check_eq!(lab.device().served.get(), usize::from(round));
        check!(reads(&disk("Malloc")?, 20, 4096, round).await?);
    }
    drop(vain);
    lab.unregister().await?;
    Ok(())
}

/// A device that serves what it has passed on in vain is told what failed, once.
pub(crate) async fn what_was_in_vain() -> Outcome {
    fn looks<'a>(lab: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            let Some((passed, note)) = request.in_vain() else {
                lab.note("nothing");
                return Status::Success;
            };
            let errors: Vec<_> = (0..4).map(|lane| passed.error(lane)).collect();
            lab.note(format!("{note}: {} {errors:?}", passed.lanes()));
            let busy = request.fan_out().err() == Some(Errno::EBUSY);
            drop(passed);
            let Ok(mut again) = request.fan_out() else {
                return Status::Failed;
            };
            again.write(&bench.lowers[0], request.offset_blocks());
            let failed = (&mut again).await;
            drop(again);
            if failed.is_empty() && busy && request.in_vain().is_none() {
                Status::Success
            } else {
                Status::Failed
            }
        })
    }
    let mut lab = Lab::new(looks)
        .over(open("Malloc")?)
        .over(open("EE_BadBase")?);
    lab.pass = |lab, bench, pass| {
        let offset = pass.offset_blocks();
        pass.note(7 + lab.passed.add() as u32);
        match offset {
            0 => {}
            1 => pass.write(&bench.lowers[0], u64::MAX),
            _ => {
                pass.write(&bench.lowers[0], offset);
                pass.write(&bench.lowers[1], offset);
                pass.write(&bench.lowers[0], u64::MAX);
            }
        }
    };
    let lab = lab.make("looks", 512, 8192)?;
    let looks = disk("looks")?;
    let fails = r#"{"name":"EE_BadBase","io_type":"write","error_type":"failure","num":1}"#;
    rpc_done("bdev_error_inject_error", fails).await?;
    for block in 0..3 {
        write(&looks, block, 512, 1).await?;
    }
    let refused = Some(IoError::Submit(Errno::EINVAL));
    let failed = Some(IoError::Failed(Status::Failed));
    check_eq!(
        lab.device().notes(),
        [
            "nothing".to_owned(),
            format!("8: 1 {:?}", [refused, None, None, None]),
            format!("9: 3 {:?}", [None, failed, refused, None]),
        ]
    );
    drop(looks);
    lab.unregister().await?;
    Ok(())
}

/// What SPDK refuses at once, alone or between others, ends the request once.
pub(crate) async fn passed_on_and_refused() -> Outcome {
    let mut lab = Lab::new(through)
        .over(open("Malloc")?)
        .over(open("Malloc4k")?);
    lab.pass = |lab, bench, pass| {
        let (lower, other, offset) = (&bench.lowers[0], &bench.lowers[1], pass.offset_blocks());
        let write = |pass: &mut barespdk::module::Pass<'_>, places: &[u64]| {
            for place in places {
                pass.write(lower, *place);
            }
        };
        match lab.passed.add() % 5 {
            0 => write(pass, &[u64::MAX]),
            1 => write(pass, &[u64::MAX, offset]),
            2 => write(pass, &[offset, u64::MAX, offset + 1, u64::MAX]),
            3 => pass.write(other, 0),
            _ => pass.read(lower, 0),
        }
    };
    let lab = lab.make("refuses", 512, 8192)?;
    let refuses = disk("refuses")?;
    for round in 0..100 {
        write(&refuses, 120, 512, round).await?;
        check!(reads(&disk("Malloc")?, 120, 512, round).await?);
        check_eq!(lab.device().served.get(), 1 + usize::from(round));
    }
    drop(refuses);
    lab.unregister().await?;
    Ok(())
}

/// Peer fault: "-ENOMEM becomes an I/O failure", for lanes.
pub(crate) async fn it_waits_for_memory() -> Outcome {
    fn when_open<'a>(lab: &'a Lab, _: &'a Bench, _: Request<'a>) -> Serving<'a> {
        Box::pin(async {
            lab.opened().await;
            Status::Success
        })
    }
    fn twice<'a>(_: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            let Ok(mut passed) = request.fan_out() else {
                return Status::Failed;
            };
            passed.write(&bench.lowers[0], request.offset_blocks());
            passed.flush(&bench.lowers[0], request.offset_blocks());
            let failed = (&mut passed).await;
            if failed.is_empty() {
                Status::Success
            } else {
                Status::Failed
            }
        })
    }
    let lower = Lab::new(when_open).make("held", 512, 8192)?;
    let mut upper = Lab::new(twice).over(open("held")?);
    upper.pass = |lab, bench, pass| {
        if lab.passed.add() % 2 == 0 {
            pass.write(&bench.lowers[0], pass.offset_blocks());
            pass.write(&bench.lowers[0], pass.offset_blocks() + 64);
        }
    };
    let upper = upper.make("waits", 512, 8192)?;
    {
        let (held, waits) = (disk("held")?, disk("waits")?);
        let hogs: Vec<_> = (0..POOL as u64 - 50)
            .map(|block| held.flush(block, 1))
            .collect();
        let mut writes = Vec::new();
        for block in 0..64 {
            writes.push(waits.write_buf(filled(512, 1)?, block));
        }
        check!(until(|| lower.device().served.get() > POOL - 50).await);
        lower.device().let_go();
        for hog in hogs {
            check_eq!(hog.await, Ok(()));
        }
        for io in writes {
            check_eq!(io.await.0, Ok(()));
        }
        check!(has_served(&upper, 32).await);
        check_eq!(
            (upper.device().served.get(), upper.device().passed.get()),
            (32, 64)
        );
        check_eq!(lower.device().served.get(), POOL - 50 + 128);
    }
    upper.unregister().await?;
    lower.unregister().await?;
    Ok(())
}
