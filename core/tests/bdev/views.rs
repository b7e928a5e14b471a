//! Views of memory that several I/O share.

use barespdk::bdev::{Data, IoError};
use barespdk::errno::Errno;

use crate::support::{Outcome, check, check_eq, disk, filled, reads, turn, write};

pub(crate) async fn parts_of_a_buffer() -> Outcome {
    let malloc = disk("Malloc")?;
    let data = Data::from_buffer(filled(4096, 1)?);
    check_eq!((data.len(), data.is_empty()), (4096, false));
    check_eq!(data.blocks(512)?, 8);
    for wrong in [0, 5, 8192] {
        check_eq!(data.blocks(wrong), Err(Errno::EINVAL));
    }
    for (start, end) in [
        (0, 4097),
        (4097, 4097),
        (8, 7),
        (u64::MAX, 0),
        (1, u64::MAX),
    ] {
        check_eq!(data.slice(start..end).err(), Some(Errno::EINVAL));
    }
    let middle = data.slice(512..2048)?;
    // A part of a part, and its bounds.
    let inner = middle.slice(512..1024)?;
    check_eq!(inner.slice(0..513).err(), Some(Errno::EINVAL));
    inner.copy_from(&[2; 512])?;
    let mut seen = [0; 1536];
    middle.copy_to(&mut seen)?;
    check!(seen[..512].iter().all(|byte| *byte == 1));
    check!(seen[512..1024].iter().all(|byte| *byte == 2));
    check_eq!(middle.copy_to(&mut [0; 1537]), Err(Errno::EINVAL));
    check_eq!(inner.copy_from(&[0; 513]), Err(Errno::EINVAL));
    check_eq!(malloc.write(&middle, 10).await, Ok(()));
    check!(reads(&malloc, 10, 512, 1).await?);
    check!(reads(&malloc, 11, 512, 2).await?);
    check!(reads(&malloc, 12, 512, 1).await?);
    // Not on a boundary of 512 bytes: the memory need not be.
    let odd = data.slice(100..612)?;
    check_eq!(malloc.read(&odd, 11).await, Ok(()));
    let mut seen = [0; 4096];
    data.copy_to(&mut seen)?;
    check!(seen[100..612].iter().all(|byte| *byte == 2));
    check_eq!((seen[99], seen[612]), (1, 1));
    let data = data.into_buffer().err().ok_or(Errno::EIO)?;
    drop((middle, inner, odd));
    check!(data.into_buffer().is_ok());
    Ok(())
}

/// Peer fault: "context or buffer dropped while its I/O is in flight", and its memory looked at.
pub(crate) async fn a_buffer_in_use() -> Outcome {
    let slow = disk("Slow")?;
    let data = Data::from_buffer(filled(1024, 3)?);
    let (first, second) = (data.slice(0..512)?, data.slice(512..1024)?);
    let one = slow.write(&first, 0);
    let two = slow.read(&second, 0);
    drop((first, second));
    check_eq!(data.copy_to(&mut [0; 1]), Err(Errno::EBUSY));
    check_eq!(data.copy_from(&[0; 1]), Err(Errno::EBUSY));
    let data = data.into_buffer().err().ok_or(Errno::EIO)?;
    drop(one);
    check_eq!(two.await, Ok(()));
    turn().await;
    while data.copy_to(&mut [0; 1]) == Err(Errno::EBUSY) {
        turn().await;
    }
    check!(data.into_buffer().is_ok());
    Ok(())
}

/// More parts than an I/O has places for, each built anew.
pub(crate) async fn scattered_parts() -> Outcome {
    let malloc = disk("Malloc")?;
    let data = Data::from_buffer(filled(64 * 512, 0)?);
    for block in 0..64_u8 {
        data.slice(u64::from(block) * 512..u64::from(block) * 512 + 512)?
            .copy_from(&[block; 512])?;
    }
    let mut writes = Vec::new();
    for block in 0..64 {
        let part = data.slice(block * 512..block * 512 + 512)?;
        writes.push(malloc.write(&part, 200 + 63 - block));
    }
    for io in writes {
        check_eq!(io.await, Ok(()));
    }
    for block in 0..64_u8 {
        check!(reads(&malloc, 200 + 63 - u64::from(block), 512, block).await?);
    }
    Ok(())
}

pub(crate) async fn two_views_to_compare_and_write() -> Outcome {
    let malloc = disk("Malloc")?;
    write(&malloc, 0, 512, 1).await?;
    let (one, two) = (
        Data::from_buffer(filled(512, 1)?),
        Data::from_buffer(filled(512, 2)?),
    );
    let part = Data::from_buffer(filled(1024, 2)?).slice(0..512)?;
    let refused = Err(IoError::Submit(Errno::ENOTSUP));
    check_eq!(malloc.compare_and_write(&one, &part, 0).await, refused);
    check_eq!(malloc.compare_and_write(&one, &one, 0).await, Ok(()));
    let io = malloc.compare_and_write(&one, &two, 0);
    check_eq!(one.copy_to(&mut [0; 1]), Err(Errno::EBUSY));
    check_eq!(two.copy_to(&mut [0; 1]), Err(Errno::EBUSY));
    check_eq!(io.await, Ok(()));
    check!(one.into_buffer().is_ok() && two.into_buffer().is_ok());
    Ok(())
}
