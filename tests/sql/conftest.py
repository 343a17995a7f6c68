"""One home for a module's rounds: creating one takes longer than a round in it."""

import itertools
from collections.abc import Iterator

import pytest

from autoif_dagster.home import open_home
from autoif_dagster.lake import Lake

from .tables import InMemory, Round

_numbers = itertools.count()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    home = open_home(tmp_path_factory.mktemp("sql") / "home", "simulated")
    return Lake(home, memory_mib=256, threads=1)


@pytest.fixture
def fresh(lake: Lake) -> Round:
    """A round in which nothing stands yet."""
    return Round(lake, f"r{next(_numbers):05}")


@pytest.fixture(scope="module")
def memory() -> Iterator[InMemory]:
    place = InMemory()
    yield place
    place.close()
