//! Options of the application's own on the command line, beside SPDK's.

use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ffi::{CStr, c_char, c_int};
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use barespdk_sys::event as ffi;

use super::args::Args;
use super::{AppError, WRONG_ARGUMENTS};
use crate::json::Shown;

/// An option on the command line, such as `--name`, `--name VALUE` or `-n VALUE`.
#[derive(Clone, Copy, Debug)]
pub struct CliOption {
    long: &'static str,
    short: Option<char>,
    value: Option<&'static str>,
    help: &'static str,
}

impl CliOption {
    /// `--LONG`, without a value.
    pub const fn flag(long: &'static str, help: &'static str) -> Self {
        Self {
            long,
            short: None,
            value: None,
            help,
        }
    }

    /// `--LONG VALUE`; `placeholder` stands for the value in the help.
    pub const fn value(long: &'static str, placeholder: &'static str, help: &'static str) -> Self {
        Self {
            long,
            short: None,
            value: Some(placeholder),
            help,
        }
    }

    /// Adds a short form, a letter or digit that is not one of SPDK's (`cdeghimnprsuvABLRW`).
    pub const fn short(self, letter: char) -> Self {
        Self {
            short: Some(letter),
            ..self
        }
    }

    /// A line of help, in the columns of SPDK's own.
    fn help_line(&self) -> String {
        const HELP_COLUMN: usize = 33;
        let mut line = match self.short {
            Some(letter) => format!(" -{letter}, --{}", self.long),
            None => format!("     --{}", self.long),
        };
        if let Some(placeholder) = self.value {
            line.push_str(&format!(" <{placeholder}>"));
        }
        if line.len() < HELP_COLUMN {
            line = format!("{line:HELP_COLUMN$}");
        } else {
            line.push_str("  ");
        }
        line + self.help + "\n"
    }

    /// What `getopt_long` returns for this option: the letter, or a number beyond SPDK's.
    fn id(&self, index: usize) -> c_int {
        const FIRST_LONG_ONLY: c_int = 0x1_0000;
        match self.short {
            Some(letter) => letter as c_int,
            None => FIRST_LONG_ONLY.saturating_add(c_int::try_from(index).unwrap_or(c_int::MAX)),
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if self.long.is_empty() || !self.long.bytes().all(is_plain) {
            return Err("the name must consist of letters, digits and hyphens");
        }
        match self.short {
            Some(letter) if !letter.is_ascii_alphanumeric() => {
                Err("the short form must be a letter or digit")
            }
            Some(letter)
                if ffi::SPDK_APP_GETOPT_STRING
                    .to_bytes()
                    .contains(&(letter as u8)) =>
            {
                Err("the short form is one of SPDK's")
            }
            _ => Ok(()),
        }
    }
}

type Parse<'a> = Box<dyn FnMut(Option<&str>) -> Result<(), String> + 'a>;

/// The options as the application declared them.
pub(super) struct OptionTable<'a> {
    entries: Vec<(CliOption, Parse<'a>)>,
}

impl<'a> OptionTable<'a> {
    pub(super) const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, option: CliOption, parse: Parse<'a>) {
        self.entries.push((option, parse));
    }

    /// Checks the options and brings them into the form of `getopt_long`.
    pub(super) fn prepare(self) -> Result<PreparedOptions<'a>, AppError> {
        let mut letters = String::new();
        let mut names = Vec::new();
        for (index, (option, _)) in self.entries.iter().enumerate() {
            let wrong = |why| AppError::Option(option.long.into(), why);
            option.check().map_err(wrong)?;
            let earlier = self.entries.get(..index).unwrap_or_default();
            if earlier.iter().any(|(other, _)| other.long == option.long) {
                return Err(wrong("declared twice"));
            }
            if let Some(letter) = option.short {
                if letters.contains(letter) {
                    return Err(wrong("the short form is declared twice"));
                }
                letters.push(letter);
                letters.extend(option.value.map(|_| ':'));
            }
            names.push(CString::new(option.long).map_err(|_| wrong("contains NUL"))?);
        }
        let long = |(index, (option, _)): (usize, &(CliOption, Parse<'a>))| libc::option {
            name: names
                .get(index)
                .map_or(ptr::null(), |name: &CString| name.as_ptr()),
            has_arg: option.value.is_some().into(),
            flag: ptr::null_mut(),
            val: option.id(index),
        };
        let end = libc::option {
            name: ptr::null(),
            has_arg: 0,
            flag: ptr::null_mut(),
            val: 0,
        };
        Ok(PreparedOptions {
            long: self
                .entries
                .iter()
                .enumerate()
                .map(long)
                .chain([end])
                .collect(),
            short: CString::new(letters).unwrap_or_default(),
            _names: names,
            entries: RefCell::new(self.entries),
        })
    }
}

