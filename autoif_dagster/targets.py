"""Target mode: whether another round is wanted for so many rows, and how many more it may take.

Plain numbers in, words out; the sensor `reach_target` reads the numbers and acts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autoif_dagster.recipe import Target

_LAST = 3  # rounds whose mean is what the next one is expected to give: yields fall slowly


@dataclass(frozen=True, slots=True)
class Outlook:
    """How far a target is: rows there are and wanted, rows a round gives (the mean of the last
    three), and further rounds at that rate; None where nothing can be expected."""

    have: int
    want: int
    per_round: float | None
    further_rounds: int | None

    def told(self) -> str:
        """The same in a line."""
        said = f"{self.have:,} of {self.want:,} rows"
        if self.per_round is not None:
            said += f", {self.per_round:,.0f} a round"
        if self.further_rounds:
            rounds = "round" if self.further_rounds == 1 else "rounds"
            said += f", about {self.further_rounds:,} further {rounds}"
        return said


def outlook(want: int, rows: Sequence[int]) -> Outlook:
    """How far a target of `want` rows is after complete rounds that gave `rows`, in order."""
    have = sum(rows)
    per_round = sum(rows[-_LAST:]) / len(rows[-_LAST:]) if rows else None
    further = None
    if have >= want:
        further = 0
    elif per_round:
        further = math.ceil((want - have) / per_round)
    return Outlook(have, want, per_round, further)


@dataclass(frozen=True, slots=True)
class SoFar:
    """What the rounds of a home gave and cost: rows of each complete one, in order, prompts of the
    last of them (None where it has no such table), how many rounds there are besides the one to be
    made, and tokens and money of all together."""

    rows: tuple[int, ...]
    last_prompts: int | None
    rounds: int
    tokens: int = 0
    money: float = 0.0


def why_stop(target: Target, so_far: SoFar) -> str | None:
    """Why no further round is added; None if one is."""
    if not target.rows:
        return "target.rows is 0: nothing is wanted"
    if sum(so_far.rows) >= target.rows:
        return "the target is reached"
    if so_far.rounds >= target.max_rounds:
        return f"target.max_rounds = {target.max_rounds} is reached"
    if target.tokens and so_far.tokens >= target.tokens:
        return f"target.tokens = {target.tokens:,} are spent ({so_far.tokens:,})"
    if target.money and so_far.money >= target.money:
        return f"target.money = {target.money:g} is spent ({so_far.money:.2f})"
    if so_far.rows and so_far.last_prompts is not None:
        last = so_far.rows[-1] / so_far.last_prompts if so_far.last_prompts else 0.0
        if last < target.min_yield:
            return (
                f"the last round gave {so_far.rows[-1]:,} rows of {so_far.last_prompts:,} prompts, "
                f"{last:.3g} for each, below target.min_yield = {target.min_yield:g}"
            )
    return None
