"""Real data: a file system written into a three-way mirror of files, and read from each leg."""

import filecmp
import hashlib
import os
import random
import subprocess
from pathlib import Path

import pytest

from harness import config, spdk

IMAGE_BYTES = 96 << 20
LEGS = ["L0", "L1", "L2"]


def run(*command, **options):
    """Runs a program; its output is the message if it fails."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120, check=False, **options)
    assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}"
    return done.stdout


def make_tree(root):
    """Directories, small files, a large one, an empty one, a sparse one and a link."""
    random.seed(1)
    for number in range(200):
        path = root / f"directory{number % 7}" / f"deeper{number % 3}" / f"file{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.randbytes(random.randrange(1, 60_000)))
    (root / "large").write_bytes(random.randbytes(20 << 20))
    (root / "empty").touch()
    with (root / "sparse").open("wb") as file:
        file.seek(5 << 20)
        file.write(b"end")
    (root / "link").symlink_to("large")


def tree_digest(root):
    """Path to content, for everything below a directory."""
    digest = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name.startswith("lost+found"):
            continue
        if path.is_symlink():
            digest[name] = f"link to {os.readlink(path)}"
        elif path.is_file():
            digest[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            digest[name] = "directory"
    return digest


@pytest.fixture
def image(scratch, tool):
    """An ext4 image, and the tree that is in it."""
    tree = scratch / "tree"
    make_tree(tree)
    path = scratch / "image"
    with path.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    run(tool("mkfs.ext4"), "-q", "-F", "-d", tree, path)
    return path, tree


@pytest.fixture
def dd(scratch, stock, program):
    """Copies by spdk_dd, which hosts the module, to or from a mirror of the given legs."""
    path, preload = program("spdk_dd")

    def copy(*args, legs=tuple(LEGS)):
        mirror = config.stock_mirror if stock else config.mirror
        calls = [config.aio(leg, scratch / leg) for leg in legs] + [mirror("M", list(legs))]
        document = scratch / "dd.json"
        document.write_text(config.document(calls), encoding="utf-8")
        environment = dict(os.environ)
        if preload:
            environment["LD_PRELOAD"] = ":".join(map(str, preload))
        return run(path, "--json", document, "-r", scratch / "dd.sock", "-m", "0x1",
                   "--disable-cpumask-locks", *spdk.memory_args(), *args, env=environment)

    for leg in LEGS:
        with (scratch / leg).open("wb") as file:
            file.truncate(IMAGE_BYTES)
    return copy


def assert_same(one, other):
    """Two files hold the same bytes."""
    assert filecmp.cmp(one, other, shallow=False), f"{one} and {other} differ"


@pytest.mark.parametrize("unit", [4096, 1 << 20])
def test_every_leg_holds_the_file_system(scratch, image, dd, tool, unit):
    source, tree = image
    dd("--if", source, "--ob", "M", "--bs", unit, "--qd", 16)
    expected = tree_digest(tree)
    for leg in LEGS:
        assert_same(scratch / leg, source)
        run(tool("e2fsck"), "-fn", scratch / leg)
        out = scratch / f"out-{leg}"
        out.mkdir()
        run(tool("debugfs"), "-R", f"rdump / {out}", scratch / leg)
        assert tree_digest(out) == expected


def test_read_back_through_the_mirror(scratch, image, dd):
    source, _ = image
    dd("--if", source, "--ob", "M", "--bs", 65536, "--qd", 8)
    dd("--ib", "M", "--of", scratch / "back", "--bs", 131072, "--qd", 8)
    assert_same(scratch / "back", source)


def test_read_back_through_a_mirror_of_fewer_legs(scratch, image, dd):
    """No metadata, no order: a mirror of some of the legs holds what the mirror of all held."""
    source, _ = image
    dd("--if", source, "--ob", "M", "--bs", 1 << 20)
    dd("--ib", "M", "--of", scratch / "alone", "--bs", 1 << 20, legs=("L1", "L2"))
    assert_same(scratch / "alone", source)


def test_the_comparison_can_fail(scratch, image, tool):
    """The canary: a leg with one changed byte must not pass."""
    source, _ = image
    changed = Path(scratch / "changed")
    content = bytearray(source.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    with pytest.raises(AssertionError):
        assert_same(changed, source)
    content[1024:1024 + 100] = bytes(100)
    changed.write_bytes(content)
    with pytest.raises(AssertionError):
        run(tool("e2fsck"), "-fn", changed)
