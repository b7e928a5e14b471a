//! Memory for a start on SPDK itself, which takes huge pages unless it is told otherwise.

use std::ffi::CString;

use crate::command_line::CommandLine;

/// What an application with all of SPDK's subsystems needs, in MiB: of huge pages, and of others.
const HUGE_MIB: u64 = 512;
const ORDINARY_MIB: u64 = 1024;

/// Takes ordinary memory where this user cannot have enough huge pages and has said nothing of
/// memory. Returns what to tell of it.
pub(crate) fn choose(line: &mut CommandLine) -> Option<String> {
    if is_chosen(line) {
        return None;
    }
    let why = lack()?;
    let mebibytes = ORDINARY_MIB.to_string();
    let arguments = ["--no-huge", "-s", &mebibytes];
    let arguments = arguments.map(|text| text.as_bytes().to_vec());
    let after_name = line.rest.len().min(1);
    line.rest.splice(after_name..after_name, arguments);
    Some(format!(
        "{why}: taking ordinary memory (--no-huge -s {mebibytes})"
    ))
}

/// What may help when the start has failed.
pub(crate) fn hint(line: &CommandLine) -> Option<String> {
    if line.rest.iter().any(|argument| argument == b"--no-huge") {
        return None;
    }
    Some(format!(
        "{}. Reserve some (scripts/setup.sh of SPDK), or run with --no-huge -s {ORDINARY_MIB}",
        lack()?
    ))
}

/// Why SPDK would not have enough huge pages, if so.
fn lack() -> Option<String> {
    if free_huge_mib() < HUGE_MIB {
        return Some(format!("fewer than {HUGE_MIB} MiB of huge pages are free"));
    }
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mut directories = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let directory = words.nth(1)?;
        (words.next()? == "hugetlbfs").then_some(directory)
    });
    if directories.any(is_writable) {
        return None;
    }
    Some("this user has no access to huge pages".into())
}

fn is_writable(directory: &str) -> bool {
    let Ok(directory) = CString::new(directory) else {
        return false;
    };
    // SAFETY: the path ends in NUL and is only read.
    unsafe { libc::access(directory.as_ptr(), libc::W_OK) == 0 }
}

/// Whether the arguments say anything of memory.
fn is_chosen(line: &CommandLine) -> bool {
    line.rest.iter().skip(1).any(|argument| {
        let argument = String::from_utf8_lossy(argument);
        let long = ["--no-huge", "--huge", "--mem-size", "--single-file"];
        let short = ["-s", "-g"];
        let is_long = long.iter().any(|option| argument.starts_with(option));
        is_long || (!argument.starts_with("--") && short.iter().any(|o| argument.starts_with(o)))
    })
}

/// Free huge pages of the default size, in MiB.
fn free_huge_mib() -> u64 {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let pages = field("HugePages_Free:").unwrap_or(0);
    pages.saturating_mul(field("Hugepagesize:").unwrap_or(0)) >> 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_obeyed() {
        let chosen = |arguments: &[&str]| {
            let arguments = [&["raid1"], arguments].concat();
            is_chosen(&CommandLine::parse(arguments.into_iter().map(Into::into)).unwrap())
        };
        for arguments in [
            &["-s", "512"][..],
            &["-s512"],
            &["--no-huge"],
            &["--huge-dir=/x"],
        ] {
            assert!(chosen(arguments), "{arguments:?}");
        }
        for arguments in [&[][..], &["-m", "1"], &["--json", "x"]] {
            assert!(!chosen(arguments), "{arguments:?}");
        }
    }
}
