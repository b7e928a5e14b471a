//! JSON out, through the writer of a real SPDK.

#[cfg(all(feature = "embedded", not(feature = "spdk")))]
use barespdk_embedded as _;

use barespdk::json::{self, WriteError, WriteJson};
use barespdk::uuid::Uuid;

fn text(value: &(impl WriteJson + ?Sized)) -> String {
    json::to_string(|writer| writer.write(value)).unwrap()
}

#[test]
fn values() {
    assert_eq!(text(&true), "true");
    assert_eq!(text(&u64::MAX), "18446744073709551615");
    assert_eq!(text(&i64::MIN), "-9223372036854775808");
    assert_eq!(text(&7_usize), "7");
    assert_eq!(text(&None::<u8>), "null");
    assert_eq!(text(&Some("x")), "\"x\"");
    assert_eq!(text(&vec![1_u8, 2]), "[1,2]");
    assert_eq!(text(&["a", "b"][..]), "[\"a\",\"b\"]");
    let uuid = Uuid::parse("01234567-89AB-cdef-0123-456789abcdef").unwrap();
    assert_eq!(text(&uuid), "\"01234567-89ab-cdef-0123-456789abcdef\"");
}

#[test]
fn strings_and_names_may_hold_anything() {
    let odd = "a\0b\"\\\n\u{e9}\u{1f980}%s";
    let written = json::to_string(|writer| {
        writer.object(|object| {
            object.field(odd, odd);
            object.field("", "");
        });
    });
    let escaped = r#""a\u0000b\"\\\n"#.to_owned() + r#"\u00E9\uD83E\uDD80%s""#;
    assert_eq!(
        written.unwrap(),
        format!("{{{escaped}:{escaped},\"\":\"\"}}")
    );
}

#[test]
fn nested() {
    let written = json::to_string(|writer| {
        writer.object(|object| {
            object.field("name", "m");
            object.array("legs", |legs| {
                for slot in 0..2_u32 {
                    legs.object(|leg| leg.field("slot", &slot));
                }
                legs.array(|_| ());
                legs.push("x");
            });
            object.object("empty", |_| ());
            object.value("last", |writer| writer.bool(false));
        });
    });
    assert_eq!(
        written.unwrap(),
        r#"{"name":"m","legs":[{"slot":0},{"slot":1},[],"x"],"empty":{},"last":false}"#
    );
}

#[test]
fn what_is_not_written_is_null() {
    assert_eq!(json::to_string(|_| ()).unwrap(), "null");
    let written = json::to_string(|writer| {
        writer.object(|object| {
            object.value("member", |_| ());
            object.array("array", |array| array.value(|_| ()));
        });
    });
    assert_eq!(written.unwrap(), r#"{"member":null,"array":[null]}"#);
}

#[test]
fn a_long_document_is_complete() {
    let long = "x".repeat(10_000);
    let written = json::to_string(|writer| {
        writer.array(|array| (0..100).for_each(|_| array.push(long.as_str())));
    })
    .unwrap();
    assert_eq!(written.len(), 100 * (10_000 + 2) + 99 + 2);
}

#[test]
fn errors_are_texts() {
    assert_eq!(
        WriteError.to_string(),
        "the JSON document could not be written"
    );
}

#[test]
fn random_uuids_differ_and_are_not_nil() {
    let (first, second) = (Uuid::random(), Uuid::random());
    assert_ne!(first, second);
    assert!(!first.is_nil());
    assert_eq!(Uuid::parse(&first.to_string()), Ok(first));
}
