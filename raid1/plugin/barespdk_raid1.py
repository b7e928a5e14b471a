"""Commands of the barespdk mirror for SPDK's RPC command line.

    export PYTHONPATH=raid1/plugin
    spdk-rpc --plugin barespdk_raid1 raid1_create -n Mirror0 -b "Nvme0n1 Nvme1n1"
    spdk-rpc --plugin barespdk_raid1 raid1_get_bdevs online

Options are those of SPDK's own bdev_raid_* commands, so that scripts need only new names. The same
file serves `scripts/rpc.py` of an SPDK tree and the `spdk-rpc` of PyPI.
"""

import argparse
import json

CATEGORIES = ("all", "online", "configuring", "offline")


def raid1_create(args):
    """Calls raid1_create."""
    args.client.raid1_create(name=args.name, base_bdevs=args.base_bdevs.split(), uuid=args.uuid,
                             superblock=args.superblock, sync=args.sync,
                             region_size_kib=args.region_size_kib, force=args.force or None)


def raid1_delete(args):
    """Calls raid1_delete."""
    args.client.raid1_delete(name=args.name, keep_metadata=args.keep_metadata or None)


def raid1_start(args):
    """Calls raid1_start."""
    args.client.raid1_start(name=args.name, uuid=args.uuid, source=args.source)


def raid1_stop(args):
    """Calls raid1_stop."""
    args.client.raid1_stop(name=args.name)


def raid1_import(args):
    """Calls raid1_import."""
    args.client.raid1_import(
        base_bdevs=args.base_bdevs.split(), name=args.name, source=args.source,
        assume_clean=args.assume_clean or None, region_size_kib=args.region_size_kib)


def raid1_export(args):
    """Calls raid1_export."""
    args.client.raid1_export(name=args.name)


def raid1_set_options(args):
    """Calls raid1_set_options."""
    args.client.raid1_set_options(assemble_timeout_s=args.assemble_timeout_s,
                                  rebuild_limit_mib_s=args.rebuild_limit_mib_s)


def raid1_get_bdevs(args):
    """Calls raid1_get_bdevs and prints its result."""
    print(json.dumps(args.client.raid1_get_bdevs(category=args.category), indent=2))


def raid1_add_base_bdev(args):
    """Calls raid1_add_base_bdev."""
    args.client.raid1_add_base_bdev(raid_bdev=args.raid_bdev, base_bdev=args.base_bdev,
                                    force=args.force or None)


def raid1_remove_base_bdev(args):
    """Calls raid1_remove_base_bdev."""
    args.client.raid1_remove_base_bdev(name=args.name)


def nbd_export_start(args):
    """Calls nbd_export_start and prints its result."""
    print(json.dumps(args.client.nbd_export_start(
        bdev_name=args.bdev_name, address=args.address, export_name=args.export_name,
        read_only=args.read_only or None, wait_for_bdev=args.wait_for_bdev or None), indent=2))


def nbd_export_stop(args):
    """Calls nbd_export_stop."""
    args.client.nbd_export_stop(bdev_name=args.bdev_name, address=args.address,
                                export_name=args.export_name)


def nbd_exports_get(args):
    """Calls nbd_exports_get and prints its result."""
    print(json.dumps(args.client.nbd_exports_get(bdev_name=args.bdev_name), indent=2))


