//! A member has one value.

fn main() {
    let _ = barespdk::json::to_string(|writer| {
        writer.bool(true);
        writer.null();
    });
}
