"""What a decision kept of its candidates, in a round and in those before it."""

from dataclasses import dataclass

from autoif_dagster.lake import Session
from autoif_dagster.records import Table

PAST = 10  # earlier rounds that are looked at


@dataclass(frozen=True, slots=True)
class Yield:
    """What a decision kept in a round."""

    round: str
    candidates: int
    kept: int

    @property
    def share(self) -> float:
        return self.kept / self.candidates


def has_yield(table: Table) -> bool:
    """Whether a table has a yield in each round."""
    return table.is_decision and table.per_round


def yields(session: Session, table: Table) -> list[Yield]:
    """What a decision kept in the last earlier rounds that are complete, oldest first, and last in
    the session's own; the rows behind it are readable as `of_rounds`. Rounds that had no
    candidates, or have the table from a file, are no measure and are left out."""
    lake, here = session.lake, session.round_key or ""
    stored = set(lake.rounds(table.name)) & set(lake.rounds("round_plan"))
    rounds = [key for key in lake.complete_rounds() if key < here and key in stored]
    # Twice as many as are wanted, since some may be imported.
    rounds = [*rounds[-2 * PAST :], *({here} & stored)]
    session.scan("round_plan", rounds=rounds, under="plans_of_rounds")
    made = [
        key
        for (key,) in session.rows(
            "SELECT round FROM plans_of_rounds WHERE NOT list_contains(imported, $table) "
            "ORDER BY round",
            {"table": table.name},
        )
    ]
    session.scan(table.name, rounds=made[-PAST - 1 :], under="of_rounds", candidates=True)
    counts = "count(*), count(*) FILTER (reason IS NULL)"
    found = session.rows(f"SELECT round, {counts} FROM of_rounds GROUP BY round ORDER BY round")
    return [Yield(*row) for row in found]
