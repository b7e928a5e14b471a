//! RPCs about threads.
