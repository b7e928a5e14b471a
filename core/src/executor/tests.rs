//! Unit tests of the executor, on threads of the standard library.

mod holds;
mod kicks;
mod model;
mod spawned;
mod states;
mod support;
mod timers;
mod wakers;
