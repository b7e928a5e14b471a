//! From tokens to what those who read JSON want: SPDK's array of values, or values of serde_json.

use std::ffi::c_void;

use barespdk_sys::{
    SPDK_JSON_VAL_ARRAY_BEGIN, SPDK_JSON_VAL_FALSE, SPDK_JSON_VAL_NAME, SPDK_JSON_VAL_NUMBER,
    SPDK_JSON_VAL_OBJECT_BEGIN, SPDK_JSON_VAL_STRING, SPDK_JSON_VAL_TRUE, spdk_json_val,
};
use serde_json::{Map, Number, Value};

use super::parse::{Token, unescape};

/// Values in the form of the ABI, with the text that they point into.
pub(crate) struct Values {
    values: Vec<spdk_json_val>,
    /// What `values` point into; never moved or changed any more.
    _text: Box<[u8]>,
}

impl Values {
    /// Lays out tokens of `text` as `spdk_json_parse` does, with strings decoded in place.
    pub(crate) fn new(tokens: &[Token], text: &[u8]) -> Self {
        let mut own: Box<[u8]> = text.into();
        let base = own.as_mut_ptr();
        let mut values = Vec::with_capacity(tokens.len());
        for token in tokens {
            let mut len = token.len;
            if matches!(token.kind, SPDK_JSON_VAL_STRING | SPDK_JSON_VAL_NAME) {
                let encoded = &mut own[token.start..token.start + token.len];
                if encoded.contains(&b'\\') {
                    let plain = unescape(encoded);
                    // No escape is shorter than what it stands for.
                    encoded[..plain.len()].copy_from_slice(plain.as_bytes());
                    len = plain.len();
                }
            }
            values.push(spdk_json_val {
                start: base.wrapping_add(token.start).cast::<c_void>(),
                // Requests are far smaller than 4 GiB.
                len: len as u32,
                r#type: token.kind,
            });
        }
        Self { values, _text: own }
    }

    /// The first of the values. Good as long as this lives.
    pub(crate) fn as_ptr(&self) -> *const spdk_json_val {
        self.values.as_ptr()
    }
}

/// A name that an object has twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Twice(pub(crate) String);

/// The value that `tokens` begin with. They have been scanned from `text`.
///
/// # Errors
/// An object has a name twice, which SPDK refuses where it knows the names.
pub(crate) fn to_value(tokens: &[Token], text: &[u8]) -> Result<Value, Twice> {
    Ok(first(tokens, text)?.0)
}

/// The first value, and how many tokens it takes.
fn first(tokens: &[Token], text: &[u8]) -> Result<(Value, usize), Twice> {
    let Some(token) = tokens.first() else {
        return Ok((Value::Null, 0));
    };
    let inner = match token.kind {
        SPDK_JSON_VAL_ARRAY_BEGIN | SPDK_JSON_VAL_OBJECT_BEGIN => &tokens[1..=token.len],
        _ => &[],
    };
    let value = match token.kind {
        SPDK_JSON_VAL_TRUE => Value::Bool(true),
        SPDK_JSON_VAL_FALSE => Value::Bool(false),
        SPDK_JSON_VAL_STRING => Value::String(unescape(token.text(text))),
        SPDK_JSON_VAL_NUMBER => number(token.text(text)),
        SPDK_JSON_VAL_ARRAY_BEGIN => {
            let (mut elements, mut at) = (Vec::new(), 0);
            while at < inner.len() {
                let (element, count) = first(&inner[at..], text)?;
                elements.push(element);
                at += count;
            }
            Value::Array(elements)
        }
        SPDK_JSON_VAL_OBJECT_BEGIN => {
            let (mut members, mut at) = (Map::new(), 0);
            while at < inner.len() {
                let name = unescape(inner[at].text(text));
                let (value, count) = first(&inner[at + 1..], text)?;
                if members.contains_key(&name) {
                    return Err(Twice(name));
                }
                members.insert(name, value);
                at += 1 + count;
            }
            Value::Object(members)
        }
        _ => Value::Null,
    };
    let count = match inner {
        [] if !matches!(
            token.kind,
            SPDK_JSON_VAL_ARRAY_BEGIN | SPDK_JSON_VAL_OBJECT_BEGIN
        ) =>
        {
            1
        }
        _ => inner.len() + 2,
    };
    Ok((value, count))
}

impl Token {
    /// The text of a token that is no array or object.
    pub(crate) fn text<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.start..self.start + self.len)
            .unwrap_or_default()
    }
}

/// A number. One that is whole is written as an integer, however it was given: SPDK takes `1e3` and
/// `10.0` where an integer is wanted.
fn number(text: &[u8]) -> Value {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let text = String::from_utf8_lossy(text);
    if text.contains(['.', 'e', 'E'])
        && let Ok(float) = text.parse::<f64>()
        && float.fract() == 0.0
        && float.abs() < EXACT_MAX
    {
        return Value::from(float as i64);
    }
    text.parse::<Number>().map_or(Value::Null, Value::Number)
}
