//! Several futures at a time.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;

/// A future, until it has ended.
type Running<F> = Option<Pin<Box<F>>>;

/// Waits for all of a few futures, each of which is polled whenever one is woken. Their outputs, in the order
/// in which they have ended.
pub(crate) async fn join<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let boxed = |future| Some(Box::pin(future));
    let mut running: Vec<Running<F>> = futures.into_iter().map(boxed).collect();
    let mut outputs = Vec::with_capacity(running.len());
    poll_fn(|cx| {
        for future in &mut running {
            if let Some(Poll::Ready(output)) =
                future.as_mut().map(|future| future.as_mut().poll(cx))
            {
                *future = None;
                outputs.push(output);
            }
        }
        match outputs.len() == running.len() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    outputs
}
