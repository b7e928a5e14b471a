//! The configuration that makes the mirrors, as SPDK's `--json` would read it from a file.

use std::fmt::Write as _;
use std::path::Path;

use crate::command_line::CommandLine;
use crate::mirror_spec::MirrorSpec;
use crate::plan::{Existing, Plan, Role};

/// Whether files are written through the page cache, for which SPDK has no parameter. As with other
/// servers of files, what was not flushed is lost with the machine, not with the process; it is several
/// times as fast.
const THROUGH_THE_PAGE_CACHE: bool = cfg!(not(feature = "spdk"));

/// How long a mirror may take to come online after its legs have been looked at, in milliseconds.
const ONLINE_WITHIN_MS: u32 = 10_000;

/// The JSON text: a bdev for each file, the mirrors of them, the exports of those.
pub(crate) fn text(line: &CommandLine, plans: &[Plan]) -> String {
    let mut calls = Vec::new();
    let mirrors = || line.mirrors.iter().zip(plans);
    // The leg that is right about the others is seen before them: an old state of one may count on none of
    // them, and would start alone.
    for (mirror, plan) in mirrors() {
        if let Some(existing) = &plan.existing {
            calls.extend(aio(mirror, plan, existing.authority));
            // Legs make their mirrors when they have been looked at.
            calls.push(call("bdev_wait_for_examine", &[]));
        }
    }
    for (mirror, plan) in mirrors() {
        let first = plan.existing.as_ref().map(|existing| existing.authority);
        let others = (0..mirror.files.len()).filter(|index| Some(*index) != first);
        calls.extend(others.filter_map(|index| aio(mirror, plan, index)));
    }
    if plans.iter().any(|plan| plan.existing.is_some()) {
        calls.push(call("bdev_wait_for_examine", &[]));
    }
    for (mirror, plan) in mirrors() {
        match &plan.existing {
            None => calls.push(create(mirror, plan)),
            Some(existing) => calls.extend(start(mirror, plan, existing)),
        }
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

/// The call that makes the bdev of a file.
fn aio(mirror: &MirrorSpec, plan: &Plan, index: usize) -> Option<String> {
    let file = mirror.files.get(index)?;
    let mut params = vec![
        ("name", quoted(&mirror.leg_name(index))),
        ("filename", quoted(&file.to_string_lossy())),
        ("block_size", plan.block_size.to_string()),
    ];
    if is_regular(file) {
        // What is unmapped gives its space back.
        params.push(("fallocate", "true".to_owned()));
        if THROUGH_THE_PAGE_CACHE {
            params.push(("direct", "false".to_owned()));
        }
    }
    Some(call("bdev_aio_create", &params))
}

/// The call that makes a mirror.
fn create(mirror: &MirrorSpec, plan: &Plan) -> String {
    let legs = (0..mirror.files.len()).map(|index| quoted(&mirror.leg_name(index)));
    let legs: Vec<_> = legs.collect();
    let mut params = vec![
        ("name", quoted(&mirror.name)),
        ("base_bdevs", format!("[{}]", legs.join(", "))),
    ];
    // Files of zeros are equal.
    if plan.roles.iter().all(|role| *role == Role::New) {
        params.push(("sync", quoted("assume_clean")));
    }
    call("raid1_create", &params)
}

/// The calls that complete a mirror whose legs have been looked at: it is online, or it is started without
/// legs that it would wait for; and gets those that are new.
fn start(mirror: &MirrorSpec, plan: &Plan, existing: &Existing) -> Vec<String> {
    let name = quoted(&mirror.name);
    let mut calls = Vec::new();
    if !existing.absent.is_empty() {
        let params = [("uuid", quoted(&existing.uuid.to_string()))];
        calls.push(call("raid1_start", &params));
    }
    // Ends the start if it did not come online; the log says why.
    let timeout = ONLINE_WITHIN_MS.to_string();
    let params = [("name", name.clone()), ("timeout", timeout)];
    calls.push(call("bdev_get_bdevs", &params));
    for (index, _) in plan
        .roles
        .iter()
        .enumerate()
        .filter(|(_, role)| !role.is_leg())
    {
        let leg = quoted(&mirror.leg_name(index));
        let params = [("raid_bdev", name.clone()), ("base_bdev", leg)];
        calls.push(call("raid1_add_base_bdev", &params));
    }
    calls
}

/// Whether this is a regular file, or will be made as one.
fn is_regular(file: &Path) -> bool {
    file.metadata().map_or(true, |metadata| metadata.is_file())
}

fn call(method: &str, params: &[(&str, String)]) -> String {
    // SPDK's methods that take no parameters refuse empty ones.
    if params.is_empty() {
        return format!(r#"{{"method": "{method}"}}"#);
    }
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
    use crate::plan::tests::{starts, surveyed};
    use crate::plan::{Seen, plan};
    use barespdk_raid1::survey::{Content, Leg, Survey};
    use serde_json::{Value, json};

    fn config(arguments: &[&str], seen: &[Seen], survey: &Survey) -> Value {
        let arguments = [&["raid1"], arguments].concat();
        let line = CommandLine::parse(arguments.into_iter().map(Into::into)).unwrap();
        let plan = plan(&line.mirrors[0], seen, survey, &line).unwrap();
        let text = text(&line, &[plan]);
        serde_json::from_str::<Value>(&text).unwrap()["subsystems"][0].take()
    }

    fn aio(name: &str, file: &str) -> Value {
        let mut params = json!({"name": name, "filename": file, "block_size": 4096,
            "fallocate": true});
        if THROUGH_THE_PAGE_CACHE {
            params["direct"] = false.into();
        }
        json!({"method": "bdev_aio_create", "params": params})
    }

    #[test]
    fn a_new_mirror() {
        let arguments = ["--mirror", "m\"\\\n=/a,/b", "--nbd", "unix:/s"];
        let survey = Survey {
            files: vec![Content::Blank; 2],
            mirror: None,
        };
        let config = config(&arguments, &[Seen::Nothing, Seen::Nothing], &survey);
        let legs = ["m\"\\\n-leg0", "m\"\\\n-leg1"];
        let calls = json!([
            aio(legs[0], "/a"),
            aio(legs[1], "/b"),
            {"method": "raid1_create", "params": {"name": "m\"\\\n", "base_bdevs": legs,
                "sync": "assume_clean"}},
            {"method": "nbd_export_start",
                "params": {"bdev_name": "m\"\\\n", "address": "unix:/s"}},
        ]);
        assert_eq!(config, json!({"subsystem": "bdev", "config": calls}));
    }

    #[test]
    fn a_mirror_of_which_a_file_is_missing() {
        let leg = Seen::There {
            size_bytes: 9 << 20,
            is_device: false,
            written: None,
        };
        let files = vec![Content::Blank, Content::Leg(Leg::InSync)];
        let survey = surveyed(files, starts(1, &["m-leg0"]));
        let config = config(&["--mirror", "m=/a,/b"], &[Seen::Nothing, leg], &survey);
        let calls = json!([
            aio("m-leg1", "/b"),
            {"method": "bdev_wait_for_examine"},
            aio("m-leg0", "/a"),
            {"method": "bdev_wait_for_examine"},
            {"method": "raid1_start", "params": {"uuid": "05050505-0505-0505-0505-050505050505"}},
            {"method": "bdev_get_bdevs", "params": {"name": "m", "timeout": ONLINE_WITHIN_MS}},
            {"method": "raid1_add_base_bdev", "params": {"raid_bdev": "m", "base_bdev": "m-leg0"}},
        ]);
        assert_eq!(config["config"], calls);
    }

    #[test]
    fn files_can_be_trimmed() {
        let file = std::env::current_exe().unwrap();
        assert!(is_regular(&file) && is_regular(Path::new("/none/yet")));
        assert!(!is_regular(Path::new("/dev/null")));
    }
}
