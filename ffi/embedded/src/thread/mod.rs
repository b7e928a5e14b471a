//! Lightweight threads, messages, pollers, io_devices and channels. C: `spdk/thread.h`.
