//! Methods are registered without a lock before SPDK starts, and no longer after.

use std::cell::Cell;

use barespdk::app::App;

fn main() {
    let kept = Cell::new(None);
    let _ = App::new("misuse")
        .before_start(|startup| {
            kept.set(Some(startup));
            Ok(())
        })
        .run(["misuse"], || ());
}
