"""What SPDK v26.01's own raid1 gets wrong, row by row: the same steps, the right outcome."""

import pytest
from world import World


@pytest.fixture(autouse=True)
def ours(stock):
    """They are its defects."""
    if stock:
        pytest.skip("SPDK's own module fails these")


@pytest.fixture
def world(start, scratch):
    """With nothing in it yet."""
    return World(start, scratch)
