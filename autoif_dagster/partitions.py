"""Rounds: one refresh of the whole synthesis is one partition, `r0001`, `r0002`, … `r9999`.

Keys sort as text, so "earlier" means the same everywhere. A key that Dagster or the lake knows is
taken for good: a round that was deleted in one of them only would otherwise be mixed with its
successor.
"""

from collections.abc import Collection

import dagster as dg

from autoif_dagster import ids
from autoif_dagster.lake import Lake
from autoif_dagster.records import TABLES

rounds = dg.DynamicPartitionsDefinition(name="rounds")
NAME = "rounds"
NO_KEY_LEFT = "no round key is left after r9999"

_LAST_ROUND = 9_999


def taken_rounds(instance: dg.DagsterInstance, lake: Lake) -> set[str]:
    """The keys that Dagster knows, or that the lake has a table of."""
    taken = set(instance.get_dynamic_partitions(NAME))
    for table in TABLES.values():
        if table.per_round:
            taken.update(lake.rounds(table.name))
    return taken


def newest_round(taken: Collection[str]) -> str | None:
    """The last of the keys that are written like `r0001`."""
    return max(filter(ids.is_round, taken), default=None)


def next_round(taken: Collection[str]) -> str | None:
    """The key after all of those; None where `r9999` is taken."""
    last = int((newest_round(taken) or "r0000")[1:])
    return f"r{last + 1:04d}" if last < _LAST_ROUND else None
