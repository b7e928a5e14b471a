//! The same jobs on a ring and on threads.

use std::cell::RefCell;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use libc::iovec;

use super::super::job::Operation;
use super::super::ring::Done;
use super::*;

fn both() -> Vec<Works> {
    let mut works = vec![Works::new(None).unwrap()];
    match Ring::new() {
        Ok(ring) => works.push(Works::new(Some(ring)).unwrap()),
        Err(error) => println!("no io_uring here: {error}"),
    }
    works
}

fn wait(works: &Works, count: usize) -> Vec<Done> {
    let done = RefCell::new(Vec::new());
    let deadline = Instant::now() + Duration::from_secs(30);
    while done.borrow().len() < count {
        assert!(Instant::now() < deadline, "{count} results in time");
        works.round(|token, result| done.borrow_mut().push((token, result)));
    }
    let mut done = done.into_inner();
    done.sort_unstable();
    done
}

fn file(len: u64) -> fs::File {
    // SAFETY: makes a new file that nobody else has.
    let fd = unsafe { libc::memfd_create(c"aio".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(fd >= 0);
    // SAFETY: as above.
    let file = unsafe { <fs::File as std::os::fd::FromRawFd>::from_raw_fd(fd) };
    file.set_len(len).unwrap();
    file
}

fn job(file: &fs::File, token: u64, operation: Operation, offset: u64, iovs: &[iovec]) -> Job {
    Job {
        token,
        fd: file.as_raw_fd(),
        operation,
        offset,
        len: 4096,
        file_len: 0,
        iovs: iovs.as_ptr(),
        iovcnt: iovs.len(),
        nowait: false,
    }
}

fn iov(memory: &mut [u8]) -> iovec {
    iovec {
        iov_base: memory.as_mut_ptr().cast(),
        iov_len: memory.len(),
    }
}

#[test]
fn transfers_of_one_and_of_many_pieces() {
    for works in both() {
        let file = file(1 << 20);
        let (mut first, mut second) = ([1_u8; 4096], [2_u8; 512]);
        let iovs = [iov(&mut first), iov(&mut second)];
        works.start(job(&file, 7, Operation::Write, 8192, &iovs));
        assert_eq!(wait(&works, 1), [(7, 4608)]);

        let mut back = [0_u8; 4608];
        let whole = [iov(&mut back)];
        works.start(job(&file, 8, Operation::Read, 8192, &whole));
        assert_eq!(wait(&works, 1), [(8, 4608)]);
        assert!(back[..4096].iter().all(|&byte| byte == 1));
        assert!(back[4096..].iter().all(|&byte| byte == 2));
    }
}

#[test]
fn a_read_past_the_end_is_short() {
    for works in both() {
        let file = file(6000);
        let mut memory = [0_u8; 4096];
        let iovs = [iov(&mut memory)];
        works.start(job(&file, 1, Operation::Read, 4096, &iovs));
        works.start(job(&file, 2, Operation::Read, 8192, &iovs));
        assert_eq!(wait(&works, 2), [(1, 6000 - 4096), (2, 0)]);
    }
}

#[test]
fn what_was_cut_short_stays_so() {
    for works in both() {
        let file = file(6000);
        let mut memory = [0_u8; 512];
        let iovs = [iov(&mut memory)];
        let operations = [
            Operation::Write,
            Operation::ZeroRange,
            Operation::WriteZeroes,
        ];
        for (token, operation) in (0..).zip(operations) {
            let whole = Job {
                file_len: 6001,
                ..job(&file, token, operation, 4096, &iovs)
            };
            works.start(whole);
            assert_eq!(wait(&works, 1), [(token, CUT_SHORT)], "{operation:?}");
        }
        works.start(Job {
            file_len: 6001,
            ..job(&file, 5, Operation::Read, 4096, &iovs)
        });
        works.start(Job {
            file_len: 6000,
            ..job(&file, 6, Operation::Write, 0, &iovs)
        });
        assert_eq!(wait(&works, 2), [(5, 512), (6, 512)]);
        assert_eq!(file.metadata().unwrap().len(), 6000);
    }
}

#[test]
fn writes_in_lanes() {
    const JOBS: u64 = 3000;
    for works in both() {
        let files = [file(JOBS * 512), file(JOBS * 512)];
        let lanes = files.each_ref().map(|_| Lane::new(&works.inbox));
        let mut memory: Vec<[u8; 512]> = (0..JOBS).map(|index| [index as u8; 512]).collect();
        let iovs: Vec<_> = memory.iter_mut().map(|memory| [iov(memory)]).collect();
        for (index, iovs) in (0..).zip(&iovs) {
            for (which, (file, lane)) in files.iter().zip(&lanes).enumerate() {
                let token = index * 2 + which as u64;
                works.start_in(lane, job(file, token, Operation::Write, index * 512, iovs));
            }
        }
        let done = wait(&works, JOBS as usize * 2);
        assert!(done.into_iter().eq((0..JOBS * 2).map(|token| (token, 512))));
        // The lanes rest, and the engine asks to be called.
        while works.round(|_, _| ()) {}
        works.start_in(&lanes[0], job(&files[0], 1, Operation::Write, 0, &iovs[1]));
        assert_eq!(wait(&works, 1), [(1, 512)]);
        let mut back = [0];
        for (index, file) in (0..JOBS).zip(files.iter().cycle()).skip(1) {
            file.read_exact_at(&mut back, index * 512 + 511).unwrap();
            assert_eq!(back[0], index as u8);
        }
    }
}

#[test]
fn a_result_calls_who_has_stopped_to_poll() {
    let works = Works::new(None).unwrap();
    let file = file(512);
    let lane = Lane::new(&works.inbox);
    let is_readable = || {
        let mut event = libc::pollfd {
            fd: works.inbox.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one descriptor that is open.
        unsafe { libc::poll(&raw mut event, 1, 0) == 1 }
    };
    let mut memory = [0_u8; 512];
    let iovs = [iov(&mut memory)];
    for token in 0..1000 {
        // As if it had been quiet for long.
        works.quiet_rounds.set(QUIET_ROUNDS);
        works.start_in(&lane, job(&file, token, Operation::Write, 0, &iovs));
        let done = RefCell::new(0);
        let mut busy = works.round(|_, _| *done.borrow_mut() += 1);
        let deadline = Instant::now() + Duration::from_secs(30);
        while *done.borrow() == 0 {
            assert!(Instant::now() < deadline, "called in time");
            if busy || is_readable() {
                busy = works.round(|_, _| *done.borrow_mut() += 1);
            }
        }
        assert!(!is_readable(), "nothing is left");
    }
}

#[test]
fn what_needs_no_memory() {
    for works in both() {
        let file = file(1 << 16);
        file.write_all_at(&[3; 1 << 16], 0).unwrap();
        works.start(job(&file, 1, Operation::Sync, 0, &[]));
        works.start(job(&file, 2, Operation::PunchHole, 4096, &[]));
        works.start(job(&file, 3, Operation::WriteZeroes, 12288, &[]));
        works.start(job(&file, 4, Operation::Discard, 20480, &[]));
        let done = wait(&works, 4);
        // A file is no block device.
        assert_eq!(done[..3], [(1, 0), (2, 0), (3, 0)]);
        assert!(done[3].1 < 0);
        let mut back = [0; 1 << 16];
        file.read_exact_at(&mut back, 0).unwrap();
        for (index, block) in back.chunks(4096).enumerate() {
            let expected = if matches!(index, 1 | 3) { 0 } else { 3 };
            assert!(block.iter().all(|&byte| byte == expected), "block {index}");
        }
    }
}

#[test]
fn errors_come_back() {
    for works in both() {
        let readonly = fs::File::open("/proc/self/exe").unwrap();
        let mut memory = [0_u8; 512];
        let iovs = [iov(&mut memory)];
        works.start(job(&readonly, 1, Operation::Write, 0, &iovs));
        assert_eq!(wait(&works, 1), [(1, -libc::EBADF)]);
    }
}

#[test]
fn more_than_the_queues_have_room_for() {
    const JOBS: u64 = 3000;
    for works in both() {
        let file = file(JOBS * 512);
        let mut memory: Vec<[u8; 512]> = (0..JOBS).map(|index| [index as u8; 512]).collect();
        let iovs: Vec<_> = memory.iter_mut().map(|memory| [iov(memory)]).collect();
        for (index, iovs) in iovs.iter().enumerate() {
            works.start(job(
                &file,
                index as u64,
                Operation::Write,
                index as u64 * 512,
                iovs,
            ));
        }
        let done = wait(&works, JOBS as usize);
        assert!(done.into_iter().eq((0..JOBS).map(|index| (index, 512))));
        let mut back = [0];
        for index in 0..JOBS {
            file.read_exact_at(&mut back, index * 512 + 511).unwrap();
            assert_eq!(back[0], index as u8);
        }
    }
}
