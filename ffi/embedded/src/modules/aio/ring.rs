use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use io_uring::squeue::Entry;
use io_uring::types::{Fd, FsyncFlags};
use io_uring::{IoUring, Probe, opcode};

use super::job::{Buffers, Job, Operation};

/// Jobs that can be submitted in one round; more wait for their turn.
const ENTRIES: u32 = 256;
/// A job's token and its result: bytes done, or a negative errno value.
pub(super) type Done = (u64, i32);

/// An io_uring. Jobs are gathered and go to the kernel with one call a round.
pub(super) struct Ring {
    uring: IoUring,
    /// What did not fit.
    backlog: VecDeque<Entry>,
    /// Jobs that the ring has, submitted or not.
    in_flight: usize,
}

impl Ring {
    /// Fails if the machine has no io_uring, or forbids it, or has not all that is needed of it.
    pub(super) fn new() -> io::Result<Self> {
        let uring = build()?;
        let mut probe = Probe::new();
        uring.submitter().register_probe(&mut probe)?;
        let needed = [
            opcode::Read::CODE,
            opcode::Write::CODE,
            opcode::Readv::CODE,
            opcode::Writev::CODE,
            opcode::Fsync::CODE,
            opcode::Fallocate::CODE,
        ];
        if !needed.iter().all(|&code| probe.is_supported(code)) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Self {
            uring,
            backlog: VecDeque::new(),
            in_flight: 0,
        })
    }

    /// Becomes readable when there are results.
    pub(super) fn as_raw_fd(&self) -> RawFd {
        self.uring.as_raw_fd()
    }

    /// Takes a job, or gives back one that no ring can do.
    pub(super) fn start(&mut self, job: Job) -> Result<(), Job> {
        let Some(entry) = entry(&job) else {
            return Err(job);
        };
        self.in_flight += 1;
        if !self.backlog.is_empty() || !self.push(&entry) {
            self.backlog.push_back(entry);
        }
        Ok(())
    }

    /// Whether the queue took it.
    fn push(&mut self, entry: &Entry) -> bool {
        // SAFETY: who started the job keeps the file and the memory until its result is taken; the
        // iovecs are read on submission.
        unsafe { self.uring.submission().push(entry) }.is_ok()
    }

    /// Submits what was gathered, and fetches results that wait in the kernel. Whether there was
    /// anything to submit.
    pub(super) fn submit(&mut self) -> bool {
        if self.in_flight == 0 {
            return false;
        }
        let mut queue = self.uring.submission();
        while let Some(entry) = self.backlog.front() {
            // SAFETY: as in `push`.
            if unsafe { queue.push(entry) }.is_err() {
                break;
            }
            self.backlog.pop_front();
        }
        let gathered = !queue.is_empty();
        let waiting = queue.taskrun() || queue.cq_overflow();
        drop(queue);
        if gathered || waiting {
            // What it could not take, for want of memory or because results pile up, stays in the
            // queue for the next round.
            let _ = self.uring.submit();
        }
        gathered
    }

    /// Takes a result, if there is one.
    pub(super) fn next(&mut self) -> Option<Done> {
        if self.in_flight == 0 {
            return None;
        }
        let cqe = self.uring.completion().next()?;
        self.in_flight -= 1;
        Some((cqe.user_data(), cqe.result()))
    }
}

/// With as few interruptions as the kernel can do: results wait until they are fetched, which
/// happens in every round.
fn build() -> io::Result<IoUring> {
    // One OS thread runs an SPDK thread from its beginning to its end.
    let deferred = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .build(ENTRIES);
    match deferred {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => IoUring::new(ENTRIES),
        result => result,
    }
}

fn entry(job: &Job) -> Option<Entry> {
    let fd = Fd(job.fd);
    let flags = job.rw_flags();
    let entry = match job.operation {
        Operation::Read => match job.buffers() {
            Buffers::One(start, len) => opcode::Read::new(fd, start, len)
                .offset(job.offset)
                .rw_flags(flags)
                .build(),
            Buffers::Many(iovs, count) => opcode::Readv::new(fd, iovs, count)
                .offset(job.offset)
                .rw_flags(flags)
                .build(),
        },
        Operation::Write => match job.buffers() {
            Buffers::One(start, len) => opcode::Write::new(fd, start, len)
                .offset(job.offset)
                .rw_flags(flags)
                .build(),
            Buffers::Many(iovs, count) => opcode::Writev::new(fd, iovs, count)
                .offset(job.offset)
                .rw_flags(flags)
                .build(),
        },
        Operation::Sync => opcode::Fsync::new(fd).flags(FsyncFlags::DATASYNC).build(),
        Operation::PunchHole | Operation::ZeroRange => opcode::Fallocate::new(fd, job.len)
            .offset(job.offset)
            .mode(job.operation.fallocate_mode()?)
            .build(),
        Operation::WriteZeroes | Operation::Discard => return None,
    };
    Some(entry.user_data(job.token))
}
