//! Where the headers of an SPDK declare a name.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::bindings::Kind;
use crate::declaration;
use crate::header::Header;

/// A header file that is read when it is first needed.
type Lazy = (PathBuf, OnceLock<Option<Header>>);

/// The headers of an SPDK.
#[derive(Clone, Debug)]
pub(crate) struct Headers {
    files: Arc<BTreeMap<Arc<str>, Lazy>>,
    /// Stands for the file of this name.
    replaced: Option<(Arc<str>, Arc<Replacement>)>,
}

/// The text of a header, and what it declares once that is asked for.
#[derive(Debug)]
struct Replacement {
    text: String,
    header: OnceLock<Header>,
}

impl Headers {
    /// Lists the headers in include directories, of which the first one counts.
    pub(crate) fn of(directories: &[PathBuf]) -> Self {
        let mut files = BTreeMap::new();
        for directory in directories.iter().rev() {
            let Ok(entries) = fs::read_dir(directory.join("spdk")) else {
                continue;
            };
            for entry in entries.flatten() {
                let name = format!("spdk/{}", entry.file_name().to_string_lossy());
                if name.ends_with(".h") {
                    files.insert(Arc::from(name), (entry.path(), OnceLock::new()));
                }
            }
        }
        Self {
            files: Arc::new(files),
            replaced: None,
        }
    }

    /// The same headers but for the text of one.
    pub(crate) fn with(&self, name: Arc<str>, text: String) -> Self {
        let replacement = Replacement {
            text,
            header: OnceLock::new(),
        };
        Self {
            files: self.files.clone(),
            replaced: Some((name, Arc::new(replacement))),
        }
    }

    /// The names of all headers.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.files.keys()
    }

    /// A header by its name in an `#include`.
    pub(crate) fn get(&self, name: &str) -> Option<&Header> {
        if let Some((replaced, replacement)) = &self.replaced
            && **replaced == *name
        {
            let Replacement { text, header } = &**replacement;
            return Some(header.get_or_init(|| Header::parse(text.clone())));
        }
        let (path, header) = self.files.get(name)?;
        header.get_or_init(|| Header::read(path).ok()).as_ref()
    }

    /// What `find` finds in the header `first`, or else in another one, with the header's name.
    pub(crate) fn find<'a, T>(
        &'a self,
        first: &str,
        find: impl Fn(&'a Header) -> Option<T>,
    ) -> Option<(Arc<str>, T)> {
        if let Some((name, _)) = self.files.get_key_value(first)
            && let Some(found) = self.get(first).and_then(&find)
        {
            return Some((name.clone(), found));
        }
        self.files
            .keys()
            .filter(|name| &***name != first)
            .find_map(|name| Some((name.clone(), find(self.get(name)?)?)))
    }

    /// The declaration of a function or of a callback typedef.
    pub(crate) fn callable(
        &self,
        first: &str,
        name: &str,
    ) -> Option<(Arc<str>, &declaration::Callable)> {
        self.find(first, |header| header.callable(name))
    }

    /// The definition of a struct or union.
    pub(crate) fn aggregate(
        &self,
        first: &str,
        kind: Kind,
        tag: &str,
    ) -> Option<(Arc<str>, &declaration::Aggregate)> {
        self.find(first, |header| header.aggregate(kind, tag))
    }
}
