"""Rounds: one refresh of the whole synthesis is one partition, `r0001`, `r0002`, …

Keys sort as text, so "earlier" means the same everywhere.
"""

import re
from collections.abc import Iterable

import dagster as dg

rounds = dg.DynamicPartitionsDefinition(name="rounds")

_KEY = re.compile(r"r(\d{4,})")


def is_round(key: str) -> bool:
    """Whether a key is a round's."""
    return _KEY.fullmatch(key) is not None


def next_round(existing: Iterable[str]) -> str:
    """The key after the highest existing one."""
    numbers = [int(found[1]) for key in existing if (found := _KEY.fullmatch(key))]
    return f"r{max(numbers, default=0) + 1:04d}"
