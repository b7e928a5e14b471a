//! The application framework. C: `spdk/event.h`.
