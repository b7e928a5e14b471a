//! I/O to bdevs of others.

use barespdk::bdev::{Access, Channel, Data, Desc, IoError, IoType, Status};
use barespdk::errno::Errno;
use barespdk_alloc_dma::DmaBuf;

use crate::support::{
    Outcome, check, check_eq, disk, filled, open, read, reads, rpc_done, turn, write,
};

const REFUSED: Result<(), IoError> = Err(IoError::Submit(Errno::EINVAL));
const MISCOMPARE: Result<(), IoError> = Err(IoError::Failed(Status::Miscompare));

/// Each data I/O type that the client has, on memory.
pub(crate) async fn every_type_on_malloc() -> Outcome {
    let malloc = disk("Malloc")?;
    write(&malloc, 0, 8192, 7).await?;
    check!(reads(&malloc, 0, 8192, 7).await?);
    let (outcome, buffer) = malloc.compare_buf(filled(4096, 7)?, 8).await;
    check_eq!(outcome, Ok(()));
    check_eq!(buffer.map(|buffer| buffer.len()), Some(4096));
    let (outcome, _) = malloc.compare_buf(filled(4096, 8)?, 8).await;
    check_eq!(outcome, MISCOMPARE);
    let (seven, nine) = (
        Data::from_buffer(filled(512, 7)?),
        Data::from_buffer(filled(512, 9)?),
    );
    check_eq!(malloc.compare_and_write(&seven, &nine, 3).await, Ok(()));
    check_eq!(malloc.compare_and_write(&seven, &nine, 3).await, MISCOMPARE);
    check!(reads(&malloc, 3, 512, 9).await?);
    check!(reads(&malloc, 4, 512, 7).await?);
    check_eq!(malloc.write_zeroes(3, 1).await, Ok(()));
    check!(reads(&malloc, 3, 512, 0).await?);
    check_eq!(malloc.unmap(4, 2).await, Ok(()));
    check!(reads(&malloc, 4, 1024, 0).await?);
    check_eq!(malloc.flush(0, 8192).await, Ok(()));
    check_eq!(malloc.copy(100, 8, 8).await, Ok(()));
    check!(reads(&malloc, 100, 4096, 7).await?);
    // Memory does not seek: the bdev layer says that all of it is data.
    check_eq!(malloc.seek_data(17).await, Ok(Some(17)));
    check_eq!(malloc.seek_hole(17).await, Ok(None));
    check_eq!(malloc.reset().await, Ok(()));
    check!(reads(&malloc, 100, 4096, 7).await?);
    let done = malloc.flush(0, 1);
    turn().await;
    turn().await;
    check!(malloc.abort(&done).await.is_err());
    check_eq!(done.await, Ok(()));
    Ok(())
}

/// Peer fault: "buffer length not checked against block count".
pub(crate) async fn wrong_lengths() -> Outcome {
    let malloc = disk("Malloc4k")?;
    for len in [1, 511, 512, 4095, 4097, 6144] {
        let (outcome, buffer) = malloc.read_buf(filled(len, 1)?, 0).await;
        check_eq!(outcome, REFUSED);
        check_eq!(buffer.map(|buffer| buffer.len()), Some(len));
        let (outcome, _) = malloc.write_buf(filled(len, 1)?, 0).await;
        check_eq!(outcome, REFUSED);
        check_eq!(
            malloc.read(&Data::from_buffer(filled(len, 1)?), 0).await,
            REFUSED
        );
    }
    let one = Data::from_buffer(filled(4096, 1)?);
    let two = Data::from_buffer(filled(8192, 1)?);
    check_eq!(malloc.compare_and_write(&one, &two, 0).await, REFUSED);
    // Nothing to move is nothing that went wrong in memory, whatever SPDK says of it.
    let nothing = one.slice(0..0)?;
    check_eq!(malloc.write(&nothing, 0).await, REFUSED);
    check_eq!(malloc.read(&nothing, 0).await, REFUSED);
    Ok(())
}

/// Ranges that do not lie in the bdev, or would wrap around.
pub(crate) async fn wrong_ranges() -> Outcome {
    let malloc = disk("Malloc")?;
    let end = malloc.desc().num_blocks();
    for offset in [
        end,
        end - 7,
        u64::MAX,
        u64::MAX - 7,
        u64::MAX / 512,
        1 << 63,
    ] {
        check_eq!(malloc.read_buf(filled(4096, 1)?, offset).await.0, REFUSED);
        check_eq!(malloc.write_buf(filled(4096, 1)?, offset).await.0, REFUSED);
        check_eq!(malloc.unmap(offset, 8).await, REFUSED);
        check_eq!(malloc.write_zeroes(offset, 8).await, REFUSED);
        check_eq!(malloc.flush(offset, 8).await, REFUSED);
        check_eq!(malloc.copy(offset, 0, 8).await, REFUSED);
        check_eq!(malloc.copy(0, offset, 8).await, REFUSED);
    }
    check_eq!(
        malloc.seek_data(end).await,
        Err(IoError::Submit(Errno::EINVAL))
    );
    check!(malloc.unmap(0, u64::MAX).await.is_err());
    check!(malloc.write_buf(filled(4096, 1)?, end - 8).await.0.is_ok());
    Ok(())
}

pub(crate) async fn no_writes_through_a_read_only_descriptor() -> Outcome {
    let desc = Desc::open("Malloc", Access::Read, |_| ())?;
    let malloc = Channel::new(&desc)?;
    let denied = Err(IoError::Submit(Errno::EBADF));
    check_eq!(malloc.write_buf(filled(512, 1)?, 0).await.0, denied);
    check_eq!(malloc.unmap(0, 1).await, denied);
    check_eq!(malloc.write_zeroes(0, 1).await, denied);
    check!(read(&malloc, 0, 512).await.is_ok());
    Ok(())
}

