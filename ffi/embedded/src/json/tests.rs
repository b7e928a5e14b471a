use barespdk_sys::{
    SPDK_JSON_VAL_ARRAY_BEGIN, SPDK_JSON_VAL_NAME, SPDK_JSON_VAL_NUMBER,
    SPDK_JSON_VAL_OBJECT_BEGIN, SPDK_JSON_VAL_STRING,
};
use serde_json::json;

use super::*;

fn value(text: &str) -> Value {
    let document = scan(text.as_bytes(), false).unwrap();
    assert_eq!(document.end, text.len(), "{text}");
    to_value(&document.tokens, text.as_bytes()).unwrap()
}

fn failure(text: &[u8]) -> Failure {
    scan(text, false).unwrap_err().failure
}

#[test]
fn values_of_every_kind() {
    for text in [
        "null",
        "true",
        "[]",
        "{}",
        "\"a\\u00e9\\ud83e\\udd80\\n\\/\"",
        "[1,-2,0,18446744073709551615,[[]],{}]",
        r#"{"a":{"b":[1,{"c":null}]},"d":false}"#,
        " { \"a\" : [ 1 , 2 ] } \n",
    ] {
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(value(text), expected, "{text}");
    }
    assert_eq!(value("1e3"), json!(1000));
    assert_eq!(value("-10.0"), json!(-10));
    assert_eq!(value("0.5").as_f64(), Some(0.5));
}

#[test]
fn what_more_text_can_make_good_is_incomplete() {
    let whole = br#"{"a":[1,-2.5e+3,"\u00e9\ud83e\udd80x",true,null],"b":{}}"#;
    for len in 0..whole.len() {
        assert_eq!(failure(&whole[..len]), Failure::Incomplete, "{len}");
    }
    assert_eq!(failure(b"\"\xc3"), Failure::Incomplete);
}

#[test]
fn what_no_text_can_make_good_is_invalid() {
    for text in [
        &b"x"[..],
        b"tru ",
        b"[1,]",
        b"{\"a\":1,}",
        b"[1 2]",
        b"[}",
        b"{]",
        b"{\"a\"]",
        b"{\"a\":]",
        b"{1:2}",
        b"]",
        b"[01]",
        b"-x",
        b"[1.]",
        b"\"\x01\"",
        b"\"\\x\"",
        b"\"\\udd80\"",
        b"\"\\ud83e\\u0041\"",
        b"\"\xff",
        b"\"\xc3\"",
        b"/**/1",
        b":",
    ] {
        assert_eq!(failure(text), Failure::Invalid, "{}", text.escape_ascii());
    }
    assert_eq!(failure("[".repeat(65).as_bytes()), Failure::TooDeep);
    let deep = "[".repeat(64) + &"]".repeat(64);
    assert!(scan(deep.as_bytes(), false).is_ok());
}

#[test]
fn comments_where_they_are_allowed() {
    let text = b"// a\n{ /* b * / */ \"a\": 1 } // c";
    let document = scan(text, true).unwrap();
    assert_eq!(to_value(&document.tokens, text).unwrap(), json!({"a": 1}));
    assert_eq!(scan(b"/", true).unwrap_err().failure, Failure::Incomplete);
    assert_eq!(scan(b"/x", true).unwrap_err().failure, Failure::Invalid);
}

#[test]
fn a_name_given_twice_is_an_error() {
    let text = br#"{"a":1,"a":2}"#;
    let document = scan(text, false).unwrap();
    assert_eq!(
        to_value(&document.tokens, text).unwrap_err().0,
        "a".to_owned()
    );
}

