"""Rounds over time, by the real command: what is made again gives what it gave, and a tighter
threshold asks for nothing."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Ran, run_autoif
from tests.test_living import TINY, few_seeds

KEYS = ("r0001", "r0002", "r0003")


@dataclass(frozen=True, slots=True)
class Grown:
    """A home of three rounds."""

    last: Ran
    settings: dict[str, str]
    files: dict[str, int]
    asked_by_stage: dict[str, int]

    @property
    def asked(self) -> int:
        return sum(self.asked_by_stage.values())


def _by_stage(ran: Ran) -> dict[str, int]:
    counted = ran.query("SELECT stage, count(*) FROM generations GROUP BY stage")
    return {str(stage): int(str(count)) for stage, count in counted}


def _files(home: Path) -> dict[str, int]:
    """When each table's content last changed."""
    return {str(p): p.stat().st_mtime_ns for p in (home / "lake").rglob("r*.parquet")}


def again(grown: Grown, key: str, **settings: str) -> Ran:
    ran = run_autoif(grown.last.home, "demo", "--round", key, **grown.settings | settings)
    assert ran.code == 0, ran.err
    return ran


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Grown:
    folder = tmp_path_factory.mktemp("rounds")
    home, settings = folder / "home", TINY | {"AUTOIF__SEEDS__PATH": str(few_seeds(folder))}
    for key in KEYS:
        last = run_autoif(home, "demo", "--round", key, **settings)
        assert last.code == 0, last.err
    return Grown(last, settings, _files(home), _by_stage(last))


def test_an_early_round_made_again_after_later_ones_gives_what_it_gave(grown: Grown) -> None:
    ran = again(grown, "r0002")
    assert _files(ran.home) == grown.files
    assert ran.count("generations") == grown.asked


def test_rounds_draw_fresh_queries(grown: Grown) -> None:
    drawn = "SELECT DISTINCT query_id FROM reconstructed_queries WHERE round ="
    for later, earlier in (("r0002", "r0001"), ("r0003", "r0002")):
        shared = grown.last.query(f"{drawn} '{later}' INTERSECT {drawn} '{earlier}'")
        assert shared == [], "there are more queries than these rounds use"


def test_tightening_asks_for_nothing(grown: Grown) -> None:
    """The last test of this home: it changes it."""
    tighter = again(grown, "r0003", AUTOIF__QUALITY__MIN_SCORE="9.5")
    assert _by_stage(tighter) == grown.asked_by_stage
    assert "Model calls: 0;" in tighter.err
