"""Ids: an id, or the beginning of one, to what it is and the rounds that it stands in."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autoif_dagster.errors import AutoIFError, CallError
from autoif_dagster.explain.reading import define, fetch
from autoif_dagster.lake import Lake, Session
from autoif_dagster.records import PARTS, TABLES

_DIGITS = 24
_ID = re.compile(rf"([a-z]{{3}})_([0-9a-f]{{1,{_DIGITS}}})")
_SHOWN = 5  # of the ids that a beginning fits, or that are like an unknown one
_MOST = 10_000  # rows that are looked at: an id may stand in every round
_SIXTH = 6  # one digit in so many may differ, and still another id be meant


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing that has ids: its name, and the tables and columns where all of them are."""

    name: str
    places: tuple[tuple[str, str], ...]


KINDS = {
    "ins": Kind(
        "instruction",
        (("augmented_instructions", "instruction_id"), ("seed_instructions", "instruction_id")),
    ),
    "fun": Kind("function", (("verifier_candidates", "verifier_id"),)),
    "cas": Kind("case", (("verifier_candidates", "verifier_id"),)),
    "cnd": Kind(
        "candidate",
        (("augmented_instructions", "candidate_id"), ("verifier_candidates", "candidate_id")),
    ),
    "qry": Kind("query", (("user_queries", "query_id"), ("reconstructed_queries", "query_id"))),
    "prm": Kind("prompt", (("reconstructed_queries", "prompt_id"),)),
    "rsp": Kind("response", (("responses", "response_id"),)),
    "par": Kind("pair", (("dpo_pairs", "pair_id"),)),
    "gen": Kind(
        "generation",
        (
            ("generations", "generation_id"),
            *(
                (table.name, column.name)
                for table in TABLES.values()
                for column in table.columns
                if column.name.endswith("generation_id")
            ),
        ),
    ),
}


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
        AutoIFError: there is nothing of that name; says where was looked, and what is like it.
    """
    match = _ID.fullmatch(given.strip().lower())
    if match is None or match[1] not in KINDS:
        known = ", ".join(f"{prefix}_ ({kind.name})" for prefix, kind in KINDS.items())
        raise CallError(
            f"{given!r:.60} is no id: ids are {_DIGITS} hexadecimal digits, or their beginning, "
            f"after one of {known}"
        )
    wanted, kind = match[0], KINDS[match[1]]
    with lake.session() as session:
        whole = len(match[2]) == _DIGITS
        fits = "{column} = $id" if whole else "starts_with({column}, $id)"
        rounds: dict[str, set[str]] = {}
        for table, column in kind.places:
            for name, key in _look(session, table, column, fits, wanted):
                rounds.setdefault(name, set()).update(filter(None, [key]))
        if not rounds:
            raise AutoIFError(_unknown(session, wanted, kind))
    if len(rounds) > 1:
        raise CallError(f"{wanted} is the beginning of {_list(sorted(rounds))}; say more of it")
    ((name, keys),) = rounds.items()
    return Found(name, kind.name, tuple(sorted(keys)))


def _look(
    session: Session, table: str, column: str, fits: str, wanted: str
) -> Iterator[tuple[str, str | None]]:
    """Ids of a table, with their rounds, that fit; those most like the wanted one first."""
    lake = session.lake
    if table in PARTS:
        files = sorted((lake.home.lake / table).glob("*.parquet"))
        define(session, "looked_in", files)
    else:
        keys = lake.rounds(table)
        if not keys:
            return
        files = [lake.path(table, key) for key in keys]
        session.scan(table, rounds=keys, under="looked_in", candidates=True)
    key = "round" if table in TABLES and TABLES[table].per_round else "NULL"
    sql = (
        f"SELECT * FROM (SELECT DISTINCT {column} AS id, {key} AS round FROM looked_in "
        f"WHERE {fits.format(column=column)}) "
        f"ORDER BY levenshtein(id[:{len(wanted)}], $id), id, round LIMIT {_MOST}"
    )
    for row in fetch(session, sql, {"id": wanted}, files):
        yield str(row["id"]), None if row["round"] is None else str(row["round"])


def _unknown(session: Session, wanted: str, kind: Kind) -> str:
    """What to say where nothing fits: where was looked, and which ids are like it."""
    tables = list(dict.fromkeys(table for table, _ in kind.places))
    near: dict[str, None] = {}
    differing = (len(wanted) - len("xxx_")) // _SIXTH
    fits = (
        f"starts_with({{column}}, '{wanted[:4]}') "
        f"AND levenshtein({{column}}[:{len(wanted)}], $id) <= {differing}"
    )
    for table, column in kind.places[:2] if differing else ():
        near |= dict.fromkeys(name for name, _ in _look(session, table, column, fits, wanted))
    alike = f"; near it: {_list(list(near))}" if near else ""
    rounds = len(session.lake.rounds("round_plan"))
    return (
        f"no {kind.name} {wanted} in {session.lake.home.root}: looked in {', '.join(tables)} of "
        f"{rounds} rounds{alike}"
    )


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