/// Peer fault: "integers from C turned into enums": what a bdev says went wrong, whatever it is.
pub(crate) async fn errors_of_a_bdev() -> Outcome {
    let bad = disk("EE_BadBase")?;
    write(&bad, 0, 512, 5).await?;
    let inject = |io_type: &str, error: &str| {
        format!(r#"{{"name":"EE_BadBase","io_type":"{io_type}","error_type":"{error}","num":1}}"#)
    };
    rpc_done("bdev_error_inject_error", &inject("read", "failure")).await?;
    let (outcome, buffer) = bad.read_buf(filled(512, 1)?, 0).await;
    check_eq!(outcome, Err(IoError::Failed(Status::Failed)));
    check!(buffer.is_some());
    // The bdev layer tries again for itself.
    rpc_done("bdev_error_inject_error", &inject("write", "nomem")).await?;
    write(&bad, 1, 512, 5).await?;
    check!(reads(&bad, 1, 512, 5).await?);
    Ok(())
}

pub(crate) async fn metadata_of_ones_own() -> Outcome {
    let meta = disk("Meta8")?;
    let (data, metadata) = (filled(4096, 0x11)?, filled(64, 0x22)?);
    let (outcome, buffers) = meta.write_with_metadata(data, metadata, 40).await;
    check_eq!(outcome, Ok(()));
    check!(buffers.is_some_and(|(data, metadata)| (data.len(), metadata.len()) == (4096, 64)));
    let (data, metadata) = (filled(2048, 0)?, filled(32, 0)?);
    let (outcome, buffers) = meta.read_with_metadata(data, metadata, 44).await;
    check_eq!(outcome, Ok(()));
    let (data, metadata) = buffers.ok_or(Errno::EIO)?;
    check!(data.iter().all(|byte| *byte == 0x11) && metadata.iter().all(|byte| *byte == 0x22));
    drop(meta.read_with_metadata(data, metadata, 44));
    turn().await;
    for (name, data, metadata) in [
        ("Meta8", 4096, 63),
        ("Meta8", 4096, 72),
        ("Meta8", 4095, 64),
        ("Malloc", 4096, 64),
    ] {
        let refused = disk(name)?.write_with_metadata(filled(data, 1)?, filled(metadata, 1)?, 0);
        let (outcome, buffers) = refused.await;
        check_eq!(outcome, REFUSED);
        check!(buffers.is_some());
    }
    Ok(())
}

pub(crate) async fn buffers_for_a_bdev() -> Outcome {
    let malloc = disk("Malloc4k")?;
    let buffer = malloc.desc().buffer(8192).map_err(|_| Errno::ENOMEM)?;
    check_eq!(buffer.len(), 8192);
    check!(
        buffer
            .as_ptr()
            .addr()
            .is_multiple_of(malloc.desc().buf_align().max(64))
    );
    check_eq!(malloc.write_buf(buffer, 0).await.0, Ok(()));
    Ok(())
}

/// A bdev that lets I/O hang: an abort, then a reset, ends it.
pub(crate) async fn reads_in_flight_are_given_up() -> Outcome {
    let bad = disk("EE_BadBase")?;
    let pending = r#"{"name":"EE_BadBase","io_type":"read","error_type":"pending","num":3}"#;
    rpc_done("bdev_error_inject_error", pending).await?;
    let first = bad.read_buf(filled(512, 1)?, 0);
    let second = bad.read_buf(filled(512, 1)?, 0);
    drop(bad.read_buf(filled(512, 1)?, 0));
    turn().await;
    // An abort of what is not there, of what is there.
    let other = disk("Malloc")?;
    check_eq!(other.abort_buf(&first).await, REFUSED);
    let aborted = bad.abort_buf(&first).await;
    if aborted.is_ok() {
        check_eq!(first.await.0, Err(IoError::Failed(Status::Aborted)));
    } else {
        drop(first);
    }
    check_eq!(bad.reset().await, Ok(()));
    let (outcome, buffer): (_, Option<DmaBuf>) = second.await;
    check!(outcome.is_err());
    check!(buffer.is_some());
    Ok(())
}

pub(crate) async fn a_bdev_that_is_not_there() -> Outcome {
    let long = "x".repeat(5000);
    for (name, errno) in [
        ("", Errno::ENODEV),
        ("nobody", Errno::ENODEV),
        ("Malloc\0", Errno::EINVAL),
        ("%s%n", Errno::ENODEV),
        (long.as_str(), Errno::ENODEV),
    ] {
        check_eq!(open(name).err(), Some(errno));
    }
    let outside = std::thread::spawn(|| open("Malloc").err()).join();
    check_eq!(outside.ok().flatten(), Some(Errno::EPERM));
    Ok(())
}

/// What a bdev says of itself, asked from any thread.
pub(crate) async fn properties() -> Outcome {
    let desc = open("Meta8")?;
    check_eq!(desc.name(), "Meta8");
    check_eq!((desc.block_size(), desc.md_size()), (512, 8));
    check!(desc.is_md_separate() && !desc.is_md_interleaved());
    check!(desc.supports(IoType::READ));
    for raw in [0, 22, 23, 31, 32, 33, 64, u32::MAX] {
        check!(!desc.supports(IoType::from_raw(raw)) || raw == 22);
    }
    let elsewhere = std::thread::spawn(move || (desc.num_blocks(), desc.uuid(), desc));
    let (num_blocks, uuid, desc) = elsewhere.join().map_err(|_| Errno::EIO)?;
    check_eq!((num_blocks, uuid), (1024, desc.uuid()));
    Ok(())
}