/// The options in the form of `getopt_long`.
pub(super) struct PreparedOptions<'a> {
    /// Ended by zeros; its names point into `_names`.
    long: Vec<libc::option>,
    short: CString,
    _names: Vec<CString>,
    entries: RefCell<Vec<(CliOption, Parse<'a>)>>,
}

/// The options that are being parsed, for the callbacks, which SPDK calls without a context. NULL
/// but during [`PreparedOptions::parse`], which happens once in a process.
static PARSING: AtomicPtr<PreparedOptions<'static>> = AtomicPtr::new(ptr::null_mut());

unsafe extern "C" {
    /// Of the C library (`getopt.h`): the index of the next argument that `getopt_long` looks at;
    /// after the last option that of the first argument that is none.
    static mut optind: c_int;
}

impl PreparedOptions<'_> {
    /// Reads the arguments into `opts`, which then points into them.
    pub(super) fn parse(
        &self,
        args: &mut Args,
        opts: &mut ffi::spdk_app_opts,
    ) -> ffi::spdk_app_parse_args_rvals {
        // The lifetime is erased; the pointer is gone before it ends.
        PARSING.store(ptr::from_ref(self).cast_mut().cast(), Ordering::Release);
        // SAFETY: `argc` and `argv` belong together and `argv` may be permuted. The table of options
        // ends in zeros and, as the letters, lives longer than this call. The callbacks have the
        // types that are asked for and do not unwind. The caller keeps the arguments as long as the
        // options point into them.
        let outcome = unsafe {
            ffi::spdk_app_parse_args(
                args.count(),
                args.as_mut_ptr(),
                opts,
                self.short.as_ptr(),
                self.long.as_ptr(),
                Some(parse_one),
                Some(print_help),
            )
        };
        PARSING.store(ptr::null_mut(), Ordering::Release);
        if outcome != ffi::SPDK_APP_PARSE_ARGS_SUCCESS {
            return outcome;
        }
        // SAFETY: a plain integer of the C library, read by value; nothing else in the process
        // parses options at the same time.
        match args.get(unsafe { optind }) {
            // SPDK ignores what is no option; a forgotten hyphen had better not pass unnoticed.
            Some(extra) => {
                crate::log_error!("unexpected argument '{}'", Shown(&extra.to_string_lossy()));
                ffi::SPDK_APP_PARSE_ARGS_FAIL
            }
            None => outcome,
        }
    }

    fn parse_one(&self, id: c_int, value: Option<&CStr>) -> Result<(), String> {
        // Only a callback that runs the application again could find it borrowed.
        let mut entries = self
            .entries
            .try_borrow_mut()
            .map_err(|_| String::from("busy"))?;
        let entry = entries
            .iter_mut()
            .enumerate()
            .find(|(index, (option, _))| option.id(*index) == id);
        let Some((_, (option, parse))) = entry else {
            return Err(format!("unknown option {id}"));
        };
        let long = option.long;
        let value = value.map(CStr::to_str).transpose();
        let value = value.map_err(|_| format!("--{long}: the value is not UTF-8"))?;
        parse(value).map_err(|error| format!("--{long}: {error}"))
    }
}

/// SPDK calls this for each of our options, during `spdk_app_parse_args`.
unsafe extern "C" fn parse_one(id: c_int, value: *mut c_char) -> c_int {
    // SAFETY: `parse` has set the pointer for the time of the call that this is part of.
    let Some(options) = (unsafe { PARSING.load(Ordering::Acquire).as_ref() }) else {
        return WRONG_ARGUMENTS;
    };
    // SAFETY: NULL or an argument, which ends in NUL and does not change meanwhile. (For an option
    // without a value it is what an earlier option left, or NULL; `getopt_long` clears it.)
    let value = (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) });
    match options.parse_one(id, value) {
        Ok(()) => 0,
        Err(message) => {
            crate::log_error!("{message}");
            WRONG_ARGUMENTS
        }
    }
}

