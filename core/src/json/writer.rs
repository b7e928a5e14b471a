//! JSON out, through SPDK's writer.
//!
//! A document is built by closures: an object or array is open while its closure runs and closed
//! when it ends, in whatever way, and a place that wants one value gets exactly one. So safe code
//! cannot write JSON that is unbalanced. (It can give two members of an object the same name.)
//!
//! Errors - the receiver's buffer has no memory left - need not be checked at every step: they are
//! kept, and reported where the document ends.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::{c_int, c_void};
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::slice;

use barespdk_sys::json as ffi;

use crate::uuid::Uuid;

/// The document could not be written: its receiver is out of memory or over its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteError;

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the JSON document could not be written")
    }
}

impl core::error::Error for WriteError {}

/// A type that can be written as one JSON value.
pub trait WriteJson {
    /// Writes the value.
    fn write_json(&self, writer: ValueWriter<'_>);
}

/// SPDK's writer (`struct spdk_json_write_ctx`), lent for `'a`: the way in for callbacks from C.
pub struct JsonWriter<'a> {
    ctx: NonNull<ffi::spdk_json_write_ctx>,
    failed: Cell<bool>,
    lent: PhantomData<&'a mut ffi::spdk_json_write_ctx>,
}

impl<'a> JsonWriter<'a> {
    /// Takes SPDK's writer.
    ///
    /// # Safety
    /// `ctx` is a live writer that nothing else uses during `'a`, on the thread that owns it.
    pub const unsafe fn from_raw(ctx: NonNull<ffi::spdk_json_write_ctx>) -> Self {
        Self {
            ctx,
            failed: Cell::new(false),
            lent: PhantomData,
        }
    }

