//! The parameters of a request, by name and type.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::error::RpcError;
use crate::json::{FromValue, Kind, Mismatch, Value};

/// The named parameters of one request.
///
/// Ask for each with [`required`](Self::required) or [`optional`](Self::optional), then call
/// [`finish`](Self::finish), which refuses what was not asked for, before anything is done. Strings
/// are borrowed from the request, `'a`.
#[derive(Debug)]
#[must_use = "`finish` refuses unknown parameters"]
pub struct Params<'a> {
    object: Option<Value<'a>>,
    known: Vec<&'static str>,
}

impl<'a> Params<'a> {
    /// Takes the parameters of a request. No parameters (`None`, `null`) are an empty object.
    ///
    /// # Errors
    /// The parameters are neither an object nor missing.
    pub fn new(value: Option<Value<'a>>) -> Result<Self, RpcError> {
        let object = match value.map(|value| (value.kind(), value)) {
            None | Some((Kind::Null, _)) => None,
            Some((Kind::Object, value)) => Some(value),
            Some((_, value)) => {
                return Err(RpcError::invalid_params(format_args!(
                    "Parameters must be an object with a name for each, found {value}"
                )));
            }
        };
        Ok(Self {
            object,
            known: Vec::new(),
        })
    }

    /// Whether there are no parameters at all.
    pub fn is_empty(&self) -> bool {
        self.members().next().is_none()
    }

    /// Reads a parameter that must be there.
    ///
    /// # Errors
    /// The parameter is missing, given twice or not a `T`; the message names it, and what was found.
    pub fn required<T: FromValue<'a>>(&mut self, name: &'static str) -> Result<T, RpcError> {
        let value = self.find(name)?.ok_or_else(|| missing(name))?;
        value.decode().map_err(|mismatch| mistyped(name, &mismatch))
    }

    /// Reads a parameter that may be missing or `null`: `None`.
    ///
    /// # Errors
    /// The parameter is given twice or not a `T`; the message names it, and what was found.
    pub fn optional<T: FromValue<'a>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, RpcError> {
        match self.find(name)? {
            Some(value) if !value.is_null() => value
                .decode()
                .map(Some)
                .map_err(|mismatch| mistyped(name, &mismatch)),
            _ => Ok(None),
        }
    }

    /// Reads a parameter that must be one of some words, each of which stands for a `T`.
    ///
    /// # Errors
    /// As for [`required`](Self::required); the message lists the words.
    pub fn required_one_of<T: Clone>(
        &mut self,
        name: &'static str,
        words: &[(&str, T)],
    ) -> Result<T, RpcError> {
        let value = self.find(name)?.ok_or_else(|| missing(name))?;
        one_of(name, value, words)
    }

    /// Reads a parameter that is one of some words, or missing or `null`: `None`.
    ///
    /// # Errors
    /// As for [`optional`](Self::optional); the message lists the words.
    pub fn optional_one_of<T: Clone>(
        &mut self,
        name: &'static str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, RpcError> {
        match self.find(name)? {
            Some(value) if !value.is_null() => one_of(name, value, words).map(Some),
            _ => Ok(None),
        }
    }

    /// Ends the reading: refuses parameters that were not asked for.
    ///
    /// # Errors
    /// There is such a parameter; the message names it and the ones that the method knows.
    pub fn finish(self) -> Result<(), RpcError> {
        match self.members().find(|(name, _)| !self.known.contains(name)) {
            None => Ok(()),
            Some((name, _)) if self.known.is_empty() => {
                Err(RpcError::invalid_params(format_args!(
                    "Unknown parameter '{}': none are known",
                    crate::json::Shown(name)
                )))
            }
            Some((name, _)) => Err(RpcError::invalid_params(format_args!(
                "Unknown parameter '{}' (known: {})",
                crate::json::Shown(name),
                self.known.join(", ")
            ))),
        }
    }

    fn members(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'a> {
        self.object.and_then(Value::members).into_iter().flatten()
    }

    fn find(&mut self, name: &'static str) -> Result<Option<Value<'a>>, RpcError> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        let mut found = self.members().filter(|(member, _)| *member == name);
        let first = found.next();
        if found.next().is_some() {
            return Err(RpcError::invalid_params(format_args!(
                "Parameter '{name}' is given more than once"
            )));
        }
        Ok(first.map(|(_, value)| value))
    }
}

fn missing(name: &str) -> RpcError {
    RpcError::invalid_params(format_args!("Missing parameter '{name}'"))
}

fn mistyped(name: &str, mismatch: &Mismatch<'_>) -> RpcError {
    match mismatch.index() {
        Some(index) => RpcError::invalid_param(&format!("{name}[{index}]"), mismatch),
        None => RpcError::invalid_param(name, mismatch),
    }
}