/// SPDK calls this for the help, during `spdk_app_parse_args`.
unsafe extern "C" fn print_help() {
    // SAFETY: `parse` has set the pointer for the time of the call that this is part of.
    let Some(options) = (unsafe { PARSING.load(Ordering::Acquire).as_ref() }) else {
        return;
    };
    let Ok(entries) = options.entries.try_borrow() else {
        return;
    };
    for (option, _) in entries.iter() {
        if let Ok(line) = CString::new(option.help_line()) {
            // SAFETY: the format takes one C string. Through C's buffer of the standard output, so
            // that the lines come after SPDK's.
            unsafe { libc::printf(c"%s".as_ptr(), line.as_ptr()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::rc::Rc;
    use core::cell::Cell;

    fn table<'a>(options: &[CliOption]) -> OptionTable<'a> {
        let mut table = OptionTable::new();
        for option in options {
            table.push(*option, Box::new(|_| Ok(())));
        }
        table
    }

    #[test]
    fn help_stands_in_columns() {
        assert_eq!(
            CliOption::flag("bdev-raid-rpc", "register bdev_raid_* too").help_line(),
            "     --bdev-raid-rpc             register bdev_raid_* too\n"
        );
        assert_eq!(
            CliOption::value("size", "MiB", "size of it")
                .short('S')
                .help_line(),
            " -S, --size <MiB>                size of it\n"
        );
        let long = CliOption::value("a-very-long-name-indeed", "placeholder", "help").help_line();
        assert_eq!(long, "     --a-very-long-name-indeed <placeholder>  help\n");
    }

    #[test]
    fn options_in_the_form_of_getopt() {
        let options = [
            CliOption::flag("one", "").short('x'),
            CliOption::value("two", "V", "").short('y'),
            CliOption::value("three", "V", ""),
        ];
        let prepared = table(&options).prepare().unwrap();
        assert_eq!(prepared.short.as_c_str(), c"xy:");
        assert_eq!(prepared.long.len(), 4);
        let has_arg: Vec<_> = prepared.long.iter().map(|option| option.has_arg).collect();
        assert_eq!(has_arg, [0, 1, 1, 0]);
        assert_eq!(prepared.long[0].val, c_int::from(b'x'));
        assert_eq!(prepared.long[2].val, 0x1_0002);
        // SAFETY: points to the name that `prepared` owns.
        assert_eq!(unsafe { CStr::from_ptr(prepared.long[2].name) }, c"three");
        assert!(prepared.long[3].name.is_null());
    }

    #[test]
    fn options_that_cannot_work_are_refused() {
        for options in [
            &[CliOption::flag("", "")][..],
            &[CliOption::flag("a b", "")],
            &[CliOption::flag("a\0", "")],
            &[CliOption::flag("a", "").short('m')],
            &[CliOption::flag("a", "").short(':')],
            &[CliOption::flag("a", "").short('\u{e9}')],
            &[CliOption::flag("a", ""), CliOption::flag("a", "")],
            &[
                CliOption::flag("a", "").short('x'),
                CliOption::flag("b", "").short('x'),
            ],
        ] {
            assert!(
                matches!(table(options).prepare(), Err(AppError::Option(..))),
                "{options:?}"
            );
        }
    }

    #[test]
    fn values_reach_their_option() {
        let seen = Rc::new(Cell::new(0));
        let mut table = OptionTable::new();
        table.push(
            CliOption::flag("other", ""),
            Box::new(|_| Err("never".into())),
        );
        let size = Rc::clone(&seen);
        table.push(
            CliOption::value("size", "MiB", ""),
            Box::new(move |value| {
                let value = value.unwrap_or_default();
                size.set(
                    value
                        .parse()
                        .map_err(|_| format!("not a number: {value}"))?,
                );
                Ok(())
            }),
        );
        let prepared = table.prepare().unwrap();
        let id = prepared.long[1].val;
        prepared.parse_one(id, Some(c"7")).unwrap();
        assert_eq!(seen.get(), 7);
        assert_eq!(
            prepared.parse_one(id, Some(c"x")).unwrap_err(),
            "--size: not a number: x"
        );
        let error = prepared.parse_one(id, Some(c"\xff")).unwrap_err();
        assert_eq!(error, "--size: the value is not UTF-8");
        assert_eq!(prepared.parse_one(5, None).unwrap_err(), "unknown option 5");
    }
}
