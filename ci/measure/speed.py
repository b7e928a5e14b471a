"""IOPS of a mirror against its competitors, in interleaved rounds."""

import sys
from dataclasses import dataclass
from itertools import product
from statistics import median

from harness import config, spdk
from measure import bdevperf

LEGS = {"null": config.null, "malloc": config.malloc}
PATTERNS = {"randread": "randread", "randwrite": "randwrite", "70/30": "randrw"}

# What is promised: on null legs at this depth, the median ratio to SPDK's own mirror.
PROMISED_LEG, PROMISED_DEPTH, PROMISED_RATIO = "null", 128, 1.00


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    leg: str
    pattern: str
    depth: int
    cores: int

    def __str__(self):
        return f"{self.leg} {self.pattern} q{self.depth} {self.cores}core"


CASES = [Case(*fields) for fields in product(LEGS, PATTERNS, (128, 1), (1, 2))]


def competitors(leg, ours):
    """Name to (configuration calls, device): what is measured on legs of this kind."""
    legs = [LEGS[leg]("L0"), LEGS[leg]("L1")]
    names = ["L0", "L1"]
    devices = {
        "leg": ([legs[0]], "L0"),
        "passthru": ([legs[0], config.passthru("P", "L0")], "P"),
        "bdev_raid": ([*legs, config.stock_mirror("M", names)], "M"),
    }
    if ours:
        devices["raid1"] = ([*legs, config.mirror("M", names)], "M")
    return devices


def select(only):
    """The cases whose name has every word of `only`, such as "null randread q128"."""
    words = only.split()
    return [case for case in CASES if all(word in str(case).split() for word in words)]


def measure(cases, rounds, seconds, ours):
    """Case to name to IOPS, one a round. Each round starts with another competitor."""
    samples = {case: {} for case in cases}
    preload = [spdk.MODULE] if ours else []
    for number, case in product(range(rounds), cases):
        devices = list(competitors(case.leg, ours).items())
        turn = number % len(devices)
        load = bdevperf.Load(PATTERNS[case.pattern], case.depth, case.cores, seconds)
        for name, (calls, device) in devices[turn:] + devices[:turn]:
            # The module is loaded into every run, so that all processes are alike.
            result = bdevperf.run(config.document(calls), device, load, preload)
            samples[case].setdefault(name, []).append(result.iops)
            print(f"round {number + 1}/{rounds}: {case}: {name} {amount(result.iops)}",
                  file=sys.stderr, flush=True)
    return samples


def amount(iops):
    """Three significant digits."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if iops >= size:
            return f"{iops / size:.3g} {unit}"
    return f"{iops:.0f}"


def ratios_of(numerator, denominator):
    """The ratio of each round."""
    return [a / b for a, b in zip(numerator, denominator, strict=True)]


def missed(samples):
    """A line for each case that misses what is promised."""
    lines = []
    for case, of in samples.items():
        ratio = median(ratios_of(of["raid1"], of["bdev_raid"]))
        promised = case.leg == PROMISED_LEG and case.depth == PROMISED_DEPTH
        if promised and ratio < PROMISED_RATIO:
            lines.append(f"MISSED: {case}: {ratio:.3f} of bdev_raid, promised {PROMISED_RATIO:.2f}")
    return lines


def spread(numerator, denominator):
    """Min, median, max of the ratio of each round."""
    ratios = ratios_of(numerator, denominator)
    return f"{min(ratios):.2f} / **{median(ratios):.2f}** / {max(ratios):.2f}"


def table(samples, ours):
    """Markdown. Columns of IOPS are medians."""
    subject = "raid1" if ours else "bdev_raid"
    rivals = ["bdev_raid", "passthru"] if ours else ["passthru"]
    names = ["leg", "passthru", "bdev_raid"] + (["raid1"] if ours else [])
    against = [f"{subject} : {rival}" for rival in rivals]
    head = ["legs", "4 KiB", "depth", "cores", *names, *against]
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * (len(head) - 2)]
    for case, of in samples.items():
        cells = [case.leg, case.pattern, str(case.depth), str(case.cores)]
        cells += [amount(median(of[name])) for name in names]
        cells += [spread(of[subject], of[rival]) for rival in rivals]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
