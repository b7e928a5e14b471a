//! What a request asks for: from text to method, parameters and id.

use barespdk_sys::{
    SPDK_JSON_VAL_ARRAY_BEGIN, SPDK_JSON_VAL_NULL, SPDK_JSON_VAL_NUMBER,
    SPDK_JSON_VAL_OBJECT_BEGIN, SPDK_JSON_VAL_STRING,
};
use serde_json::Value;

use super::request::{Id, Request, Sink};
use super::{RpcError, registry};
use crate::json::{Document, Token, Values, scan, to_value};

/// Most values and names in a request.
const VALUES_MAX: usize = 1024;

/// A request that is one.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) method: String,
    id: Id,
    /// None if there are no parameters, or null.
    params: Option<&'a [Token]>,
    text: &'a [u8],
}

impl<'a> Call<'a> {
    /// Reads a request. The error goes with the id, as far as that is known by then.
    fn read(document: &'a Document, text: &'a [u8]) -> Result<Self, (Id, RpcError)> {
        let wrong = |id: &Id| (id.clone(), RpcError::invalid_request());
        let [mut version, mut method, mut params, mut id] = [None; 4];
        let tokens = &document.tokens[..];
        // A batch is an array; neither SPDK nor this takes one.
        if tokens.first().map(|first| first.kind) != Some(SPDK_JSON_VAL_OBJECT_BEGIN) {
            return Err(wrong(&Id::None));
        }
        let mut rest = &tokens[1..tokens.len() - 1];
        while let Some((name, behind)) = rest.split_first() {
            let (value, behind) = split_value(behind);
            let place = match name.text(text) {
                b"jsonrpc" => &mut version,
                b"method" => &mut method,
                b"params" => &mut params,
                b"id" => &mut id,
                _ => return Err(wrong(&Id::None)),
            };
            if place.replace(value).is_some() {
                return Err(wrong(&Id::None));
            }
            rest = behind;
        }
        let string = |value: &[Token]| match value {
            [token] if token.kind == SPDK_JSON_VAL_STRING => to_value(value, text).ok(),
            _ => None,
        };
        if version.is_some_and(|value| string(value) != Some(Value::from("2.0"))) {
            return Err(wrong(&Id::None));
        }
        let Some(Value::String(method)) = method.and_then(string) else {
            return Err(wrong(&Id::None));
        };
        let id = match id {
            None => Id::None,
            Some([token]) => match token.kind {
                SPDK_JSON_VAL_NULL => Id::None,
                SPDK_JSON_VAL_NUMBER => Id::Json(token.text(text).to_vec()),
                SPDK_JSON_VAL_STRING => Id::Json([b"\"", token.text(text), b"\""].concat()),
                _ => return Err(wrong(&Id::None)),
            },
            Some(_) => return Err(wrong(&Id::None)),
        };
        let params = match params {
            Some([token]) if token.kind == SPDK_JSON_VAL_NULL => None,
            Some(value) => match value[0].kind {
                SPDK_JSON_VAL_ARRAY_BEGIN | SPDK_JSON_VAL_OBJECT_BEGIN => Some(value),
                _ => return Err(wrong(&id)),
            },
            None => None,
        };
        Ok(Self {
            method,
            id,
            params,
            text,
        })
    }

    /// The parameters as handlers from C get them.
    pub(super) fn values(&self) -> Option<Values> {
        self.params.map(|params| Values::new(params, self.text))
    }

    /// The parameters as this crate's handlers get them.
    pub(super) fn value(&self) -> Result<Option<Value>, RpcError> {
        let value = self.params.map(|params| to_value(params, self.text));
        value.transpose().map_err(|twice| {
            RpcError::invalid_params(format!("Parameter '{}' is given more than once", twice.0))
        })
    }
}

/// The value that tokens begin with, which is whole, and what follows it.
fn split_value(tokens: &[Token]) -> (&[Token], &[Token]) {
    let count = match tokens.first() {
        Some(first)
            if matches!(
                first.kind,
                SPDK_JSON_VAL_ARRAY_BEGIN | SPDK_JSON_VAL_OBJECT_BEGIN
            ) =>
        {
            first.len + 2
        }
        Some(_) => 1,
        None => 0,
    };
    tokens.split_at(count)
}

/// Answers the request that a text holds. On the app thread.
pub(super) fn take(document: &Document, text: &[u8], sink: Sink) {
    match Call::read(document, text) {
        Ok(call) => registry::dispatch(Request::new(sink, call.id.clone()), &call),
        Err((id, error)) => Request::new(sink, id).fail(&error),
    }
}

/// Whether a request has too many values.
pub(super) fn is_too_large(document: &Document) -> bool {
    document.tokens.len() > VALUES_MAX
}

/// Answers a text that is no JSON.
pub(super) fn refuse(sink: Sink) {
    Request::new(sink, Id::None).fail(&RpcError::parse_error());
}

/// Calls a method from within, as a client would; `done` gets the outcome, on the app thread, where
/// this must be called too. Whatever `method` and `params` are.
pub(crate) fn call(
    method: &str,
    params: Option<&Value>,
    done: impl FnOnce(Result<Value, RpcError>) + 'static,
) {
    let mut request = serde_json::Map::new();
    request.insert("method".into(), method.into());
    request.insert("id".into(), 1.into());
    if let Some(params) = params {
        request.insert("params".into(), params.clone());
    }
    let text = Value::Object(request).to_string().into_bytes();
    let sink = Sink::Call(Box::new(move |response| done(outcome(&response))));
    match scan(&text, false) {
        Ok(document) => take(&document, &text, sink),
        Err(_) => refuse(sink),
    }
}

/// The outcome that a response tells.
fn outcome(response: &[u8]) -> Result<Value, RpcError> {
    let document = scan(response, false).ok();
    let value = document.and_then(|document| to_value(&document.tokens, response).ok());
    let Some(Value::Object(mut members)) = value else {
        return Err(RpcError::internal("The response is no JSON"));
    };
    match members.remove("error") {
        None => Ok(members.remove("result").unwrap_or_default()),
        Some(error) => Err(RpcError {
            code: error["code"].as_i64().unwrap_or_default() as i32,
            message: error["message"].as_str().unwrap_or_default().to_owned(),
        }),
    }
}
