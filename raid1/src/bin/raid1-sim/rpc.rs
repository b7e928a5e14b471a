//! RPCs during a life, as operators call them.

use barespdk::message::oneshot;
use serde_json::Value;

use crate::verdict;

/// Calls a method on the app thread, where this runs.
pub(crate) async fn call(method: &'static str, params: Value) -> Result<Value, (i32, String)> {
    verdict::trace(|| format!("{method} {params}"));
    let (sender, receiver) = oneshot();
    barespdk_embedded::sim::call_rpc(method, Some(&params), move |outcome| {
        // Whoever waits does so until the end of the life.
        let _ = sender.send(outcome);
    });
    let outcome = match receiver.await {
        Ok(outcome) => outcome,
        Err(errno) => verdict::failed(&format!("{method} is never answered: {errno}")),
    };
    verdict::trace(|| format!("{method}: {outcome:?}"));
    outcome
}
