"""Ids: an id, or the beginning of one, to what it is and the rounds that it stands in."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autoif_dagster.errors import AutoIFError, CallError
from autoif_dagster.explain.reading import define, fetch
from autoif_dagster.lake import Lake, Session
from autoif_dagster.records import PARTS, TABLES

READ_FROM = {
    table.name: names
    for table in TABLES.values()
    if (names := [c.name for c in table.columns if c.name.endswith("generation_id")])
}
"""Tables whose rows were read from completions, and the columns that say from which."""

_BY_VERIFIER = [("verifier_candidates", "verifier_id")]
KINDS = {
    "ins": ("instruction", [("augmented_instructions", "instruction_id"),
                            ("seed_instructions", "instruction_id")]),
    "fun": ("function", _BY_VERIFIER),
    "cas": ("case", _BY_VERIFIER),
    "cnd": ("candidate", [("augmented_instructions", "candidate_id"),
                          ("verifier_candidates", "candidate_id")]),
    "qry": ("query", [("user_queries", "query_id"), ("reconstructed_queries", "query_id")]),
    "prm": ("prompt", [("reconstructed_queries", "prompt_id")]),
    "rsp": ("response", [("responses", "response_id")]),
    "par": ("pair", [("dpo_pairs", "pair_id")]),
    "gen": ("generation", [("generations", "generation_id"),
                           *((table, name) for table in READ_FROM for name in READ_FROM[table])]),
}  # fmt: skip
"""What an id's first letters say that it is of, and the columns that together have all such ids."""

_DIGITS = 24
_ID = re.compile(rf"({'|'.join(KINDS)})_([0-9a-f]{{1,{_DIGITS}}})")
_SHOWN = 5  # of the ids that a beginning fits
_MOST = 10_000  # rows that are looked at: an id may stand in every round


@dataclass(frozen=True, slots=True)
class Found:
    """A thing: its id, its kind, and the rounds that it stands in, in order. Seeds, queries and
    completions may stand in none."""

    id: str
    kind: str
    rounds: tuple[str, ...]


def find(lake: Lake, given: str) -> Found:
    """What an id, or an unambiguous beginning of one, names.

    Raises:
        CallError: it is no id, or the beginning of several.
        AutoIFError: there is nothing of that name; says where was looked.
    """
    match = _ID.fullmatch(given.strip().lower())
    if match is None:
        known = ", ".join(f"{prefix}_ ({kind})" for prefix, (kind, _) in KINDS.items())
        raise CallError(
            f"{given!r:.60} is no id: ids are {_DIGITS} hexadecimal digits, or their beginning, "
            f"after one of {known}"
        )
    wanted, (kind, places) = match[0], KINDS[match[1]]
    rounds: dict[str, set[str]] = {}
    with lake.session() as session:
        fits = "= $id" if len(match[2]) == _DIGITS else "^@ $id"
        for table, column in places:
            for name, key in _look(session, table, column, f"{column} {fits}", wanted):
                rounds.setdefault(name, set()).update(filter(None, [key]))
        if not rounds:
            tables = ", ".join(dict.fromkeys(table for table, _ in places))
            raise AutoIFError(
                f"no {kind} {wanted} in {lake.home.root}: looked in {tables} of "
                f"{len(lake.rounds('round_plan'))} rounds"
            )
    if len(rounds) > 1:
        raise CallError(f"{wanted} is the beginning of {_list(sorted(rounds))}; say more of it")
    ((name, keys),) = rounds.items()
    return Found(name, kind, tuple(sorted(keys)))


def _look(
    session: Session, table: str, column: str, fits: str, wanted: str
) -> Iterator[tuple[str, str | None]]:
    """Ids of a table, with their rounds, that fit what is wanted."""
    lake = session.lake
    files = sorted((lake.home.lake / table).glob("*.parquet"))
    if table in PARTS:
        define(session, "looked_in", files)
    elif lake.rounds(table):
        session.scan(table, rounds=lake.rounds(table), under="looked_in", candidates=True)
    else:
        return
    key = "round" if table in TABLES and TABLES[table].per_round else "NULL"
    sql = (
        f"SELECT DISTINCT {column} AS id, {key} AS round FROM looked_in WHERE {fits} "
        f"ORDER BY id, round LIMIT {_MOST}"
    )
    for row in fetch(session, sql, {"id": wanted}, files):
        yield str(row["id"]), None if row["round"] is None else str(row["round"])


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
