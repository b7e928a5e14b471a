//! The configuration that makes the mirrors, as SPDK's `--json` would read it from a file.

use std::fmt::Write as _;
use std::path::Path;

use crate::command_line::CommandLine;

/// Whether files are written through the page cache, for which SPDK has no parameter. As with other
/// servers of files, what was not flushed is lost with the machine, not with the process; it is several
/// times as fast.
const THROUGH_THE_PAGE_CACHE: bool = cfg!(not(feature = "spdk"));

/// The JSON text: a bdev for each file, the mirrors of them, the exports of those.
pub(crate) fn text(line: &CommandLine) -> String {
    let mut calls = Vec::new();
    for mirror in &line.mirrors {
        let legs = (0..mirror.files.len()).map(|index| mirror.leg_name(index));
        let legs: Vec<_> = legs.collect();
        for (file, leg) in mirror.files.iter().zip(&legs) {
            let mut params = vec![
                ("name", quoted(leg)),
                ("filename", quoted(&file.to_string_lossy())),
                ("block_size", line.block_size.to_string()),
            ];
            if is_regular(file) {
                // What is unmapped gives its space back.
                params.push(("fallocate", "true".to_owned()));
                if THROUGH_THE_PAGE_CACHE {
                    params.push(("direct", "false".to_owned()));
                }
            }
            calls.push(call("bdev_aio_create", &params));
        }
        let legs: Vec<_> = legs.iter().map(|leg| quoted(leg)).collect();
        calls.push(call(
            "raid1_create",
            &[
                ("name", quoted(&mirror.name)),
                ("base_bdevs", format!("[{}]", legs.join(", "))),
            ],
        ));
    }
    for mirror in &line.mirrors {
        for address in &line.exports {
            calls.push(call(
                "nbd_export_start",
                &[
                    ("bdev_name", quoted(&mirror.name)),
                    ("address", quoted(&address.to_string())),
                ],
            ));
        }
    }
    format!(
        r#"{{"subsystems": [{{"subsystem": "bdev", "config": [{}]}}]}}"#,
        calls.join(", ")
    )
}

/// Whether this is a regular file, or will be made as one.
fn is_regular(file: &Path) -> bool {
    file.metadata().map_or(true, |metadata| metadata.is_file())
}

fn call(method: &str, params: &[(&str, String)]) -> String {
    let params = params
        .iter()
        .map(|(name, value)| format!(r#""{name}": {value}"#));
    let params: Vec<_> = params.collect();
    format!(
        r#"{{"method": "{method}", "params": {{{}}}}}"#,
        params.join(", ")
    )
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            character if character < ' ' => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn calls_in_their_order() {
        let arguments = ["raid1", "--mirror", "m\"\\\n=/a,/b", "--nbd", "unix:/s"];
        let line = CommandLine::parse(arguments.map(Into::into)).unwrap();
        let config: Value = serde_json::from_str(&text(&line)).unwrap();
        let aio = |name: &str, file: &str| {
            let mut params = json!({"name": name, "filename": file, "block_size": 4096,
                "fallocate": true});
            if THROUGH_THE_PAGE_CACHE {
                params["direct"] = false.into();
            }
            json!({"method": "bdev_aio_create", "params": params})
        };
        let legs = ["m\"\\\n-leg0", "m\"\\\n-leg1"];
        let calls = json!([
            aio(legs[0], "/a"),
            aio(legs[1], "/b"),
            {"method": "raid1_create", "params": {"name": "m\"\\\n", "base_bdevs": legs}},
            {"method": "nbd_export_start",
                "params": {"bdev_name": "m\"\\\n", "address": "unix:/s"}},
        ]);
        let subsystem = json!({"subsystem": "bdev", "config": calls});
        assert_eq!(config, json!({"subsystems": [subsystem]}));
    }

    #[test]
    fn files_can_be_trimmed() {
        let file = std::env::current_exe().unwrap();
        assert!(is_regular(&file) && is_regular(Path::new("/none/yet")));
        assert!(!is_regular(Path::new("/dev/null")));
    }
}