#[test]
fn values_stand_as_spdk_lays_them_out() {
    let text = br#"{"n\u0041":["a\\b",12]}"#;
    let document = scan(text, false).unwrap();
    let values = Values::new(&document.tokens, text);
    // SAFETY: six values were scanned.
    let slice = unsafe { std::slice::from_raw_parts(values.as_ptr(), 6) };
    let kinds: Vec<_> = slice.iter().map(|value| value.r#type).collect();
    assert_eq!(
        kinds[..5],
        [
            SPDK_JSON_VAL_OBJECT_BEGIN,
            SPDK_JSON_VAL_NAME,
            SPDK_JSON_VAL_ARRAY_BEGIN,
            SPDK_JSON_VAL_STRING,
            SPDK_JSON_VAL_NUMBER
        ]
    );
    assert_eq!((slice[0].len, slice[2].len), (5, 2));
    let text_of = |index: usize| {
        // SAFETY: points into the text that `values` owns.
        let bytes = unsafe {
            std::slice::from_raw_parts(slice[index].start.cast::<u8>(), slice[index].len as usize)
        };
        std::str::from_utf8(bytes).unwrap()
    };
    assert_eq!((text_of(1), text_of(3), text_of(4)), ("nA", "a\\b", "12"));
}

#[test]
fn written_as_spdk_writes() {
    let mut text = Vec::<u8>::new();
    let mut writer = Writer::new(Some(append), (&raw mut text).cast(), 0);
    writer
        .value(&json!({"a": [1, "\u{0}\"\\\n\u{7f}\u{e9}\u{1f980}", null, {}, []], "b": true}))
        .unwrap();
    writer.end().unwrap();
    assert_eq!(
        String::from_utf8(text).unwrap(),
        r#"{"a":[1,"\u0000\"\\\n\u007F\u00E9\uD83E\uDD80",null,{},[]],"b":true}"#
    );
}

#[test]
fn a_failure_stays() {
    let mut text = Vec::<u8>::new();
    let mut writer = Writer::new(Some(append), (&raw mut text).cast(), 0);
    assert!(writer.string(b"\xff").is_err());
    assert!(writer.null().is_err());
    assert!(writer.end().is_err());
    writer.reset();
    assert!(writer.array_end().is_err());
}

#[test]
fn captured_through_the_abi() {
    let elements = capture_array(|w| {
        // SAFETY: a live writer.
        unsafe { barespdk_sys::spdk_json_write_uint64(w, u64::MAX) };
        // SAFETY: a live writer.
        unsafe { barespdk_sys::spdk_json_write_null(w) };
    });
    assert_eq!(elements, [json!(u64::MAX), Value::Null]);
    assert_eq!(capture(|_| ()), Value::Null);
}

/// Random changes of texts: none makes the scanner panic, and serde_json agrees about what is JSON.
#[test]
fn another_parser_agrees() {
    let texts: [&[u8]; 3] = [
        br#"{"jsonrpc":"2.0","method":"a","params":{"b":[1,-2.5e+3,null]},"id":12}"#,
        br#"["\u00e9\ud83e\udd80\n\/\\",{"":{}},[[],[true,false]],0.10,"x\u0000"]"#,
        br#"[{"name":"M","uuid":"01234567-89ab-cdef","size":18446744073709551615}]  "#,
    ];
    let pieces = b"{}[]:,\"\\u0e1-+. \ntrue\xc3\xa9\x00\xff/*";
    let mut state = 1_u64;
    let mut below = |limit: usize| {
        // A linear congruential generator is random enough, and the same each time.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    let mut valid = 0;
    for round in 0..60_000 {
        let mut text = texts[round % texts.len()].to_vec();
        for _ in 0..=below(3) {
            let at = below(text.len());
            match below(3) {
                0 => text[at] = pieces[below(pieces.len())],
                1 => text.insert(at, pieces[below(pieces.len())]),
                _ => drop(text.remove(at)),
            }
        }
        let ours = scan(&text, false);
        let whole = matches!(&ours, Ok(document) if document.end == text.len());
        let theirs = serde_json::from_slice::<Value>(&text);
        assert_eq!(whole, theirs.is_ok(), "{}", text.escape_ascii());
        if let Ok(document) = ours {
            let _ = to_value(&document.tokens, &text);
            let _ = Values::new(&document.tokens, &text);
        }
        valid += u32::from(whole);
        let _ = scan(&text, true);
    }
    assert!(valid > 1000, "{valid} of the texts were JSON");
}
