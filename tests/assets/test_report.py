"""The report's sums, read from the table that was just written."""

from pathlib import Path

import pytest

from assets.report import _by_round, _sums
from autoif_dagster.home import open_home
from autoif_dagster.lake import Lake
from autoif_dagster.recipe import Prices
from autoif_dagster.stages.report import report_rows
from tests.stages.test_report import COUNTS, FREE, PRICED, REPLIES


@pytest.mark.parametrize(
    ("prices", "costs"), [(PRICED, [3.0, 1.0, 4.0]), (FREE, [None, None, None])]
)
def test_rounds_and_all_of_them_in_sums(
    home: Path, prices: Prices, costs: list[float | None]
) -> None:
    with Lake(open_home(home, "simulated")).session() as session:
        rows = report_rows(["r1", "r2"], COUNTS, REPLIES, prices)
        session.write_rows("dataset_report", rows)
        *each, total = _sums(session)
    told = [(s["round"], s["sft_rows"], s["replies"], s["models"]) for s in [*each, total]]
    assert told == [
        ("r1", 3, 20, ["one"]),
        ("r2", 5, 10, ["two"]),
        (None, 8, 30, ["one", "two"]),
    ]
    assert [s["cost"] for s in [*each, total]] == costs
    assert total["prompt_tokens"] == 1_500_000
    assert total["pairs"] == 0
    newest = _by_round(each, prices).splitlines()[2]
    assert newest.startswith("| r2 | 0 | 0 | 5 | 0 | 0 | 0 | 10 | 500,000 | 0 | ")
    assert newest.endswith(f" | {'–' if costs[1] is None else '1.00'} | two |")


def test_without_a_round_all_is_nothing(home: Path) -> None:
    with Lake(open_home(home, "simulated")).session() as session:
        session.write_rows("dataset_report", [])
        (total,) = _sums(session)
    assert (total["round"], total["prompts"], total["cost"]) == (None, 0, None)
