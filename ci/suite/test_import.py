"""Arrays of SPDK's bdev_raid become mirrors and arrays again, where they are, with all data."""

import random
import struct
import subprocess
import time
from pathlib import Path

import pytest

from harness import spdk
from harness.application import Application, Error

CORPUS = Path(__file__).resolve().parents[2] / "raid1" / "fuzz" / "corpus" / "import"
# What the recorded superblocks say, which a real SPDK v26.01 has written.
NAME = "Array0"
ARRAY = "12345678-9abc-4def-8123-456789abcdef"
UUIDS = ["919c4215-ad58-467c-8235-85f6ac27cf15", "94b0a055-8b17-4edf-a015-a5241f609168"]
LEGS = ["L0", "L1"]
LEG_BYTES = 16 << 20
DATA_OFFSET = 1 << 20
DATA_BYTES = LEG_BYTES - DATA_OFFSET
COPY_B = 64 << 10
SECONDS_MAX = 60
RAID5F = 0x5f


@pytest.fixture(autouse=True)
def ours(stock):
    """SPDK has nothing of the kind."""
    if stock:
        pytest.skip("SPDK's own module takes no arrays over")


@pytest.fixture
def files(scratch):
    """The legs, empty."""
    paths = [scratch / leg for leg in LEGS]
    for path in paths:
        with path.open("wb") as file:
            file.truncate(LEG_BYTES)
    return paths


