//! A limit of memory that is too low for a start.

use crate::command_line::CommandLine;

/// What suffices for a start with all of SPDK's subsystems, in MiB of huge pages and of others; and
/// without SPDK.
const HUGE_MIB: u64 = 512;
const ORDINARY_MIB: u64 = 1024;
const EMBEDDED_MIB: u64 = 64;

/// What may help when the start has failed.
pub(crate) fn hint(line: &CommandLine) -> Option<String> {
    let is_huge = !line.rest.iter().any(|argument| argument == b"--no-huge");
    let needed = match cfg!(feature = "spdk") {
        true if is_huge => HUGE_MIB,
        true => ORDINARY_MIB,
        false => EMBEDDED_MIB,
    };
    let given = line.value_of_rest("-s", "--mem-size")?;
    given
        .parse()
        .is_ok_and(|given: u64| given < needed)
        .then(|| {
            format!("-s {given} is little memory: leave -s out, or give {needed} (MiB) or more")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_is_a_hint() {
        let hint = |memory| {
            let arguments = ["raid1", "-s", memory].map(Into::into);
            hint(&CommandLine::parse(arguments).unwrap())
        };
        assert!(hint("1").is_some_and(|hint| hint.starts_with("-s 1 is little memory")));
        assert_eq!(hint("4096"), None);
    }
}
