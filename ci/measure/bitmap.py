"""What the write-intent bitmap costs: random writes with metadata against the same without."""

import sys
from statistics import median

from harness import config, spdk
from measure import bdevperf, speed

# Of the hot set, and what is around it.
LEG_MIB = 1024 + 1
LEGS = ["L0", "L1"]

# What is promised of the median in steady state.
PROMISED_RATIO = 0.95

# Regions so many that, at depth 1, nearly every write of a short run is the first to its region.
SMALL_REGION_KIB = 16


def document(**metadata):
    """Two legs in memory, and a mirror of them."""
    legs = [config.malloc(leg, LEG_MIB) for leg in LEGS]
    return config.document([*legs, config.mirror("M", LEGS, **metadata)])


WITHOUT = {}
WITH = {"superblock": True, "sync": "assume_clean"}


def measure(rounds, seconds):
    """Name to IOPS, one a round."""
    samples = {"without": [], "with": []}
    variants = [("without", WITHOUT), ("with", WITH)]
    load = bdevperf.Load("randwrite", 128, 1, seconds)
    for number in range(rounds):
        for name, metadata in variants if number % 2 == 0 else variants[::-1]:
            result = bdevperf.run(document(**metadata), "M", load, [spdk.MODULE])
            samples[name].append(result.iops)
            print(f"round {number + 1}/{rounds}: bitmap: {name} {speed.amount(result.iops)}",
                  file=sys.stderr, flush=True)
    return samples


def first_touch_us(rounds):
    """Microseconds of a write, by name: without a bitmap, and where it has to be marked first."""
    first = {**WITH, "region_size_kib": SMALL_REGION_KIB}
    load = bdevperf.Load("randwrite", 1, 1, 1)
    times = {"without": [], "first": []}
    for _ in range(rounds):
        for name, metadata in (("without", WITHOUT), ("first", first)):
            result = bdevperf.run(document(**metadata), "M", load, [spdk.MODULE])
            times[name].append(1e6 / result.iops)
    return {name: median(each) for name, each in times.items()}


def report(rounds, seconds):
    """(Markdown, whether the limit holds)."""
    samples = measure(rounds, seconds)
    ratio = speed.spread(samples["with"], samples["without"])
    good = median(speed.ratios_of(samples["with"], samples["without"])) >= PROMISED_RATIO
    touch = first_touch_us(rounds)
    lines = [
        f"4 KiB randwrite over 1 GiB, malloc legs, depth 128, one core, {rounds} interleaved rounds of "
        f"{seconds} s.", "",
        "| without metadata | with | with : without |", "|---:|---:|---:|",
        f"| {speed.amount(median(samples['without']))} | {speed.amount(median(samples['with']))} "
        f"| {ratio} |", "",
        f"At depth 1 a write takes {touch['without']:.1f} µs without metadata, and {touch['first']:.1f} µs in "
        f"the first second on regions of {SMALL_REGION_KIB} KiB, nearly all of which are marked first.",
    ]
    if not good:
        lines += ["", f"MISSED: below {PROMISED_RATIO:.2f} of the mirror without metadata"]
    return "\n".join(lines), good
