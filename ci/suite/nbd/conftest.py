"""What the tests of the NBD server have in common."""

import pytest
from nbd_server import Server


@pytest.fixture(autouse=True)
def ours(stock):
    """SPDK's own applications have no such server."""
    if stock:
        pytest.skip("SPDK's own modules do not serve NBD in user space")


@pytest.fixture
def server(app, scratch):
    """Of one core."""
    return Server(app, scratch / "nbd.sock")
