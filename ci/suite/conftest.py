"""Options and fixtures of the suite."""

import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# The client of NBD, for tests beside its own.
sys.path.append(str(Path(__file__).resolve().parent / "nbd"))

from harness import spdk  # noqa: E402
from harness.application import Application  # noqa: E402
from harness.mirror import Mirrors  # noqa: E402


def pytest_addoption(parser):
    """Options of ours."""
    parser.addoption("--quick", action="store_true",
                     help="run bdevperf for seconds rather than a minute")
    parser.addoption("--backend", choices=["spdk", "embedded"], default="spdk",
                     help="what raid1 was built with; without SPDK, its own programs are not used")
    parser.addoption("--record", action="store_true",
                     help="write down the answers of this SPDK, to compare others with")
    parser.addoption("--cycles", type=int,
                     help="how often the crash test kills the process: 15 times with --quick, else 300")
    parser.addoption("--seed", type=int, help="of the crash tests; a new one is taken without it")
    parser.addoption("--stock", action="store_true",
                     help="run the suite on SPDK's own raid module, to test the suite itself")


@pytest.fixture(scope="session")
def stock(request):
    """Whether the suite runs on SPDK's own module."""
    return request.config.getoption("--stock")


@pytest.fixture(scope="session")
def quick(request):
    """Whether bdevperf runs for seconds only."""
    return request.config.getoption("--quick")


@pytest.fixture
def scratch():
    """A directory with a name short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="barespdk-") as path:
        yield Path(path)


@pytest.fixture(scope="session")
def backend(request):
    """What raid1 was built with."""
    return request.config.getoption("--backend")


@pytest.fixture(scope="session")
def raid1(backend):
    """Path of the binary, which must be of the backend that is to be tested."""
    assert spdk.BINARY.is_file(), f"{spdk.BINARY} was not built"
    is_embedded = "embedded" in spdk.version(spdk.BINARY)
    assert is_embedded == (backend == "embedded"), f"{spdk.BINARY} is of the other backend"
    return spdk.BINARY


@pytest.fixture(scope="session")
def program(request, backend, stock):
    """Path of a program, and what to preload into it; skips the test if it is not there."""

    def find(name):
        if name == "raid1" and not stock:
            return request.getfixturevalue("raid1"), []
        if backend == "embedded":
            pytest.skip(f"{name} is a program of SPDK, which is not tested here")
        name = "spdk_tgt" if name == "raid1" else name
        path = spdk.program(name)
        if path is None:
            pytest.skip(f"{name} is neither in SPDK_DIR nor in PATH")
        if stock:
            return path, []
        if not spdk.hosts_modules(path):
            pytest.skip(f"{path} is linked statically and cannot host the module")
        assert spdk.MODULE.is_file(), f"{spdk.MODULE} was not built"
        return path, [spdk.MODULE]

    return find


@pytest.fixture
def start(request, scratch, program):
    """Starts an application and waits until it is ready; ends it with the test at the latest."""
    request.node.applications = []

    def run(name, *args, wait=True, **options):
        path, preload = program(name)
        home = scratch / f"app{len(request.node.applications)}"
        application = Application(path, home, *args, preload=preload, **options)
        request.node.applications.append(application)
        return application.ready() if wait else application

    yield run
    for application in request.node.applications:
        application.kill()


@pytest.fixture
def app(start):
    """A running target."""
    return start("raid1")


@pytest.fixture
def mirrors(app, stock):
    """The mirrors of that target."""
    return Mirrors(app, stock)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Shows what the applications printed if the test failed."""
    report = (yield).get_result()
    if report.failed:
        for application in getattr(item, "applications", []):
            code = application.process.poll()
            title = f"{application.process.args[0]}, exit code {code}"
            report.sections.append((title, application.output()[-20000:]))


@pytest.fixture(scope="session")
def tool():
    """Path of a program of the system; skips the test if it is not there."""

    def find(name):
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"{name} is not installed")
        return path

    return find
