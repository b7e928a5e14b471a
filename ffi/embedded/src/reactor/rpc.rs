//! RPCs about reactors.
