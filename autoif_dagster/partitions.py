"""Rounds: one refresh of the whole synthesis is one partition, `r0001`, `r0002`, … `r9999`.

Keys sort as text, so "earlier" means the same everywhere.
"""

import re

import dagster as dg

rounds = dg.DynamicPartitionsDefinition(name="rounds")

_KEY = re.compile(r"r\d{4}")


def is_round(key: str) -> bool:
    """Whether a key is a round's."""
    return _KEY.fullmatch(key) is not None
