//! An object is open while its closure runs.

fn main() {
    let mut kept = None;
    let _ = barespdk::json::to_string(|writer| {
        writer.object(|object| kept = Some(object));
    });
}