fn one_of<T: Clone>(name: &str, value: Value<'_>, words: &[(&str, T)]) -> Result<T, RpcError> {
    let given = value.as_str();
    match words.iter().find(|(word, _)| given == Some(word)) {
        Some((_, meaning)) => Ok(meaning.clone()),
        None => {
            let mut list = String::new();
            for (word, _) in words {
                if !list.is_empty() {
                    list.push_str(", ");
                }
                list.push_str(&format!("\"{word}\""));
            }
            Err(RpcError::invalid_param(
                name,
                format_args!("expected one of {list}, found {value}"),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::json::Name;
    use crate::json::tokenizer::Document;
    use crate::uuid::Uuid;

    #[track_caller]
    fn fails<T>(result: Result<T, RpcError>, message: &str) {
        match result {
            Ok(_) => panic!("was accepted"),
            Err(error) => {
                assert_eq!(error.code(), RpcError::INVALID_PARAMS);
                assert_eq!(error.message(), message);
            }
        }
    }

    fn with<R>(text: &str, read: impl FnOnce(Params<'_>) -> R) -> R {
        let document = Document::new(text);
        read(Params::new(Some(document.value())).unwrap())
    }

    #[test]
    fn no_params_are_an_empty_object() {
        let document = Document::new("null");
        for value in [None, Some(document.value())] {
            let mut params = Params::new(value).unwrap();
            assert!(params.is_empty());
            assert_eq!(params.optional::<u32>("size").unwrap(), None);
            fails(params.required::<u32>("size"), "Missing parameter 'size'");
            params.finish().unwrap();
        }
    }

    #[test]
    fn params_must_be_an_object() {
        for (text, found) in [
            ("[1,2]", "an array of 2 values"),
            ("5", "5"),
            ("'x'", "\"x\""),
            ("true", "true"),
        ] {
            let document = Document::new(text);
            fails(
                Params::new(Some(document.value())),
                &format!("Parameters must be an object with a name for each, found {found}"),
            );
        }
    }

    #[test]
    fn typed_parameters() {
        let text = "{'name':'m','uuid':null,'legs':['a','b'],'size':8,'on':true}";
        with(text, |mut params| {
            assert_eq!(
                params.required::<Name<'_, 8>>("name").unwrap().as_str(),
                "m"
            );
            assert_eq!(params.optional::<Uuid>("uuid").unwrap(), None);
            assert_eq!(params.required::<Vec<&str>>("legs").unwrap(), ["a", "b"]);
            assert_eq!(params.optional::<u16>("size").unwrap(), Some(8));
            assert!(params.required::<bool>("on").unwrap());
            params.finish().unwrap();
        });
    }

    #[test]
    fn mistyped_parameters_are_named() {
        with(
            "{'name':5,'legs':['a',7],'size':-1,'empty':'','no':null}",
            |mut params| {
                fails(
                    params.required::<&str>("name"),
                    "Invalid parameter 'name': expected a string, found 5",
                );
                fails(
                    params.required::<Vec<&str>>("legs"),
                    "Invalid parameter 'legs[1]': expected a string, found 7",
                );
                fails(
                    params.optional::<u32>("size"),
                    "Invalid parameter 'size': expected an integer from 0 to 4294967295, found -1",
                );
                fails(
                    params.required::<Name<'_, 63>>("empty"),
                    "Invalid parameter 'empty': expected a name of 1 to 63 bytes without NUL, \
                 found \"\"",
                );
                fails(
                    params.required::<bool>("no"),
                    "Invalid parameter 'no': expected true or false, found null",
                );
            },
        );
    }

    #[test]
    fn unknown_parameters_are_named() {
        with("{'name':'m','nmae':'x'}", |mut params| {
            params.required::<&str>("name").unwrap();
            params.optional::<Uuid>("uuid").unwrap();
            fails(
                params.finish(),
                "Unknown parameter 'nmae' (known: name, uuid)",
            );
        });
        with("{'a\n':1}", |params| {
            fails(params.finish(), "Unknown parameter 'a\\n': none are known");
        });
    }

    #[test]
    fn parameters_given_twice_are_refused() {
        with("{'name':'a','size':1,'name':'b'}", |mut params| {
            params.required::<u8>("size").unwrap();
            fails(
                params.required::<&str>("name"),
                "Parameter 'name' is given more than once",
            );
            fails(
                params.optional::<&str>("name"),
                "Parameter 'name' is given more than once",
            );
        });
    }

    #[test]
    fn words() {
        const WORDS: &[(&str, u8)] = &[("all", 1), ("online", 2)];
        with("{'category':'online','x':'off','y':5}", |mut params| {
            assert_eq!(params.required_one_of("category", WORDS).unwrap(), 2);
            assert_eq!(params.optional_one_of("none", WORDS).unwrap(), None);
            fails(
                params.optional_one_of("x", WORDS),
                "Invalid parameter 'x': expected one of \"all\", \"online\", found \"off\"",
            );
            fails(
                params.required_one_of("y", WORDS),
                "Invalid parameter 'y': expected one of \"all\", \"online\", found 5",
            );
            fails(params.required_one_of("z", WORDS), "Missing parameter 'z'");
        });
    }

    #[test]
    fn strings_outlive_the_params_but_not_the_request() {
        let document = Document::new("{'name':'m'}");
        let name = {
            let mut params = Params::new(Some(document.value())).unwrap();
            let name = params.required::<&str>("name").unwrap();
            params.finish().unwrap();
            name
        };
        assert_eq!(name, "m");
    }
}
