"""Rows of functions and texts in, rows of verdicts out: the stream behind ``autoif verify``.

In: ``{"function": source, "texts": [str, …]}``, one JSON object per line; blank lines are no rows.
Out: ``{"verdicts": [name, …], "detail": str | null}``, one per row, in order, as soon as known.
"""

import json
from collections.abc import Iterable, Iterator
from typing import TextIO

from autoif_dagster.sandbox.pool import Sandbox


class VerifyInputError(Exception):
    """A row that cannot be read; names the line (from 1) and the field."""


def _row(line: str | bytes, number: int) -> tuple[str, list[str]]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise VerifyInputError(f"line {number}: not a JSON object: {error}") from None
    if not isinstance(row, dict):
        raise VerifyInputError(f"line {number}: not a JSON object but {_kind(row)}")
    for field in ("function", "texts"):
        if field not in row:
            raise VerifyInputError(f'line {number}: field "{field}" is missing')
    function, texts = row["function"], row["texts"]
    if not isinstance(function, str):
        raise VerifyInputError(
            f'line {number}: field "function" must be a string, not {_kind(function)}'
        )
    if not isinstance(texts, list):
        raise VerifyInputError(
            f'line {number}: field "texts" must be a list of strings, not {_kind(texts)}'
        )
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise VerifyInputError(
                f'line {number}: field "texts"[{index}] must be a string, not {_kind(text)}'
            )
    return function, texts


def _kind(value: object) -> str:
    if value is None:
        return "null"
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return kinds.get(type(value), "a list" if isinstance(value, list) else "an object")


class _Rows:
    """The rows before the first malformed one, whose error waits until they are answered."""

    def __init__(self, lines: Iterable[str | bytes]) -> None:
        self._lines = lines
        self.error: VerifyInputError | None = None

    def __iter__(self) -> Iterator[tuple[str, list[str]]]:
        for number, line in enumerate(self._lines, start=1):
            if not line.strip():
                continue
            try:
                row = _row(line, number)
            except VerifyInputError as error:
                self.error = error
                return
            yield row


def verify(lines: Iterable[str | bytes], out: TextIO, sandbox: Sandbox) -> int:
    """Answers every row of ``lines`` on ``out``; returns their number.

    Raises:
        VerifyInputError: At the first malformed row, after the rows before it are answered.
        SandboxError: When the sandbox is broken.
    """
    rows = _Rows(lines)
    count = 0
    for result in sandbox.run_detailed(rows):
        names = [verdict.name for verdict in result.verdicts]
        out.write(json.dumps({"verdicts": names, "detail": result.detail}) + "\n")
        out.flush()
        count += 1
    if rows.error is not None:
        raise rows.error
    return count
