//! Threads on reactors that are real OS threads.

use std::ffi::{c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use barespdk_sys::*;

use crate::thread::on_thread;

/// One application at a time: tests run in parallel.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Runs `body` on the application's thread; it has to end with [`super::stop`].
fn application(mask: &std::ffi::CStr, body: impl FnOnce() + Send + 'static) {
    let _alone = alone();
    // SAFETY: the whole life of an application, in order, on this OS thread.
    unsafe {
        let mut opts: spdk_env_opts = std::mem::zeroed();
        opts.opts_size = size_of::<spdk_env_opts>();
        spdk_env_opts_init(&mut opts);
        opts.core_mask = mask.as_ptr();
        opts.mem_size = 64;
        opts.no_huge = true;
        assert_eq!(spdk_env_init(&opts), 0);
        super::start().unwrap();
        let app = spdk_thread_create(c"app_thread".as_ptr(), null());
        assert_eq!(spdk_thread_get_app_thread(), app);
        on_thread(app, Box::new(body));
        super::run().unwrap();
        super::finish();
        assert_eq!(spdk_thread_get_count(), 0);
        assert!(spdk_thread_get_app_thread().is_null());
        spdk_env_fini();
    }
}

fn cores() -> &'static std::ffi::CStr {
    if std::thread::available_parallelism().map_or(1, usize::from) > 1 {
        c"0x3"
    } else {
        c"0x1"
    }
}

/// Polls until the condition holds, then calls the end, on the current thread.
fn until(condition: impl FnMut() -> bool + Send + 'static, end: impl FnOnce() + Send + 'static) {
    struct Wait {
        poller: *mut spdk_poller,
        condition: Box<dyn FnMut() -> bool>,
        end: Option<Box<dyn FnOnce()>>,
        start: Instant,
    }
    unsafe extern "C" fn look(wait: *mut c_void) -> c_int {
        // SAFETY: made below; freed here, where the poller is unregistered.
        unsafe {
            let wait: *mut Wait = wait.cast();
            assert!(
                (*wait).start.elapsed() < Duration::from_secs(10),
                "waits in vain"
            );
            if !((*wait).condition)() {
                return 0;
            }
            spdk_poller_unregister(&mut (*wait).poller);
            let mut wait = Box::from_raw(wait);
            if let Some(end) = wait.end.take() {
                end();
            }
            1
        }
    }
    let wait = Box::into_raw(Box::new(Wait {
        poller: null_mut(),
        condition: Box::new(condition),
        end: Some(Box::new(end)),
        start: Instant::now(),
    }));
    // SAFETY: on an SPDK thread; the poller owns what it gets.
    unsafe { (*wait).poller = spdk_poller_register_named(Some(look), wait.cast(), 100, null()) };
}

fn exit_current() {
    // SAFETY: the current thread.
    unsafe { spdk_thread_exit(spdk_get_thread()) };
}

#[test]
fn messages_between_reactors() {
    static SUM: AtomicU64 = AtomicU64::new(0);
    const COUNT: u64 = 100_000;
    application(cores(), || {
        // SAFETY: threads that live until they are made to exit below.
        let others: Vec<usize> = (0..3)
            .map(|_| unsafe { spdk_thread_create(null(), null()) } as usize)
            .collect();
        for index in 0..COUNT {
            let other = others[index as usize % 3] as *const spdk_thread;
            // SAFETY: alive.
            unsafe {
                on_thread(
                    other,
                    Box::new(move || {
                        SUM.fetch_add(index, Ordering::Relaxed);
                    }),
                )
            };
        }
        let ended = move || {
            for other in others {
                // SAFETY: alive until then.
                unsafe { on_thread(other as *const spdk_thread, Box::new(exit_current)) };
            }
            // SAFETY: reads a number.
            until(|| unsafe { spdk_thread_get_count() } == 1, super::stop);
        };
        until(
            || SUM.load(Ordering::Relaxed) == COUNT * (COUNT - 1) / 2,
            ended,
        );
    });
}