    /// Writes the one value that is due. Writes `null` if `write` does not write.
    ///
    /// # Errors
    /// A part could not be written: the document is broken.
    pub fn value(&mut self, write: impl FnOnce(ValueWriter<'_>)) -> Result<(), WriteError> {
        one_value(self, write);
        self.result()
    }

    /// Writes members of an object that is already open and that the caller closes, as for
    /// `dump_info_json` of `struct spdk_bdev_fn_table`.
    ///
    /// # Errors
    /// A part could not be written: the document is broken.
    pub fn members(&mut self, write: impl FnOnce(&mut ObjectWriter<'_>)) -> Result<(), WriteError> {
        write(&mut ObjectWriter { writer: self });
        self.result()
    }

    /// Writes values into an array that is already open and that the caller closes, as for
    /// `write_config_json` of `struct spdk_bdev_fn_table`.
    ///
    /// # Errors
    /// A part could not be written: the document is broken.
    pub fn elements(&mut self, write: impl FnOnce(&mut ArrayWriter<'_>)) -> Result<(), WriteError> {
        write(&mut ArrayWriter { writer: self });
        self.result()
    }

    fn result(&self) -> Result<(), WriteError> {
        if self.failed.get() {
            Err(WriteError)
        } else {
            Ok(())
        }
    }

    fn note(&self, rc: c_int) {
        if rc != 0 {
            self.failed.set(true);
        }
    }

    fn name(&self, name: &str) {
        // SAFETY: the writer is live (`from_raw`) and reads `len` bytes before it returns.
        self.note(unsafe {
            ffi::spdk_json_write_name_raw(self.ctx.as_ptr(), name.as_ptr().cast(), name.len())
        });
    }

    fn null(&self) {
        // SAFETY: the writer is live (`from_raw`).
        self.note(unsafe { ffi::spdk_json_write_null(self.ctx.as_ptr()) });
    }

    fn object(&self, write: impl FnOnce(&mut ObjectWriter<'_>)) {
        // SAFETY: the writer is live (`from_raw`).
        self.note(unsafe { ffi::spdk_json_write_object_begin(self.ctx.as_ptr()) });
        let _close = OnDrop(|| {
            // SAFETY: the writer is live (`from_raw`), with an object open.
            self.note(unsafe { ffi::spdk_json_write_object_end(self.ctx.as_ptr()) });
        });
        write(&mut ObjectWriter { writer: self });
    }

    fn array(&self, write: impl FnOnce(&mut ArrayWriter<'_>)) {
        // SAFETY: the writer is live (`from_raw`).
        self.note(unsafe { ffi::spdk_json_write_array_begin(self.ctx.as_ptr()) });
        let _close = OnDrop(|| {
            // SAFETY: the writer is live (`from_raw`), with an array open.
            self.note(unsafe { ffi::spdk_json_write_array_end(self.ctx.as_ptr()) });
        });
        write(&mut ArrayWriter { writer: self });
    }
}

/// Closes what is open even if a closure unwinds.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Has `write` write the value that is due, and does so itself if `write` did not. A flag rather
/// than a destructor of the writer it lends, because destructors can be skipped.
fn one_value(writer: &JsonWriter<'_>, write: impl FnOnce(ValueWriter<'_>)) {
    let written = Cell::new(false);
    write(ValueWriter {
        writer,
        written: &written,
    });
    if !written.get() {
        writer.null();
    }
}

/// A place for exactly one value; if it is left empty, `null` is written there.
pub struct ValueWriter<'a> {
    writer: &'a JsonWriter<'a>,
    written: &'a Cell<bool>,
}

impl<'a> ValueWriter<'a> {
    /// Writes any value that can be written.
    pub fn write(self, value: &(impl WriteJson + ?Sized)) {
        value.write_json(self);
    }

    /// Writes `null`.
    pub fn null(self) {
        self.take().null();
    }

    /// Writes `true` or `false`.
    pub fn bool(self, value: bool) {
        let writer = self.take();
        // SAFETY: the writer is live (`JsonWriter::from_raw`).
        writer.note(unsafe { ffi::spdk_json_write_bool(writer.ctx.as_ptr(), value) });
    }

    /// Writes an unsigned integer.
    pub fn u64(self, value: u64) {
        let writer = self.take();
        // SAFETY: the writer is live (`JsonWriter::from_raw`).
        writer.note(unsafe { ffi::spdk_json_write_uint64(writer.ctx.as_ptr(), value) });
    }

    /// Writes an integer.
    pub fn i64(self, value: i64) {
        let writer = self.take();
        // SAFETY: the writer is live (`JsonWriter::from_raw`).
        writer.note(unsafe { ffi::spdk_json_write_int64(writer.ctx.as_ptr(), value) });
    }

    /// Writes a string with any contents.
    pub fn str(self, value: &str) {
        let writer = self.take();
        // SAFETY: the writer is live (`JsonWriter::from_raw`) and reads `len` bytes before it returns.
        writer.note(unsafe {
            ffi::spdk_json_write_string_raw(writer.ctx.as_ptr(), value.as_ptr().cast(), value.len())
        });
    }

    /// Writes an object, whose members `write` gives.
    pub fn object(self, write: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.take().object(write);
    }

    /// Writes an array, whose elements `write` gives.
    pub fn array(self, write: impl FnOnce(&mut ArrayWriter<'_>)) {
        self.take().array(write);
    }

    /// Every way to write goes through here, once.
    fn take(self) -> &'a JsonWriter<'a> {
        self.written.set(true);
        self.writer
    }
}

/// An open object: a place for members, each a name (any text) and a value.
pub struct ObjectWriter<'a> {
    writer: &'a JsonWriter<'a>,
}

impl ObjectWriter<'_> {
    /// Writes a member.
    pub fn field(&mut self, name: &str, value: &(impl WriteJson + ?Sized)) {
        self.value(name, |writer| value.write_json(writer));
    }

    /// Writes a member whose value `write` gives; `null` if it gives none.
    pub fn value(&mut self, name: &str, write: impl FnOnce(ValueWriter<'_>)) {
        self.writer.name(name);
        one_value(self.writer, write);
    }

    /// Writes a member that is an object.
    pub fn object(&mut self, name: &str, write: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.value(name, |writer| writer.object(write));
    }

    /// Writes a member that is an array.
    pub fn array(&mut self, name: &str, write: impl FnOnce(&mut ArrayWriter<'_>)) {
        self.value(name, |writer| writer.array(write));
    }
}

/// An open array: a place for values.
pub struct ArrayWriter<'a> {
    writer: &'a JsonWriter<'a>,
}

impl ArrayWriter<'_> {
    /// Writes an element.
    pub fn push(&mut self, value: &(impl WriteJson + ?Sized)) {
        self.value(|writer| value.write_json(writer));
    }

    /// Writes an element that `write` gives; `null` if it gives none.
    pub fn value(&mut self, write: impl FnOnce(ValueWriter<'_>)) {
        one_value(self.writer, write);
    }

    /// Writes an element that is an object.
    pub fn object(&mut self, write: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.value(|writer| writer.object(write));
    }

    /// Writes an element that is an array.
    pub fn array(&mut self, write: impl FnOnce(&mut ArrayWriter<'_>)) {
        self.value(|writer| writer.array(write));
    }
}

impl<T: WriteJson + ?Sized> WriteJson for &T {
    fn write_json(&self, writer: ValueWriter<'_>) {
        (**self).write_json(writer);
    }
}

/// `None` is `null`.
impl<T: WriteJson> WriteJson for Option<T> {
    fn write_json(&self, writer: ValueWriter<'_>) {
        match self {
            Some(value) => value.write_json(writer),
            None => writer.null(),
        }
    }
}

impl<T: WriteJson> WriteJson for [T] {
    fn write_json(&self, writer: ValueWriter<'_>) {
        writer.array(|array| self.iter().for_each(|value| array.push(value)));
    }
}

impl<T: WriteJson> WriteJson for Vec<T> {
    fn write_json(&self, writer: ValueWriter<'_>) {
        self.as_slice().write_json(writer);
    }
}

impl WriteJson for bool {
    fn write_json(&self, writer: ValueWriter<'_>) {
        writer.bool(*self);
    }
}

impl WriteJson for str {
    fn write_json(&self, writer: ValueWriter<'_>) {
        writer.str(self);
    }
}

impl WriteJson for String {
    fn write_json(&self, writer: ValueWriter<'_>) {
        writer.str(self);
    }
}

/// The text form, in lower case.
impl WriteJson for Uuid {
    fn write_json(&self, writer: ValueWriter<'_>) {
        let writer = writer.take();
        // SAFETY: the writer is live (`JsonWriter::from_raw`) and reads the UUID before it returns.
        writer.note(unsafe { ffi::spdk_json_write_uuid(writer.ctx.as_ptr(), self.as_ptr()) });
    }
}

macro_rules! integers {
    ($method:ident: $($int:ident)*) => {$(
        impl WriteJson for $int {
            fn write_json(&self, writer: ValueWriter<'_>) {
                writer.$method((*self).into());
            }
        }
    )*};
}

integers! { u64: u8 u16 u32 u64 }
integers! { i64: i8 i16 i32 i64 }

impl WriteJson for usize {
    fn write_json(&self, writer: ValueWriter<'_>) {
        writer.u64(*self as u64);
    }
}

/// Writes a document of one value into memory.
///
/// # Errors
/// SPDK is out of memory, or the text is not UTF-8 (its writer makes no other).
pub fn to_string(write: impl FnOnce(ValueWriter<'_>)) -> Result<String, WriteError> {
    let mut text = Vec::<u8>::new();
    // SAFETY: `append` takes the vector back as the type it is. The vector outlives the writer,
    // which `spdk_json_write_end` frees, and nothing else touches it before then.
    let ctx = unsafe { ffi::spdk_json_write_begin(Some(append), (&raw mut text).cast(), 0) };
    let ctx = NonNull::new(ctx).ok_or(WriteError)?;
    // SAFETY: the writer was made above for us alone.
    let mut writer = unsafe { JsonWriter::from_raw(ctx) };
    let written = writer.value(write);
    // SAFETY: ends the writer made above, after its last use.
    let ended = unsafe { ffi::spdk_json_write_end(ctx.as_ptr()) };
    written?;
    if ended != 0 {
        return Err(WriteError);
    }
    String::from_utf8(text).map_err(|_| WriteError)
}

/// Receives the text of [`to_string`], piece by piece.
unsafe extern "C" fn append(text: *mut c_void, data: *const c_void, len: usize) -> c_int {
    // SAFETY: `to_string` passed a vector that it lends to the writer until its end.
    let text = unsafe { &mut *text.cast::<Vec<u8>>() };
    if len != 0 {
        // SAFETY: SPDK passes `len` bytes of text, which it does not change meanwhile.
        text.extend_from_slice(unsafe { slice::from_raw_parts(data.cast(), len) });
    }
    0
}
