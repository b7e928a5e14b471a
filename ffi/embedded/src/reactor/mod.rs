//! Reactors: each an OS thread that runs SPDK threads; or, in a simulation, all on one.
