//! The command line. C: `spdk_app_parse_args`.

use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::atomic::{AtomicPtr, Ordering};

use barespdk_sys::{
    SPDK_APP_GETOPT_STRING, SPDK_APP_PARSE_ARGS_FAIL, SPDK_APP_PARSE_ARGS_HELP,
    SPDK_APP_PARSE_ARGS_SUCCESS, SPDK_LOG_WARN, spdk_app_opts, spdk_app_parse_args_rvals,
};
use libc::option;

use super::options::text;
use super::usage;
use crate::rpc::VERSION;

unsafe extern "C" {
    /// Of the C library (`getopt.h`): the value of the option just found, or NULL.
    static mut optarg: *mut c_char;

    /// Of the C library (`getopt.h`).
    fn getopt_long(
        argc: c_int,
        argv: *const *mut c_char,
        optstring: *const c_char,
        longopts: *const option,
        longindex: *mut c_int,
    ) -> c_int;
}

type Parse = Option<unsafe extern "C" fn(ch: c_int, arg: *mut c_char) -> c_int>;
type Usage = Option<unsafe extern "C" fn()>;

const INTERRUPT_MODE: c_int = 256;
const SILENCE_NOTICELOG: c_int = 257;
const WAIT_FOR_RPC: c_int = 258;
const HUGE_DIR: c_int = 259;
const NUM_TRACE_ENTRIES: c_int = 260;
const JSON: c_int = 262;
const JSON_IGNORE_INIT_ERRORS: c_int = 263;
const IOVA_MODE: c_int = 264;
const BASE_VIRTADDR: c_int = 265;
const ENV_CONTEXT: c_int = 266;
const DISABLE_CPUMASK_LOCKS: c_int = 267;
const RPCS_ALLOWED: c_int = 268;
const VFIO_VF_TOKEN: c_int = 269;
const MSG_MEMPOOL_SIZE: c_int = 270;
const LCORES: c_int = 271;
const NO_HUGE: c_int = 272;
const NO_RPC_SERVER: c_int = 273;
const ENFORCE_NUMA: c_int = 274;
/// Ours alone; far from SPDK's and from what applications use for options without a letter.
const POLL_ALWAYS: c_int = 0x8000;

/// Name, whether it takes a value, and the letter or number.
const OPTIONS: &[(&CStr, bool, c_int)] = &[
    (c"config", true, b'c' as c_int),
    (c"limit-coredump", false, b'd' as c_int),
    (c"tpoint-group", true, b'e' as c_int),
    (c"single-file-segments", false, b'g' as c_int),
    (c"help", false, b'h' as c_int),
    (c"shm-id", true, b'i' as c_int),
    (c"cpumask", true, b'm' as c_int),
    (c"mem-channels", true, b'n' as c_int),
    (c"main-core", true, b'p' as c_int),
    (c"rpc-socket", true, b'r' as c_int),
    (c"mem-size", true, b's' as c_int),
    (c"no-pci", false, b'u' as c_int),
    (c"version", false, b'v' as c_int),
    (c"pci-blocked", true, b'B' as c_int),
    (c"logflag", true, b'L' as c_int),
    (c"huge-unlink", false, b'R' as c_int),
    (c"pci-allowed", true, b'A' as c_int),
    (c"interrupt-mode", false, INTERRUPT_MODE),
    (c"silence-noticelog", false, SILENCE_NOTICELOG),
    (c"wait-for-rpc", false, WAIT_FOR_RPC),
    (c"huge-dir", true, HUGE_DIR),
    (c"num-trace-entries", true, NUM_TRACE_ENTRIES),
    (c"json", true, JSON),
    (c"json-ignore-init-errors", false, JSON_IGNORE_INIT_ERRORS),
    (c"iova-mode", true, IOVA_MODE),
    (c"base-virtaddr", true, BASE_VIRTADDR),
    (c"env-context", true, ENV_CONTEXT),
    (c"disable-cpumask-locks", false, DISABLE_CPUMASK_LOCKS),
    (c"rpcs-allowed", true, RPCS_ALLOWED),
    (c"vfio-vf-token", true, VFIO_VF_TOKEN),
    (c"msg-mempool-size", true, MSG_MEMPOOL_SIZE),
    (c"lcores", true, LCORES),
    (c"no-huge", false, NO_HUGE),
    (c"no-rpc-server", false, NO_RPC_SERVER),
    (c"enforce-numa", false, ENFORCE_NUMA),
    (c"poll-always", false, POLL_ALWAYS),
];

