//! What the application tells its user: the help, and what to type next.

use std::path::Path;

use crate::command_line::CommandLine;
use crate::files::{Files, MirrorFiles};
use crate::mirror_spec::MirrorSpec;
use crate::nbd_address::NbdAddress;
use crate::size;

/// The help, which SPDK's own follows.
pub(crate) const HELP: &str = "\
raid1: mirrors of block devices, in user space

Usage: raid1 --mirror NAME=FILE,FILE[,..] [--size SIZE] [--nbd ADDRESS] [OPTIONS OF SPDK]
       raid1 [--json FILE] [OPTIONS OF SPDK]

Mirrors of files, in one command:
     --mirror <NAME=FILE,FILE[,..]>
                                 mirror two files or more, or block devices. Files that are missing
                                 are made; those that exist are used as they are, and must hold the
                                 same. May be given again, for another mirror
     --size <SIZE>               size of new files, such as 512MiB or 10GiB (default: 1GiB). They
                                 take no more room than what is written to them
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
pub(crate) fn welcome(line: &CommandLine, files: &Files) -> String {
    let mut text = String::from("\n");
    for (mirror, files) in line.mirrors.iter().zip(&files.mirrors) {
        text += &describe(line, mirror, files);
    }
    text += "\nTry, in another terminal:\n";
    for (command, what) in suggestions(line) {
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

fn describe(line: &CommandLine, mirror: &MirrorSpec, files: &MirrorFiles) -> String {
    let sizes = match files.size_bytes {
        Some(bytes) => format!("{}, ", size::show(bytes)),
        None => String::new(),
    };
    let mut text = format!(
        "raid1: {} is ready: {sizes}blocks of {} bytes\n",
        mirror.name, line.block_size
    );
    for (index, file) in mirror.files.iter().enumerate() {
        let made = if files.are_new { " (new)" } else { "" };
        let leg = mirror.leg_name(index);
        text += &format!("  leg {leg}: {}{made}\n", file.display());
    }
    for address in &line.exports {
        text += &format!("  NBD: {}\n", address.uri(&mirror.name));
    }
    if !files.are_new {
        text +=
            "  Its files were there, and are taken as equal. After a crash, compare them first.\n";
    }
    text
}

/// Commands, and what they do.
fn suggestions(line: &CommandLine) -> Vec<(String, &'static str)> {
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
                "sudo nbd-client {} /dev/nbd0 -b {} -N {}",
                place(address),
                line.block_size,
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
            let list = suggestions(&parse(arguments)).into_iter();
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
