//! The log. C: `spdk/log.h`.
