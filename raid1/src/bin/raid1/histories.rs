//! Histories of a mirror that went apart, in words. Nobody but the user can choose: what was written to one of
//! them alone is on none of the others.
//!
//! They choose by moving files away, and not by an option: then nothing is lost, even if the choice is wrong,
//! and what is in a script once does not choose again.

use std::path::PathBuf;
use std::time::SystemTime;

use barespdk_raid1::survey::History;

use crate::plan::Seen;
use crate::utc;

/// What to say of legs that went on without each other.
pub(crate) fn split_brain(all: &[History], paths: &[PathBuf], seen: &[Seen]) -> String {
    let what = "split brain: its legs went on without each other, and each has writes that the others \
                lack";
    text(what, all, paths, seen)
}

/// What to say of legs whose mirrors had the same UUID in several lives.
pub(crate) fn several_lives(all: &[History], paths: &[PathBuf], seen: &[Seen]) -> String {
    text(
        "its legs are of mirrors that had the same UUID in several lives",
        all,
        paths,
        seen,
    )
}

fn text(what: &str, all: &[History], paths: &[PathBuf], seen: &[Seen]) -> String {
    let mut text = format!("{what}:\n");
    for history in all {
        text += &line(history, paths, seen);
    }
    text += "Nothing was changed. Keep the files of one history, and move those of the others out of the \
             way: they are made anew, and rebuilt from what was kept.";
    let is_device = |file: &usize| {
        matches!(
            seen.get(*file),
            Some(Seen::There {
                is_device: true,
                ..
            })
        )
    };
    if all.iter().flat_map(|history| &history.files).any(is_device) {
        text += " Of a block device, overwrite the first MiB with zeros instead.";
    }
    text + " --force does not choose."
}

fn line(history: &History, paths: &[PathBuf], seen: &[Seen]) -> String {
    let files = history.files.iter().filter_map(|file| paths.get(*file));
    let files: Vec<_> = files.map(|path| path.display().to_string()).collect();
    let how = if history.is_clean {
        "stopped in order"
    } else {
        "not stopped in order"
    };
    let written = match written(history, seen) {
        Some(time) => format!(", last written to {}", utc::show(time)),
        None => String::new(),
    };
    let (files, generation) = (files.join(", "), history.generation);
    format!("  {files}: generation {generation}, {how}{written}\n")
}

/// When any of its files was written to for the last time.
fn written(history: &History, seen: &[Seen]) -> Option<SystemTime> {
    let seen = history.files.iter().filter_map(|file| seen.get(*file));
    let times = seen.filter_map(|seen| match seen {
        Seen::There { written, .. } => *written,
        Seen::Nothing => None,
    });
    times.max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn there(is_device: bool, seconds: Option<u64>) -> Seen {
        Seen::There {
            size_bytes: 9 << 20,
            is_device,
            written: seconds.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)),
        }
    }

    #[test]
    fn all_files_are_named_with_what_is_known() {
        let history = |files: &[usize], generation, is_clean| History {
            files: files.to_vec(),
            generation,
            is_clean,
        };
        let all = [history(&[2, 0], 9, true), history(&[1], 7, false)];
        let paths = ["/a", "/b", "/c"].map(PathBuf::from);
        let mut seen = [
            there(false, Some(1_767_225_599)),
            there(false, None),
            there(false, Some(1)),
        ];
        let text = split_brain(&all, &paths, &seen);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("split brain: "), "{text}");
        let expected = [
            "  /c, /a: generation 9, stopped in order, last written to 2025-12-31 23:59:59 UTC",
            "  /b: generation 7, not stopped in order",
        ];
        assert_eq!(lines[1..3], expected);
        assert!(lines[3].ends_with("--force does not choose."), "{text}");
        assert!(!text.contains("device"), "{text}");
        seen[1] = there(true, None);
        let text = several_lives(&all, &paths, &seen);
        assert!(text.contains("overwrite the first MiB"), "{text}");
    }
}
