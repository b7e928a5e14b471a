use serde_json::json;

use super::*;

fn entries(text: &str) -> Vec<(String, String, Option<Value>, usize)> {
    let config = Config::parse("test", text.as_bytes(), false).unwrap();
    let plain = |entry: Entry| (entry.subsystem, entry.method, entry.params, entry.line);
    config.entries.into_iter().map(plain).collect()
}

fn error(text: &str) -> String {
    Config::parse("test", text.as_bytes(), false)
        .unwrap_err()
        .to_string()
}

#[test]
fn methods_in_their_order() {
    let text = r#"{ // a comment
        "subsystems": [
            {"subsystem": "iobuf", "config": null},
            {"subsystem": "bdev", "config": [
                {"method": "a", "params": {"b": [1, "\u00e9"]}},
                {"method": "c"}
            ]}
        ], "other": 5
    }"#;
    assert_eq!(
        entries(text),
        [
            (
                "bdev".into(),
                "a".into(),
                Some(json!({"b": [1, "\u{e9}"]})),
                5
            ),
            ("bdev".into(), "c".into(), None, 6),
        ]
    );
    assert_eq!(entries("{}"), []);
    assert_eq!(entries(r#"{"subsystems":[]}"#), []);
}

#[test]
fn errors_say_where() {
    for (text, message) in [
        ("", "line 1, column 1: the JSON ends too early"),
        (
            "{\n  x",
            "line 2, column 3: this is no JSON: unexpected 'x'",
        ),
        (
            "[]",
            "line 1, column 1: the configuration must be an object",
        ),
        (
            r#"{"subsystems": 5}"#,
            "line 1, column 16: 'subsystems' must be an array",
        ),
        (
            r#"{"subsystems": [5]}"#,
            "line 1, column 17: a subsystem must be an object",
        ),
        (
            r#"{"subsystems": [{"config": []}]}"#,
            "line 1, column 17: 'subsystem' is missing here",
        ),
        (
            r#"{"subsystems": [{"subsystem": "bdev"}]}"#,
            "line 1, column 17: the subsystem 'bdev' has no 'config'",
        ),
        (
            r#"{"subsystems": [{"subsystem": "bdev", "config": 7}]}"#,
            "line 1, column 49: 'config' must be an array",
        ),
        (
            r#"{"subsystems": [{"subsystem": "bdev", "config": [{"method": 7}]}]}"#,
            "line 1, column 61: 'method' must be a string",
        ),
        (
            r#"{"subsystems": [{"subsystem": "bdev", "config": [{"method": "a", "params": []}]}]}"#,
            "line 1, column 76: 'params' must be an object",
        ),
        (
            r#"{"subsystems": [{"subsystem": "bdev", "config": [{"method": "a", "parms": {}}]}]}"#,
            "line 1, column 75: an entry of 'config' has an unknown member 'parms'",
        ),
    ] {
        assert_eq!(error(text), message, "{text}");
    }
}

#[test]
fn a_method_for_all_states_is_called_once() {
    let always = SPDK_RPC_STARTUP | SPDK_RPC_RUNTIME;
    assert!(is_for(always, State::Startup));
    assert!(!is_for(always, State::Runtime));
    assert!(is_for(SPDK_RPC_RUNTIME, State::Runtime));
    assert!(!is_for(SPDK_RPC_RUNTIME, State::Startup));
    assert!(!is_for(SPDK_RPC_STARTUP, State::Runtime));
}
