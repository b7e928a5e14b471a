//! `spdk_log`, which takes arguments as `printf` does.
//!
//! Stable Rust calls such functions but cannot define them. On x86-64 a few instructions lay the
//! arguments out as the C library's `va_list` wants them; elsewhere the first argument alone is
//! understood, and only of the format "%s": what this repository logs with.

use std::ffi::{c_char, c_int};

#[cfg(target_arch = "x86_64")]
mod variadic {
    use std::ffi::{CStr, c_void};
    use std::ptr::null_mut;

    use super::*;

    unsafe extern "C" {
        /// As in C, where a `va_list` that is passed on is a pointer to the structure.
        fn vsnprintf(
            text: *mut c_char,
            size: usize,
            format: *const c_char,
            arguments: *mut c_void,
        ) -> c_int;
    }

    /// The `va_list` of the System V ABI for x86-64.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct VaList {
        gp_offset: u32,
        fp_offset: u32,
        overflow_arg_area: *mut c_void,
        reg_save_area: *mut c_void,
    }

    #[unsafe(no_mangle)]
    #[unsafe(naked)]
    unsafe extern "C" fn spdk_log(
        _level: c_int,
        _file: *const c_char,
        _line: c_int,
        _func: *const c_char,
        _format: *const c_char,
    ) {
        // On the stack: a va_list at 0, the register save area (6 general registers, 8 vector ones)
        // at 32; the caller's further arguments begin at 224, behind the return address. Five general
        // registers hold named arguments. The rest is a call with one argument more.
        std::arch::naked_asm!(
            "sub rsp, 216",
            "mov [rsp + 32], rdi",
            "mov [rsp + 40], rsi",
            "mov [rsp + 48], rdx",
            "mov [rsp + 56], rcx",
            "mov [rsp + 64], r8",
            "mov [rsp + 72], r9",
            "test al, al",
            "je 2f",
            "movaps [rsp + 80], xmm0",
            "movaps [rsp + 96], xmm1",
            "movaps [rsp + 112], xmm2",
            "movaps [rsp + 128], xmm3",
            "movaps [rsp + 144], xmm4",
            "movaps [rsp + 160], xmm5",
            "movaps [rsp + 176], xmm6",
            "movaps [rsp + 192], xmm7",
            "2:",
            "mov dword ptr [rsp], 40",
            "mov dword ptr [rsp + 4], 48",
            "lea rax, [rsp + 224]",
            "mov [rsp + 8], rax",
            "lea rax, [rsp + 32]",
            "mov [rsp + 16], rax",
            "mov r9, rsp",
            "call {log}",
            "add rsp, 216",
            "ret",
            log = sym log,
        )
    }

    unsafe extern "C" fn log(
        level: c_int,
        file: *const c_char,
        line: c_int,
        func: *const c_char,
        format: *const c_char,
        arguments: *mut VaList,
    ) {
        if !crate::log::enabled(level) || format.is_null() {
            return;
        }
        // SAFETY: made by `spdk_log` above, on its stack; a copy may be walked again.
        let mut again = unsafe { *arguments };
        // SAFETY: the format and what it takes are the caller's. No buffer: only the length is asked.
        let len = unsafe { vsnprintf(null_mut(), 0, format, arguments.cast()) };
        let mut text = vec![0_u8; usize::try_from(len).unwrap_or(0) + 1];
        // SAFETY: as above, into a buffer of that length.
        unsafe {
            let again = (&raw mut again).cast();
            vsnprintf(text.as_mut_ptr().cast(), text.len(), format, again);
        }
        let text = CStr::from_bytes_until_nul(&text)
            .unwrap_or(c"")
            .to_string_lossy();
        // SAFETY: the caller's strings.
        unsafe { crate::log::from_c(level, file, line, func, &text) };
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_log(
    level: c_int,
    file: *const c_char,
    line: c_int,
    func: *const c_char,
    format: *const c_char,
    argument: *const c_char,
) {
    use std::ffi::CStr;

    if !crate::log::enabled(level) || format.is_null() {
        return;
    }
    // SAFETY: a C string; and with this format the first argument is one too.
    let text = unsafe {
        let format = CStr::from_ptr(format);
        let text = if format == c"%s" {
            CStr::from_ptr(argument)
        } else {
            format
        };
        text.to_string_lossy()
    };
    // SAFETY: the caller's strings.
    unsafe { crate::log::from_c(level, file, line, func, &text) };
}