#[test]
fn channels_of_all_threads() {
    static OPENED: AtomicU32 = AtomicU32::new(0);
    static CLOSED: AtomicU32 = AtomicU32::new(0);
    static VISITED: AtomicU32 = AtomicU32::new(0);
    static GONE: AtomicU32 = AtomicU32::new(0);
    static DEVICE: u64 = 0;

    unsafe extern "C" fn open(_: *mut c_void, context: *mut c_void) -> c_int {
        OPENED.fetch_add(1, Ordering::SeqCst);
        // SAFETY: eight bytes, zeroed.
        unsafe { assert_eq!(context.cast::<u64>().replace(7), 0) };
        0
    }
    unsafe extern "C" fn close(_: *mut c_void, context: *mut c_void) {
        CLOSED.fetch_add(1, Ordering::SeqCst);
        // SAFETY: written above.
        unsafe { assert_eq!(*context.cast::<u64>(), 7) };
    }
    unsafe extern "C" fn visit(iteration: *mut spdk_io_channel_iter) {
        VISITED.fetch_add(1, Ordering::SeqCst);
        // SAFETY: a step; the channel at hand is this thread's, held since `open`.
        unsafe {
            let channel = spdk_io_channel_iter_get_channel(iteration);
            assert_eq!(*spdk_io_channel_get_ctx(channel).cast::<u64>(), 7);
            spdk_put_io_channel(channel);
            spdk_for_each_channel_continue(iteration, 0);
            spdk_thread_exit(spdk_get_thread());
        }
    }
    unsafe extern "C" fn visited(_: *mut spdk_io_channel_iter, status: c_int) {
        assert_eq!(status, 0);
        let device = (&raw const DEVICE).cast_mut().cast();
        // SAFETY: registered; unregistered once.
        unsafe { spdk_io_device_unregister(device, Some(gone)) };
        // SAFETY: reads a number.
        let all_gone =
            || unsafe { spdk_thread_get_count() } == 1 && GONE.load(Ordering::SeqCst) == 1;
        until(all_gone, super::stop);
    }
    unsafe extern "C" fn gone(_: *mut c_void) {
        assert_eq!(CLOSED.load(Ordering::SeqCst), 4);
        GONE.fetch_add(1, Ordering::SeqCst);
    }

    application(cores(), || {
        let device = (&raw const DEVICE).cast_mut().cast();
        // SAFETY: an address that stays.
        unsafe { spdk_io_device_register(device, Some(open), Some(close), 8, c"dev".as_ptr()) };
        for _ in 0..4 {
            // SAFETY: made and used at once.
            unsafe {
                let other = spdk_thread_create(c"other".as_ptr(), null());
                on_thread(
                    other,
                    Box::new(|| {
                        let device = (&raw const DEVICE).cast_mut().cast();
                        let channel = spdk_get_io_channel(device);
                        assert_eq!(channel, spdk_get_io_channel(device));
                        spdk_put_io_channel(channel);
                    }),
                );
            }
        }
        let visit_all = || {
            let device = (&raw const DEVICE).cast_mut().cast();
            // SAFETY: registered.
            unsafe { spdk_for_each_channel(device, Some(visit), null_mut(), Some(visited)) };
        };
        until(|| OPENED.load(Ordering::SeqCst) == 4, visit_all);
    });
    assert_eq!(VISITED.load(Ordering::SeqCst), 4);
}

/// Time that this OS thread has used.
fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a place for the time.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn an_idle_application_sleeps() {
    unsafe extern "C" fn nothing(_: *mut c_void) -> c_int {
        0
    }
    static USED: Mutex<Option<Duration>> = Mutex::new(None);
    application(cores(), || {
        // SAFETY: on an SPDK thread, which outlives its use.
        let mut pollers = unsafe {
            [
                spdk_poller_register_named(Some(nothing), null_mut(), 0, null()),
                spdk_poller_register_named(Some(nothing), null_mut(), 4000, null()),
            ]
        }
        .map(|poller| poller as usize);
        let (start, used) = (Instant::now(), cpu_time());
        // A message from elsewhere wakes at once.
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(1));
            let app = spdk_thread_get_app_thread_();
            let sent = Instant::now();
            let received = move || {
                *USED.lock().unwrap() = Some(cpu_time() - used);
                assert!(
                    sent.elapsed() < Duration::from_millis(100),
                    "{:?}",
                    sent.elapsed()
                );
                assert!(start.elapsed() > Duration::from_millis(900));
                for poller in &mut pollers {
                    let mut poller = *poller as *mut spdk_poller;
                    // SAFETY: on their thread.
                    unsafe { spdk_poller_unregister(&mut poller) };
                }
                super::stop();
            };
            // SAFETY: alive.
            unsafe { on_thread(app as *const spdk_thread, Box::new(received)) };
        });
    });
    let used = USED.lock().unwrap().unwrap();
    eprintln!("idle for a second: {used:?}");
    assert!(used < Duration::from_millis(100), "{used:?}");
}

fn spdk_thread_get_app_thread_() -> usize {
    // SAFETY: reads a pointer.
    unsafe { spdk_thread_get_app_thread() as usize }
}
