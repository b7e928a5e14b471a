"""The stock client gets the same answers from both backends, but for listed differences.

`answers.json` holds those of the real SPDK; `pytest test_same_answers.py --record` writes it anew.
"""

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from spdk.rpc.client import JSONRPCException

from differences import DIFFERENCES, OF_THE_BUILD
from harness.application import Error
from script import CALLS

ORDER = "(order)"
ANSWERS = Path(__file__).with_name("answers.json")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Numbers that tell of time, of memory or of chance.
MEASURED = re.compile(r"tsc|ticks|^(irq|sys|usr)$|busy|idle|tick_rate|(^|_)(pid|tid|id|core)$|ms$|usage|elapsed")


def normal(value, key="", name=""):
    """What of an answer does not change from run to run."""
    if isinstance(value, dict):
        return {k: normal(v, k, name) for k, v in value.items()}
    if isinstance(value, list):
        return [normal(item, key, name) for item in value]
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return "number" if MEASURED.search(key) else value
    if isinstance(value, str):
        value = value.replace(name, "{file}") if name else value
        return value if value.startswith("5f2f9e0c") else UUID.sub("uuid", value)
    return value


def ask(app, scratch):
    """The answers to all calls."""
    file = scratch / "file"
    with file.open("wb") as opened:
        opened.truncate(16 << 20)
    answers = []
    for method, params in CALLS:
        params = {key: value.format(file=file) if isinstance(value, str) else value
                  for key, value in params.items()}
        try:
            answer = {"result": app.call(method, **params)}
        except Error as error:
            answer = {"error": {"code": error.code, "message": error.message}}
        except JSONRPCException as error:
            pytest.fail(f"{method}: {error}")
        answers.append({"method": method, **normal(answer, name=str(file))})
    return answers


def label(item, index):
    """What to call an item of a list: what it is named, else its place."""
    if isinstance(item, str):
        return item
    if not isinstance(item, dict):
        return index
    params = item.get("params") if "method" in item else None
    parts = [item.get("subsystem"), item.get("method"), (params or {}).get("name"),
             item.get("name"), item.get("type"), item.get("ctx")]
    return ":".join(part for part in parts if isinstance(part, str)) or index


def leaves(value, path=""):
    """All that is not a container, by path; an item of a list goes by its label, so that one too
    many is one difference. The order of a list is a leaf of its own."""
    if isinstance(value, dict) and value.keys() == {"code", "message"}:
        yield path, f"{value['code']}: {value['message']}"
    elif isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}/{key}")
    elif isinstance(value, list) and value:
        labels = [label(item, index) for index, item in enumerate(value)]
        if len(set(labels)) < len(labels):
            labels = list(range(len(value)))
        for name, item in zip(labels, value):
            yield from leaves(item, f"{path}/{name}")
        yield f"{path}/{ORDER}", labels
    else:
        yield path, value


def differ(path, left, right):
    """Whether two sets of leaves differ at a path. Lists differ in order only if what both have
    does."""
    if path not in left or path not in right:
        return not path.endswith(ORDER)
    if path.endswith(ORDER):
        return ([item for item in left[path] if item in right[path]] !=
                [item for item in right[path] if item in left[path]])
    # To Python, True is 1.
    return left[path] != right[path] or type(left[path]) is not type(right[path])


def unexpected(ours, theirs):
    """Differences that are not listed, one line each, and the listed ones that were seen."""
    lines, seen = [], set()
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        assert mine["method"] == other["method"]
        left, right = dict(leaves(mine)), dict(leaves(other))
        for path in sorted(left.keys() | right.keys()):
            if not differ(path, left, right):
                continue
            whole = f"{mine['method']}{path}"
            line = (f"{whole}: here {left.get(path, 'nothing')!r}, "
                    f"on SPDK {right.get(path, 'nothing')!r}")
            match = [pattern for pattern, _ in DIFFERENCES
                     if fnmatchcase(whole, pattern) or fnmatchcase(line, pattern)]
            seen.update(match)
            if not match:
                lines.append(f"call {number}: {line}")
    return lines, seen


def test_the_answers(request, start, scratch, backend):
    answers = ask(start("raid1"), scratch)
    if request.config.getoption("--record"):
        assert backend == "spdk", "the answers of record are those of the real SPDK"
        ANSWERS.write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")
    recorded = json.loads(ANSWERS.read_text(encoding="utf-8"))
    lines, seen = unexpected(answers, recorded)
    if backend == "spdk":
        assert seen <= OF_THE_BUILD, f"the record is not of SPDK: {seen - OF_THE_BUILD}"
    assert not lines, "\n".join(lines)
    if backend == "embedded":
        stale = [pattern for pattern, _ in DIFFERENCES if pattern not in seen]
        assert not stale, f"listed, and not there: {stale}"


@pytest.mark.parametrize("method, change", [
    ("bdev_malloc_create", lambda answer: answer.update(result="M1")),
    ("bdev_null_resize", lambda answer: answer.update(result=1)),
    ("framework_get_subsystems", lambda answer: answer["result"].reverse()),
    ("log_get_level", lambda answer: answer.update(error={"code": -1, "message": "no"})),
    ("bdev_get_bdevs", lambda answer: answer["result"][0].pop("zoned")),
])
def test_a_difference_shows(method, change):
    recorded = json.loads(ANSWERS.read_text(encoding="utf-8"))
    changed = json.loads(ANSWERS.read_text(encoding="utf-8"))
    change(next(answer for answer in changed if answer["method"] == method))
    assert unexpected(recorded, recorded) == ([], set())
    assert unexpected(changed, recorded)[0]
