//! Runs the tool on copies of small fixtures, each with one thing wrong. Needs a C compiler (and
//! `ar`), but no SPDK.

mod bindings;
mod headers;
mod mutate;
mod workspace;
