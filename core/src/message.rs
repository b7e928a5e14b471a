//! What travels between threads: closures, single values, and items in a queue of fixed size.
//!
//! - [`Thread::send`](crate::thread::Thread::send) runs a closure on another SPDK thread. The closure
//!   is boxed once, together with its place in the receiver's queue.
//! - [`oneshot`] carries one value to one task, from any thread.
//! - [`Mailbox`] carries items without any allocation; a full one gives the item back.
//!
//! None of them needs SPDK; the wakers they hold decide where a receiver runs.

mod inbox;
mod mailbox;
mod oneshot;

pub use mailbox::{Full, Mailbox, Recv};
pub use oneshot::{Receiver, Sender, oneshot};

pub(crate) use inbox::{Inbox, Job};
