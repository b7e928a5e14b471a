//! The parts of the build script, as a module of it and of its tests.

pub(crate) mod error;
pub(crate) mod find;
pub(crate) mod link;
pub(crate) mod pc;
pub(crate) mod version;
