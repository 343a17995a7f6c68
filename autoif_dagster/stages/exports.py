"""Formats that trainers read: which rows a file holds, and what each of its lines says.

TRL (huggingface/trl 1.x), conversational in both: SFT as `{"messages": M}`, preference as
`{"prompt": M, "chosen": M, "rejected": M}`, where M is a list of `{"role", "content"}`. Lines hold
these columns alone, since trainers take further ones for theirs; the rows' ids stand in the source
table, in the same order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

LINES_VERSION = "1"
"""Raised with every change that gives other bytes for the same rows, or files of another order."""


@dataclass(frozen=True, slots=True)
class Export:
    """One file of lines: the kept rows of `source`, by round and then by `key`. `line` is given
    the values of `columns`."""

    file: str
    format: str
    source: str
    key: str
    columns: tuple[str, ...]
    line: Callable[..., Any]


def _sft_line(prompt: str, response: str) -> dict[str, Any]:
    return {"messages": [_said("user", prompt), _said("assistant", response)]}


def _dpo_line(prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    return {
        "prompt": [_said("user", prompt)],
        "chosen": [_said("assistant", chosen)],
        "rejected": [_said("assistant", rejected)],
    }


def _said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


EXPORTS = (
    Export(
        "trl/sft.jsonl",
        "TRL, messages",
        "released_responses",
        "response_id",
        ("prompt", "response"),
        _sft_line,
    ),
    Export(
        "trl/dpo.jsonl",
        "TRL, conversational preference",
        "released_pairs",
        "pair_id",
        ("prompt", "chosen", "rejected"),
        _dpo_line,
    ),
)


def to_line(export: Export, values: Sequence[Any]) -> bytes:
    """One row as a line of JSON, without its end; the same bytes on any machine."""
    return orjson.dumps(export.line(*values))