def add_command(subparsers, func, text, epilog=None):
    """A parser for the command named as `func`."""
    parser = subparsers.add_parser(func.__name__, help=text, description=text, epilog=epilog,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(func=func)
    return parser


def spdk_rpc_plugin_initialize(subparsers):
    """Called by spdk-rpc: adds the commands."""
    p = add_command(subparsers, raid1_create,
                    "Create a mirror of 1 to 16 base bdevs of one block size. Its capacity is that "
                    "of the smallest.",
                    'example:\n  raid1_create -n Mirror0 -b "Nvme0n1 Nvme1n1"')
    p.add_argument("-n", "--name", help="name of the mirror", required=True)
    p.add_argument("-b", "--base-bdevs", required=True,
                   help="names of the base bdevs, a whitespace separated list in quotes")
    p.add_argument("--uuid", help="UUID of the mirror; without it, a new one is made")
    p.add_argument("-s", "--superblock", action=argparse.BooleanOptionalAction,
                   help="keep metadata on the base bdevs, in their first MiB: which of them hold what, "
                        "so that the mirror survives crashes. The default; without it, whatever was "
                        "in flight at a crash may differ between the base bdevs for good")
    p.add_argument("--sync", choices=("full", "assume_clean"),
                   help="full, the default: the first base bdev is copied to the others, in the "
                        "background; assume_clean: they are equal already")
    p.add_argument("--region-size-kib", type=int,
                   help="size of the regions that are resynced after a crash, a power of two; without "
                        "it, chosen by capacity")
    p.add_argument("-f", "--force", action="store_true",
                   help="take base bdevs on which there is something, and overwrite it")

    p = add_command(subparsers, raid1_delete,
                    "Delete a mirror. Requests in flight are finished first. The base bdevs stay, "
                    "without the mirror's metadata.")
    p.add_argument("name", help="name of the mirror")
    p.add_argument("-k", "--keep-metadata", action="store_true",
                   help="leave the metadata on the base bdevs: the mirror can be started again")

    add_assembly_commands(subparsers)
    add_takeover_commands(subparsers)

    p = add_command(subparsers, raid1_get_bdevs,
                    "List mirrors with their base bdevs. A base bdev that was lost has the name "
                    "null and is not configured.")
    p.add_argument("category", choices=CATEGORIES,
                   help="which mirrors: all of them, or those in one state")

    p = add_command(subparsers, raid1_add_base_bdev,
                    "Give a mirror a base bdev, for one that it has lost or as one more. It is rebuilt "
                    "from the others, in the background; what is on it is lost.")
    p.add_argument("raid_bdev", help="name of the mirror")
    p.add_argument("base_bdev", help="name of the base bdev")
    p.add_argument("-f", "--force", action="store_true",
                   help="take a base bdev on which there is something, and overwrite it")

    p = add_command(subparsers, raid1_remove_base_bdev,
                    "Take a base bdev out of its mirror, which goes on with the others. The last "
                    "one cannot be taken out.")
    p.add_argument("name", help="name of the base bdev")

    add_nbd_commands(subparsers)


def add_assembly_commands(subparsers):
    """Adds the commands that take mirrors online and offline by their metadata."""
    p = add_command(subparsers, raid1_start,
                    "Start a mirror that waits for base bdevs, without those that are missing.",
                    "examples:\n  raid1_start Mirror0\n  raid1_start Mirror0 --source Nvme1n1")
    which = p.add_mutually_exclusive_group(required=True)
    which.add_argument("name", nargs="?", help="name of the mirror")
    which.add_argument("--uuid", help="UUID of the mirror, where several have its name")
    p.add_argument("--source",
                   help="where base bdevs went on without each other: the one whose data to keep")

    p = add_command(subparsers, raid1_stop,
                    "Take a mirror offline. Its base bdevs keep its data and metadata; raid1_start "
                    "takes it online again.")
    p.add_argument("name", help="name of the mirror")

    p = add_command(subparsers, raid1_set_options, "Set what holds for all mirrors.")
    p.add_argument("--assemble-timeout-s", type=int,
                   help="how long a mirror waits for base bdevs that are missing before it starts "
                        "without them, in seconds; 0: until raid1_start")
    p.add_argument("--rebuild-limit-mib-s", type=int,
                   help="how much one rebuild, or one resync, may copy in a second, in MiB; 0: as much "
                        "as it can")


def add_takeover_commands(subparsers):
    """Adds the commands that take arrays of SPDK's bdev_raid over, and give them back."""
    p = add_command(subparsers, raid1_import,
                    "Take over a raid1 array of SPDK's bdev_raid, in place.",
                    'example:\n  raid1_import -b "Nvme0n1 Nvme1n1" --source Nvme0n1')
    p.add_argument("-b", "--base-bdevs", required=True,
                   help="names of the base bdevs, a whitespace separated list in quotes")
    p.add_argument("-n", "--name", help="name of the mirror; without it, that of the array")
    which = p.add_mutually_exclusive_group()
    which.add_argument("--source", help="the base bdev that is right; all is copied from it")
    which.add_argument("--assume-clean", action="store_true", help="the base bdevs are equal")
    p.add_argument("--region-size-kib", type=int,
                   help="size of the regions that are resynced after a crash, a power of two")

    p = add_command(subparsers, raid1_export,
                    "Give a mirror back to SPDK's bdev_raid, which assembles it after a restart.")
    p.add_argument("name", help="name of the mirror")


def add_nbd_commands(subparsers):
    """Adds the commands that serve bdevs over NBD."""
    address = "unix:PATH, or tcp:HOST:PORT with a host of this machine"
    p = add_command(subparsers, nbd_export_start,
                    "Serve a bdev over NBD. Several exports may have one address.",
                    "example:\n  nbd_export_start Mirror0 unix:/run/mirror0.sock\n"
                    "  nbdinfo 'nbd+unix:///Mirror0?socket=/run/mirror0.sock'")
    p.add_argument("bdev_name", help="name of the bdev")
    p.add_argument("address", help=address)
    p.add_argument("-n", "--export-name", help="what clients call it; without it, as the bdev")
    p.add_argument("-r", "--read-only", action="store_true", help="refuse to write")
    p.add_argument("-w", "--wait-for-bdev", action="store_true",
                   help="if there is no such bdev, start as soon as there is")

    p = add_command(subparsers, nbd_export_stop,
                    "Stop exports: all that fit what is given. Requests in flight are finished "
                    "first; then their connections end.")
    p.add_argument("-b", "--bdev-name", help="name of the bdev")
    p.add_argument("-a", "--address", help=address)
    p.add_argument("-n", "--export-name", help="what clients call it")

    p = add_command(subparsers, nbd_exports_get,
                    "List exports, with the number of their connections and what was done.")
    p.add_argument("-b", "--bdev-name", help="those of one bdev only")
