//! What the application tells its user: the help, and what to type next.

use std::path::Path;

use crate::command_line::CommandLine;
use crate::mirror_spec::MirrorSpec;
use crate::nbd_address::NbdAddress;
use crate::plan::{Plan, Role};
use crate::size;

/// The help, which SPDK's own follows.
pub(crate) const HELP: &str = "\
raid1: mirrors of block devices, in user space

Usage: raid1 --mirror NAME=FILE,FILE[,..] [--size SIZE] [--nbd ADDRESS] [OPTIONS OF SPDK]
       raid1 [--json FILE] [OPTIONS OF SPDK]

Mirrors of files, in one command:
     --mirror <NAME=FILE,FILE[,..]>
                                 mirror two files or more, or block devices. Files that are missing
                                 are made; the next time they are known by the metadata on them, and
                                 one that is missing then is made anew and rebuilt from the others.
                                 May be given again, for another mirror
     --size <SIZE>               size of a new mirror, such as 512MiB or 10GiB (default: 1GiB). Its
                                 files take no more room than what is written to them, and 1 MiB
     --force                     overwrite files that have something else on them
     --block-size <BYTES>        512 or 4096 (default)
     --nbd <unix:PATH|tcp:HOST:PORT>
                                 serve the mirrors over NBD, each by its name. TCP only on this
                                 machine: localhost, 127.0.0.1, [::1]. May be given again

     --bdev-raid-rpc             serve SPDK's bdev_raid_* RPCs, for tools that know those alone; not
                                 where SPDK's own module is linked

It runs until Ctrl-C or SIGTERM. raid1ctl, a program of its own, shows and changes the mirrors of a
running raid1.

Examples:
  raid1 --mirror m0=/tmp/leg0,/tmp/leg1 --nbd unix:/tmp/m0.sock
  raid1 --mirror m0=/mnt/a/leg,/mnt/b/leg --size 100GiB --nbd tcp:localhost:10809 -m 0x3
  raid1 --json mirrors.json      start what 'spdk-rpc save_config' has saved
  raid1                          start with nothing, to be configured by raid1ctl and spdk-rpc

Options of SPDK:
";

/// The socket of SPDK's applications, where raid1ctl looks unless it is told otherwise.
const SOCKET_DEFAULT: &str = "/var/tmp/spdk.sock";

/// What to say when the mirrors are ready.
pub(crate) fn welcome(line: &CommandLine, plans: &[Plan]) -> String {
    let mut text = String::from("\n");
    for (mirror, plan) in line.mirrors.iter().zip(plans) {
        text += &describe(line, mirror, plan);
    }
    text += "\nTry, in another terminal:\n";
    let block_size = plans.first().map_or(0, |plan| plan.block_size);
    for (command, what) in suggestions(line, block_size) {
        text += &format!("  {command}");
        if !what.is_empty() {
            text += &format!("  # {what}");
        }
        text.push('\n');
    }
    text + "\nCtrl-C stops it; the same command starts it again.\n"
}

/// What to say when the application is ready that makes no mirrors itself.
pub(crate) fn welcome_without_mirrors(line: &CommandLine) -> String {
    let ctl = raid1ctl(line);
    format!("\nraid1 is ready. '{ctl} status' shows its mirrors. Ctrl-C stops it.\n")
}

fn describe(line: &CommandLine, mirror: &MirrorSpec, plan: &Plan) -> String {
    let mut text = format!(
        "raid1: {} is ready: {}, blocks of {} bytes\n",
        mirror.name,
        size::show(plan.size_bytes),
        plan.block_size
    );
    for ((index, file), role) in mirror.files.iter().enumerate().zip(&plan.roles) {
        let what = what_of(*role, plan.existing.is_some());
        let leg = mirror.leg_name(index);
        text += &format!("  leg {leg}: {}{what}\n", file.display());
    }
    for address in &line.exports {
        text += &format!("  NBD: {}\n", address.uri(&mirror.name));
    }
    let is_new = |role: &Role| *role == Role::New;
    match &plan.existing {
        None if !plan.roles.iter().all(is_new) => {
            text += &format!(
                "  What the legs hold may differ: {} is copied to the others.\n",
                mirror.leg_name(0)
            );
        }
        None => {}
        Some(existing) => {
            if !existing.is_clean {
                text += "  It was not stopped in order: where its legs may differ, one is copied to \
                         the others.\n";
            }
            if !existing.absent.is_empty() {
                text += &format!(
                    "  It was started without {}: what was written to that leg alone is not here.\n",
                    existing.absent.join(", ")
                );
            }
        }
    }
    text
}