/// What to do after one option.
enum Next {
    Go,
    /// Help or the version was printed.
    Done,
    /// Wrong, with a reason; with the help too where SPDK prints it.
    Wrong(String),
    WrongHelp(String),
    /// An option of the application.
    Own,
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_app_parse_args(
    argc: c_int,
    argv: *mut *mut c_char,
    opts: *mut spdk_app_opts,
    getopt_str: *const c_char,
    app_long_opts: *const option,
    parse: Parse,
    usage: Usage,
) -> spdk_app_parse_args_rvals {
    // SAFETY: the ABI's promise: options, which are ours until this returns. They have no alignment.
    let opts = unsafe { &mut *opts };
    // SAFETY: the ABI's promise: NULL or a table that zeroes end, and NULL or a C string.
    let (table, letters) = unsafe { (table(app_long_opts), text(getopt_str)) };
    let letters = letters.unwrap_or_default();
    if let Some(letter) = taken(&letters) {
        error_log!("Duplicated option '{letter}': SPDK's and the application's\n");
        return SPDK_APP_PARSE_ARGS_FAIL;
    }
    if !getopt_str.is_null() && parse.is_none() {
        error_log!("The application's options need a function that parses them\n");
        return SPDK_APP_PARSE_ARGS_FAIL;
    }
    let spdk_letters = SPDK_APP_GETOPT_STRING.to_string_lossy();
    let Ok(letters) = CString::new(format!("{letters}{spdk_letters}")) else {
        return SPDK_APP_PARSE_ARGS_FAIL;
    };
    // SAFETY: the ABI's promise: there is a first argument, the program's name.
    let program = unsafe { text(*argv) }.unwrap_or_default();
    let mem_size = opts.mem_size;
    let help = || usage::print(&program, mem_size, usage);
    loop {
        // SAFETY: arguments that C's `main` could have got, which may be permuted; letters and a
        // table that zeroes end, both of which live on.
        let found = unsafe {
            getopt_long(
                argc,
                argv,
                letters.as_ptr(),
                table.as_ptr(),
                std::ptr::null_mut(),
            )
        };
        if found == -1 {
            return SPDK_APP_PARSE_ARGS_SUCCESS;
        }
        if found == c_int::from(b'?') {
            help();
            return SPDK_APP_PARSE_ARGS_FAIL;
        }
        // SAFETY: the C library's variable, by value; nothing else in the process parses options.
        let value = unsafe { optarg };
        // SAFETY: `value` is NULL or one of the arguments, which live as long as `opts`.
        match unsafe { one(found, value, opts) } {
            Next::Go => (),
            Next::Done if found == c_int::from(b'h') => {
                help();
                return SPDK_APP_PARSE_ARGS_HELP;
            }
            Next::Done => {
                usage::put(&format!("{VERSION} (embedded)\n"));
                return SPDK_APP_PARSE_ARGS_HELP;
            }
            Next::Wrong(reason) => {
                error_log!("{reason}\n");
                return SPDK_APP_PARSE_ARGS_FAIL;
            }
            Next::WrongHelp(reason) => {
                error_log!("{reason}\n");
                help();
                return SPDK_APP_PARSE_ARGS_FAIL;
            }
            Next::Own => {
                let Some(parse) = parse else {
                    error_log!("Unsupported option '{found}' of the application\n");
                    return SPDK_APP_PARSE_ARGS_FAIL;
                };
                // SAFETY: the application's function for its own options.
                let outcome = unsafe { parse(found, value) };
                if outcome != 0 {
                    error_log!("Parsing an option of the application failed: {outcome}\n");
                    return SPDK_APP_PARSE_ARGS_FAIL;
                }
            }
        }
    }
}

same_as_declared!(spdk_app_parse_args);

/// The options of SPDK, then those of the application.
///
/// # Safety
/// `own` is NULL or a table that an option without a name ends.
unsafe fn table(own: *const option) -> Vec<option> {
    let mut table: Vec<option> = OPTIONS
        .iter()
        .map(|(name, has_value, id)| option {
            name: name.as_ptr(),
            has_arg: (*has_value).into(),
            flag: std::ptr::null_mut(),
            val: *id,
        })
        .collect();
    let mut next = own;
    // SAFETY: by the caller's promise: all up to the one without a name can be read.
    while let Some(option) = unsafe { next.as_ref() }.filter(|option| !option.name.is_null()) {
        table.push(*option);
        // SAFETY: this one was not the last.
        next = unsafe { next.add(1) };
    }
    // SAFETY: plain C data, for which zeroes are a value.
    table.push(unsafe { std::mem::zeroed() });
    table
}

/// A letter that is SPDK's already.
fn taken(letters: &str) -> Option<char> {
    let spdk = SPDK_APP_GETOPT_STRING.to_bytes();
    let is_letter = |letter: &char| !matches!(letter, ':' | '+' | '-');
    letters
        .chars()
        .filter(is_letter)
        .find(|letter| u8::try_from(*letter).is_ok_and(|letter| spdk.contains(&letter)))
}

/// Takes one option into `opts`.
///
/// # Safety
/// `value` is NULL or a C string that lives as long as `opts` are used.
unsafe fn one(found: c_int, value: *mut c_char, opts: &mut spdk_app_opts) -> Next {
    // SAFETY: by the caller's promise.
    let given = unsafe { text(value) }.unwrap_or_default();
    let Ok(letter) = u8::try_from(found) else {
        return long_only(found, value, &given, opts);
    };
    match letter {
        b'c' => opts.json_config_file = value,
        b'd' => opts.enable_coredump = false,
        b'e' => opts.tpoint_group_mask = value,
        b'g' => opts.hugepage_single_segments = true,
        b'h' | b'v' => return Next::Done,
        b'i' => match integer(given.strip_prefix('-').unwrap_or(&given)) {
            Some(id) => opts.shm_id = if given.starts_with('-') { -id } else { id },
            None => return Next::Wrong(format!("Invalid shared memory ID {given}")),
        },
        b'm' if !opts.lcore_map.is_null() => return both_masks(),
        b'm' => opts.reactor_mask = value,
        b'n' => match integer(&given) {
            Some(count) => opts.mem_channel = count,
            None => return Next::Wrong(format!("Invalid memory channel {given}")),
        },
        b'p' => match integer(&given) {
            Some(core) => opts.main_core = core,
            None => return Next::Wrong(format!("Invalid main core {given}")),
        },
        b'r' => opts.rpc_addr = value,
        b's' => match mem_size_mib(&given) {
            Some(size) => opts.mem_size = size,
            None => return Next::WrongHelp(format!("invalid memory pool size `-s {given}`")),
        },
        b'u' => opts.no_pci = true,
        b'L' if given == "all" => (),
        b'L' => return Next::WrongHelp(format!("unknown flag: {given}")),
        b'R' => opts.unlink_hugepage = true,
        b'A' | b'B' => (),
        _ => return Next::Own,
    }
    Next::Go
}

fn long_only(found: c_int, value: *mut c_char, given: &str, opts: &mut spdk_app_opts) -> Next {
    match found {
        JSON => opts.json_config_file = value,
        JSON_IGNORE_INIT_ERRORS => opts.json_config_ignore_errors = true,
        LCORES if !opts.reactor_mask.is_null() => return both_masks(),
        LCORES => opts.lcore_map = value,
        DISABLE_CPUMASK_LOCKS => opts.disable_cpumask_locks = true,
        SILENCE_NOTICELOG => opts.print_level = SPDK_LOG_WARN,
        NO_RPC_SERVER => opts.rpc_addr = std::ptr::null(),
        ENFORCE_NUMA => opts.enforce_numa = true,
        MSG_MEMPOOL_SIZE => match given.parse::<usize>() {
            Ok(size) if size > 0 => opts.msg_mempool_size = size,
            _ => return Next::Wrong(format!("Invalid message memory pool size {given}")),
        },
        WAIT_FOR_RPC => opts.delay_subsystem_init = true,
        NO_HUGE => opts.no_huge = true,
        BASE_VIRTADDR => match number(given) {
            Some(address) if address > 0 => opts.base_virtaddr = address,
            _ => return Next::WrongHelp(format!("Invalid base-virtaddr {given}")),
        },
        HUGE_DIR => opts.hugedir = value,
        IOVA_MODE => opts.iova_mode = value,
        NUM_TRACE_ENTRIES => match number(given) {
            Some(count) if count == 0 || count.is_power_of_two() => opts.num_entries = count,
            Some(_) => return Next::WrongHelp("num-trace-entries must be power of 2".into()),
            None => return Next::WrongHelp(format!("Invalid num-trace-entries {given}")),
        },
        ENV_CONTEXT => opts.env_context = value.cast(),
        RPCS_ALLOWED => opts.rpc_allowlist = list(given),
        VFIO_VF_TOKEN => opts.vf_token = value,
        INTERRUPT_MODE => opts.interrupt_mode = true,
        POLL_ALWAYS => crate::reactor::set_always_poll(true),
        _ => return Next::Own,
    }
    Next::Go
}

fn both_masks() -> Next {
    Next::Wrong("lcore map and core mask can't be set simultaneously".into())
}

/// A number that is not negative, with C's prefixes.
pub(super) fn number(text: &str) -> Option<u64> {
    let hexadecimal = text.strip_prefix("0x").or(text.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => u64::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    }
}

fn integer(text: &str) -> Option<c_int> {
    number(text).and_then(|number| number.try_into().ok())
}

/// MiB; a number with `K`, `M` or `G` counts bytes.
pub(super) fn mem_size_mib(text: &str) -> Option<c_int> {
    let end = text.find(|digit: char| !digit.is_ascii_digit());
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let count: u64 = digits.parse().ok()?;
    let mib = match unit {
        "" => count,
        "k" | "K" => count >> 10,
        "m" | "M" => count,
        "g" | "G" => count.checked_mul(1 << 10)?,
        _ => return None,
    };
    mib.try_into().ok()
}

/// The parts of a list, in the form of C. It lives as long as the process.
fn list(text: &str) -> *mut *const c_char {
    /// Where leak checkers find it.
    static LIST: AtomicPtr<*const c_char> = AtomicPtr::new(std::ptr::null_mut());
    let parts = text.split(',').filter_map(|part| CString::new(part).ok());
    let mut pointers: Vec<*const c_char> = parts
        .map(|part| CString::into_raw(part).cast_const())
        .collect();
    pointers.push(std::ptr::null());
    let list = Box::leak(pointers.into_boxed_slice()).as_mut_ptr();
    LIST.store(list, Ordering::Relaxed);
    list
}
