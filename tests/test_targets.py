"""When another round is wanted, and how many more there may be."""

import pytest

from autoif_dagster.recipe import Target
from autoif_dagster.targets import SoFar, outlook, why_stop


@pytest.mark.parametrize(
    ("want", "rows", "told"),
    [
        (500, (), "0 of 500 rows"),
        (500, (120,), "120 of 500 rows, 120 a round, about 4 further rounds"),
        (500, (100, 100, 50, 20, 20), "290 of 500 rows, 30 a round, about 7 further rounds"),
        (500, (400, 100), "500 of 500 rows, 250 a round"),
        (500, (10, 0, 0, 0), "10 of 500 rows, 0 a round"),
        (
            2_000_000,
            (1_500, 1_501),
            "3,001 of 2,000,000 rows, 1,500 a round, about 1,331 further rounds",
        ),
    ],
)
def test_the_outlook_is_told_in_a_line(want: int, rows: tuple[int, ...], told: str) -> None:
    assert outlook(want, rows).told() == told


@pytest.mark.parametrize(
    ("target", "so_far", "why"),
    [
        (Target(), SoFar((), 0, 0), "target.rows is 0: nothing is wanted"),
        (Target(rows=10), SoFar((), 0, 0), None),
        (Target(rows=10), SoFar((9,), 30, 1), None),
        (Target(rows=10), SoFar((0,), None, 1), None),
        (Target(rows=10), SoFar((5, 5), 30, 2), "the target is reached"),
        (Target(rows=10, max_rounds=2), SoFar((1, 1), 3, 2), "target.max_rounds = 2 is reached"),
        (Target(rows=10, max_rounds=2), SoFar((1,), 3, 1), None),
        (Target(rows=10, min_yield=0.5), SoFar((1,), 2, 1), None),
        (
            Target(rows=10, min_yield=0.5),
            SoFar((5, 1), 3, 2),
            "the last round gave 1 rows of 3 prompts, 0.333 for each, below target.min_yield = 0.5",
        ),
        (
            Target(rows=10),
            SoFar((0,), 0, 1),
            "the last round gave 0 rows of 0 prompts, 0 for each, below target.min_yield = 0.01",
        ),
        (Target(rows=10, tokens=1_000), SoFar((1,), 3, 1, tokens=999), None),
        (
            Target(rows=10, tokens=1_000),
            SoFar((1,), 3, 1, tokens=1_200),
            "target.tokens = 1,000 are spent (1,200)",
        ),
        (
            Target(rows=10, money=2.5),
            SoFar((1,), 3, 1, money=2.5),
            "target.money = 2.5 is spent (2.50)",
        ),
    ],
)
def test_each_limit_ends_it_and_is_named(target: Target, so_far: SoFar, why: str | None) -> None:
    assert why_stop(target, so_far) == why