/// What to say of a file.
fn what_of(role: Role, has_others: bool) -> &'static str {
    match role {
        Role::New if has_others => " (missing, made anew: rebuilt from the others)",
        Role::New => " (new)",
        Role::Blank if has_others => " (blank: rebuilt from the others)",
        Role::Blank | Role::InSync => "",
        Role::Overwritten if has_others => " (overwritten: rebuilt from the others)",
        Role::Overwritten => " (overwritten)",
        Role::Rebuilding => " (its rebuild goes on)",
        Role::Stale => " (was out: what it missed is copied to it)",
        Role::Lagging => " (an old state: all is copied to it)",
    }
}

/// Commands, and what they do.
fn suggestions(line: &CommandLine, block_size: u32) -> Vec<(String, &'static str)> {
    let ctl = raid1ctl(line);
    let mut list = vec![
        (format!("{ctl} status"), ""),
        (format!("{ctl} watch"), "rates and latencies"),
    ];
    let Some(mirror) = line.mirrors.first() else {
        return list;
    };
    let name = &mirror.name;
    let Some(address) = line.exports.first() else {
        let start = format!("{ctl} export start {} unix:/tmp/nbd.sock", shell(name));
        list.push((start, "serve it over NBD"));
        return list;
    };
    let uri = shell(&address.uri(name));
    list.extend([
        (format!("nbdinfo {uri}"), ""),
        (format!("nbdcopy disk.img {uri}"), "an image into it"),
        (format!("nbdcopy {uri} copy.img"), "and out of it"),
        (
            format!("qemu-system-x86_64 -m 1G -drive file={uri},format=raw,if=virtio"),
            "",
        ),
        (
            format!(
                "sudo nbd-client {} /dev/nbd0 -b {block_size} -N {}",
                place(address),
                shell(name)
            ),
            "a disk of the kernel; then mkfs, mount",
        ),
    ]);
    list
}

/// raid1ctl for this application as the user can call it: where raid1 was called by a path, it
/// stands beside it.
fn raid1ctl(line: &CommandLine) -> String {
    let program = line.rest.first().map(|name| String::from_utf8_lossy(name));
    let beside = program.and_then(|program| {
        let (directory, _) = program.rsplit_once('/')?;
        Some(format!("{directory}/raid1ctl"))
    });
    let beside = beside.filter(|path| Path::new(path).exists());
    let mut ctl = shell(&beside.unwrap_or_else(|| "raid1ctl".to_owned()));
    if let Some(socket) = line.value_of_rest("-r", "--rpc-socket")
        && socket != SOCKET_DEFAULT
    {
        ctl += &format!(" -s {}", shell(&socket));
    }
    ctl
}

/// Where a server listens, as nbd-client takes it.
fn place(address: &NbdAddress) -> String {
    match address {
        NbdAddress::Unix(path) => format!("-unix {}", shell(&path.to_string_lossy())),
        NbdAddress::Tcp(host, port) => format!("{host} {port}"),
    }
}

/// A word as a shell reads it.
fn shell(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_a_shell() {
        assert_eq!(shell("/tmp/a.sock"), "/tmp/a.sock");
        assert_eq!(shell("a b"), "'a b'");
        assert_eq!(shell("a'b"), r"'a'\''b'");
        assert_eq!(shell(""), "''");
    }

    #[test]
    fn commands_fit_the_arguments() {
        let parse = |arguments: &[&str]| {
            let arguments = [&["raid1", "--mirror=m0=/a,/b"], arguments].concat();
            CommandLine::parse(arguments.into_iter().map(Into::into)).unwrap()
        };
        let texts = |arguments: &[&str]| {
            let list = suggestions(&parse(arguments), 4096).into_iter();
            list.map(|(command, _)| command).collect::<Vec<_>>()
        };
        let plain = texts(&[]);
        assert_eq!(plain[0], "raid1ctl status");
        assert_eq!(plain[2], "raid1ctl export start m0 unix:/tmp/nbd.sock");
        let exported = texts(&["-r", "/x", "--nbd=unix:/s"]);
        assert_eq!(exported[0], "raid1ctl -s /x status");
        assert_eq!(exported[2], "nbdinfo 'nbd+unix:///m0?socket=/s'");
        assert!(exported[6].contains("nbd-client -unix /s /dev/nbd0 -b 4096 -N m0"));
        assert!(texts(&["--nbd=tcp:localhost:7"])[6].contains("nbd-client localhost 7 "));
    }

    #[test]
    fn the_help_fits_a_terminal() {
        assert!(HELP.lines().all(|line| line.len() <= 100));
    }
}
