//! JSON in and out, as SPDK reads and writes it.
//!
//! In: [`Value`], a view of the tokens that SPDK's parser made, and [`FromValue`], the types that a
//! value can be read as. Out: [`ObjectWriter`], [`ArrayWriter`] and [`ValueWriter`], which cannot
//! leave a document unbalanced, and [`WriteJson`], the types that can be written.
//!
//! C: `spdk/json.h`.

mod decode;
mod number;
mod value;
mod writer;

pub use decode::{FromValue, Mismatch, Name};
pub(crate) use value::Shown;
pub use value::{Elements, Kind, Members, Value};
pub use writer::{
    ArrayWriter, JsonWriter, ObjectWriter, ValueWriter, WriteError, WriteJson, to_string,
};

#[cfg(test)]
pub(crate) mod tokenizer;
