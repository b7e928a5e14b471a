//! The arguments, owned: SPDK keeps pointers into them.

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::{CStr, c_char, c_int};
use core::ptr;

use super::AppError;

/// Arguments in the form of C's `main`. SPDK permutes the pointers and keeps some of them.
pub(super) struct Args {
    /// Pointers into `texts`, then NULL.
    pointers: Vec<*mut c_char>,
    count: c_int,
    /// Owned, never touched again but through `pointers`; each ends in NUL.
    _texts: Vec<Vec<u8>>,
}

impl Args {
    /// Copies the arguments. `name` stands in for the first if there are none.
    pub(super) fn new<A: Into<Vec<u8>>>(
        name: &CStr,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Self, AppError> {
        let mut texts: Vec<Vec<u8>> = args.into_iter().map(Into::into).collect();
        if texts.is_empty() {
            texts.push(name.to_bytes().to_vec());
        }
        let count = c_int::try_from(texts.len()).map_err(|_| AppError::TooManyArguments)?;
        for text in &mut texts {
            if text.contains(&0) {
                let text = String::from_utf8_lossy(text).into_owned();
                return Err(AppError::Nul("an argument", text));
            }
            text.push(0);
        }
        let pointers = texts.iter_mut().map(|text| text.as_mut_ptr().cast());
        let pointers = pointers.chain([ptr::null_mut()]).collect();
        Ok(Self {
            pointers,
            count,
            _texts: texts,
        })
    }

    /// `argc`
    pub(super) fn count(&self) -> c_int {
        self.count
    }

    /// `argv`
    pub(super) fn as_mut_ptr(&mut self) -> *mut *mut c_char {
        self.pointers.as_mut_ptr()
    }

    /// The argument at an index of `argv`, as it is ordered now.
    pub(super) fn get(&self, index: c_int) -> Option<&CStr> {
        let pointer = *self.pointers.get(usize::try_from(index).ok()?)?;
        // SAFETY: the pointers stay those that `new` made, in whatever order: NULL, or to a text of
        // ours that ends in NUL.
        (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_as_main_gets_them() {
        let mut args = Args::new(c"app", ["prog", "-m", "0x1"]).unwrap();
        assert_eq!(args.count(), 3);
        assert_eq!(args.get(0), Some(c"prog"));
        assert_eq!(args.get(2), Some(c"0x1"));
        assert_eq!(args.get(3), None);
        assert_eq!(args.get(-1), None);
        // SAFETY: `argv` has a NULL after the three.
        assert!(unsafe { args.as_mut_ptr().add(3).read() }.is_null());
    }

    #[test]
    fn without_arguments_the_name_stands_in() {
        let args = Args::new(c"app", Vec::<Vec<u8>>::new()).unwrap();
        assert_eq!((args.count(), args.get(0)), (1, Some(c"app")));
    }

    #[test]
    fn nul_in_an_argument_is_an_error() {
        let error = Args::new(c"app", ["prog", "a\0b"]).err();
        assert_eq!(error, Some(AppError::Nul("an argument", "a\0b".into())));
    }
}
