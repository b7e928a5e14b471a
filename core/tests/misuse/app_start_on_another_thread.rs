//! The app thread may be another OS thread than the one that runs the application.

use std::rc::Rc;

use barespdk::app::App;

fn main() {
    let count = Rc::new(1);
    let _ = App::new("misuse").run(["misuse"], move || println!("{count}"));
}
