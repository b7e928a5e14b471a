//! raid1ctl, driven as its users do, against an application that is a part of the test: every
//! subcommand, exit code and kind of error, as text and as JSON.

mod application;
mod changes;
mod connection;
mod export;
mod run;
mod show;
mod usage;
mod watch;