@pytest.fixture
def copy(scratch, tool):
    """Copies between a bdev of an application and bytes, over NBD."""
    nbdcopy = tool("nbdcopy")

    def uri(app):
        address = app.scratch / "nbd.sock"
        app.call("nbd_export_start", bdev_name=NAME, address=f"unix:{address}")
        return f"nbd+unix:///{NAME}?socket={address}"

    def run(*words):
        done = subprocess.run([nbdcopy, *map(str, words)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout

    class Copy:
        """Each way."""

        @staticmethod
        def write(app, content):
            """Into the bdev."""
            image = scratch / "image"
            image.write_bytes(content)
            run("--flush", image, uri(app))
            app.call("nbd_export_stop", bdev_name=NAME)

        @staticmethod
        def read(app):
            """All of the bdev."""
            image = scratch / "image"
            run(uri(app), image)
            app.call("nbd_export_stop", bdev_name=NAME)
            return image.read_bytes()

    return Copy


def content(seed):
    """Data for the whole array."""
    return random.Random(seed).randbytes(DATA_BYTES)


def checksum(raw):
    """That of bdev_raid: CRC-32C without its inversions."""
    crc = 0
    for byte in raw:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc


def record(path, name, data):
    """Makes a file what a base bdev was when the superblock was recorded."""
    with path.open("r+b") as file:
        file.write((CORPUS / name).read_bytes())
        file.seek(DATA_OFFSET)
        file.write(data)


def data_of(path):
    """What a leg has of the data."""
    return path.read_bytes()[DATA_OFFSET:]


def superblock_of(path):
    """Number of the last write, and states by slot, of an array of bdev_raid."""
    raw = path.read_bytes()
    assert raw[:8] == b"SPDKRAID"
    assert raw[COPY_B:COPY_B + 8] == bytes(8)
    (sequence,) = struct.unpack_from("<Q", raw, 128)
    count = raw[255]
    states = [struct.unpack_from("<I", raw, 256 + 64 * entry + 32)[0] for entry in range(count)]
    return sequence, states


def open_legs(app, files):
    """Makes the bdevs, with the uuids that arrays know them by."""
    for leg, path, uuid in zip(LEGS, files, UUIDS, strict=True):
        app.call("bdev_aio_create", name=leg, filename=str(path), block_size=512, uuid=uuid)


def until(condition):
    """Waits for something."""
    deadline = time.monotonic() + SECONDS_MAX
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not so after {SECONDS_MAX} s"
        time.sleep(0.05)
    return value


def entry_of(app, method):
    """What there is of the array, once it is online; None before."""
    entries = app.call(method, category="online")
    return next((entry for entry in entries if entry["name"] == NAME), None)


def settled(app):
    """Waits until all legs are equal."""
    def check():
        entry = entry_of(app, "raid1_get_bdevs")
        states = {leg["state"] for leg in entry["base_bdevs_list"]}
        return entry["unequal_regions"] == 0 and states == {"in_sync"} and entry

    return until(check)


def refusal(app, **params):
    """Why an array is not taken over."""
    with pytest.raises(Error) as error:
        app.call("raid1_import", **params)
    return error.value.message


def test_nothing_is_copied_where_legs_are_equal(app, files, copy):
    data = content(1)
    for path in files:
        record(path, "spdk-26.01-two-legs", data)
    open_legs(app, files)
    release(app)
    before = [path.read_bytes() for path in files]
    message = refusal(app, base_bdevs=LEGS)
    assert "'assume_clean': true" in message and "'source'" in message
    assert "one more base bdev" in refusal(app, base_bdevs=LEGS[:1], assume_clean=True)
    assert "none of 'base_bdevs'" in refusal(app, base_bdevs=LEGS, source="x")
    assert [path.read_bytes() for path in files] == before
    last = superblock_of(files[0])[0]

    # In whatever order they are named.
    assert app.call("raid1_import", base_bdevs=LEGS[::-1], assume_clean=True) is True
    entry = entry_of(app, "raid1_get_bdevs")
    assert entry["uuid"] == ARRAY
    assert entry["unequal_regions"] == 0
    assert [leg["name"] for leg in entry["base_bdevs_list"]] == LEGS
    assert {leg["data_offset"] for leg in entry["base_bdevs_list"]} == {DATA_OFFSET // 512}
    assert copy.read(app) == data
    data = content(2)
    copy.write(app, data)
    assert app.call("raid1_export", name=NAME) is True
    assert entry_of(app, "raid1_get_bdevs") is None
    for path in files:
        sequence, states = superblock_of(path)
        assert sequence > last
        assert states == [1, 1]
        assert data_of(path) == data
    # And once more.
    assert app.call("raid1_import", base_bdevs=LEGS, assume_clean=True, name="Other") is True
    assert app.call("raid1_export", name="Other") is True
    assert superblock_of(files[0])[0] > sequence


def test_legs_are_made_equal_to_the_source(app, files, copy):
    data = [content(seed) for seed in (3, 4)]
    for path, own in zip(files, data, strict=True):
        record(path, "spdk-26.01-two-legs", own)
    open_legs(app, files)
    release(app)
    assert app.call("raid1_import", base_bdevs=LEGS, source=LEGS[1]) is True
    assert copy.read(app) == data[1]
    settled(app)
    assert app.call("raid1_export", name=NAME) is True
    assert [data_of(path) for path in files] == [data[1]] * 2


def test_one_that_was_taken_out_is_refused_or_copied_to(app, files, copy):
    data = [content(seed) for seed in (5, 6)]
    record(files[0], "spdk-26.01-leg-removed", data[0])
    record(files[1], "spdk-26.01-two-legs", data[1])
    open_legs(app, files)
    release(app)
    message = refusal(app, base_bdevs=LEGS, assume_clean=True)
    assert "'L1' is missing, says 'L0'" in message
    assert app.call("raid1_import", base_bdevs=LEGS, source=LEGS[0]) is True
    assert copy.read(app) == data[0]
    settled(app)
    assert app.call("raid1_export", name=NAME) is True
    assert [data_of(path) for path in files] == [data[0]] * 2


def test_what_is_taken_over_stays_so(start, files, copy):
    data = content(7)
    for path in files:
        record(path, "spdk-26.01-two-legs", data)
    first = start("raid1")
    open_legs(first, files)
    release(first)
    assert first.call("raid1_import", base_bdevs=LEGS, assume_clean=True) is True
    assert first.stop() == 0
    second = start("raid1")
    open_legs(second, files)
    until(lambda: entry_of(second, "raid1_get_bdevs"))
    assert copy.read(second) == data


def test_a_mirror_without_a_leg_is_given_back_without_it(app, files):
    for path in files:
        record(path, "spdk-26.01-two-legs", content(8))
    open_legs(app, files)
    release(app)
    assert app.call("raid1_import", base_bdevs=LEGS, assume_clean=True) is True
    assert app.call("raid1_remove_base_bdev", name=LEGS[1]) is True
    assert app.call("raid1_export", name=NAME) is True
    assert superblock_of(files[0])[1] == [1, 0]


def test_other_levels_and_other_content_are_refused_by_name(app, files):
    record(files[0], "spdk-26.01-two-legs", b"")
    with files[0].open("r+b") as file:
        raw = bytearray(file.read(384))
        struct.pack_into("<I", raw, 116, RAID5F)
        struct.pack_into("<I", raw, 16, 0)
        struct.pack_into("<I", raw, 16, checksum(raw))
        file.seek(0)
        file.write(raw)
    open_legs(app, files)
    release(app)
    assert "raid5f" in refusal(app, base_bdevs=LEGS, name="M")
    assert "'L1' has no superblock of bdev_raid" in refusal(app, base_bdevs=LEGS[1:], name="M")


def release(app):
    """Has SPDK's own module let go of what it assembled when it saw the legs, if it is there."""
    try:
        arrays = app.call("bdev_raid_get_bdevs", category="all")
    except Error:
        return
    for array in arrays:
        app.call("bdev_raid_delete", name=array["name"])


@pytest.mark.parametrize("told", [{"assume_clean": True}, {"source": LEGS[1]}])
def test_an_array_of_spdk_is_taken_over_and_given_back(start, scratch, files, copy, told):
    data = content(9)
    made = start("spdk_tgt")
    open_legs(made, files)
    made.call("bdev_raid_create", name=NAME, raid_level="raid1", base_bdevs=LEGS, superblock=True)
    copy.write(made, data)
    assert made.stop() == 0

    taken = start("raid1")
    open_legs(taken, files)
    release(taken)
    taken.call("raid1_import", base_bdevs=LEGS, **told)
    assert copy.read(taken) == data
    data = content(10)
    copy.write(taken, data)
    settled(taken)
    assert taken.call("raid1_export", name=NAME) is True
    assert taken.stop() == 0

    # Without a module of ours in it.
    with Application(spdk.program("spdk_tgt"), scratch / "stock").ready() as alone:
        open_legs(alone, files)
        entry = until(lambda: entry_of(alone, "bdev_raid_get_bdevs"))
        assert entry["superblock"] is True
        assert entry["num_base_bdevs_operational"] == 2
        assert alone.stop() == 0
    given = start("spdk_tgt")
    open_legs(given, files)
    until(lambda: entry_of(given, "bdev_raid_get_bdevs"))
    assert copy.read(given) == data
    assert given.call("raid1_get_bdevs", category="all") == []


def test_legs_with_interleaved_metadata(app, backend):
    """SPDK has its superblock in the data of their blocks, too."""
    if backend == "embedded":
        pytest.skip("it has no bdev_raid")
    for leg in LEGS:
        app.call("bdev_malloc_create", name=f"Base-{leg}", num_blocks=LEG_BYTES // 512,
                 block_size=512, md_size=8, md_interleave=True)

    def see():
        for leg, uuid in zip(LEGS, UUIDS, strict=True):
            app.call("bdev_passthru_create", name=leg, base_bdev_name=f"Base-{leg}", uuid=uuid)
        app.call("bdev_wait_for_examine")

    see()
    app.call("bdev_raid_create", name=NAME, raid_level="raid1", base_bdevs=LEGS, superblock=True)
    uuid = entry_of(app, "bdev_raid_get_bdevs")["uuid"]
    release(app)
    assert app.call("raid1_import", base_bdevs=LEGS, assume_clean=True) is True
    assert entry_of(app, "raid1_get_bdevs")["uuid"] == uuid
    assert app.call("raid1_export", name=NAME) is True
    for leg in LEGS:
        app.call("bdev_passthru_delete", name=leg)
    see()
    entry = until(lambda: entry_of(app, "bdev_raid_get_bdevs"))
    assert entry["uuid"] == uuid
    assert entry["num_base_bdevs_operational"] == 2


@pytest.mark.parametrize("legs", [LEGS, LEGS[1:]])
def test_killed_between_the_superblocks_it_is_a_mirror(start, files, copy, backend, legs):
    if backend == "spdk":
        pytest.skip("SPDK's own module goes by its own superblock, and may be first")
    data = content(11)
    for path in files:
        record(path, "spdk-26.01-two-legs", data)
    before = [path.read_bytes()[:4096] for path in files]
    first = start("raid1")
    open_legs(first, files)
    first.call("raid1_import", base_bdevs=LEGS, assume_clean=True)
    first.kill()
    # As if copy A had not been written yet, on all legs or on one.
    for leg, path, superblock in zip(LEGS, files, before, strict=True):
        if leg in legs:
            with path.open("r+b") as file:
                file.write(superblock)
    second = start("raid1")
    open_legs(second, files)
    until(lambda: entry_of(second, "raid1_get_bdevs"))
    assert copy.read(second) == data
    settled(second)
