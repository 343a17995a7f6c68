"""``autoif verify``'s stream: rows in, rows out, and malformed rows named by line and field."""

import io
import json
from collections.abc import Iterator

import pytest

from autoif_dagster.sandbox import Sandbox
from autoif_dagster.sandbox.verify import VerifyInputError, verify

_GOOD = json.dumps({"function": "def evaluate(r): return r == 'a'", "texts": ["a", "b"]})


def test_one_row_out_per_row_in(sandbox: Sandbox) -> None:
    out = io.StringIO()
    rows = [_GOOD + "\n", "\n", json.dumps({"function": "(", "texts": ["\ud800"]}) + "\n"]
    assert verify(rows, out, sandbox) == 2
    first, second = [json.loads(line) for line in out.getvalue().splitlines()]
    assert first == {"verdicts": ["TRUE", "FALSE"], "detail": None}
    assert second["verdicts"] == ["INVALID"]
    assert second["detail"].startswith("line 1: syntax error")


def test_rows_are_read_as_they_are_needed(sandbox: Sandbox) -> None:
    read = 0

    def rows() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield json.dumps({"function": "def evaluate(r): return True", "texts": [str(read)]})

    class FullError(Exception):
        pass

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise FullError(text)

    with pytest.raises(FullError):
        verify(rows(), Full(), sandbox)
    assert read < 100


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("{", "not a JSON object"),
        ("[]", "not a JSON object but a list"),
        ("[" * 100_000, "not a JSON object"),
        ('{"texts": []}', '"function" is missing'),
        ('{"function": "x"}', '"texts" is missing'),
        ('{"function": 1, "texts": []}', '"function" must be a string, not a number'),
        ('{"function": "x", "texts": "a"}', '"texts" must be a list of strings, not a string'),
        ('{"function": "x", "texts": ["a", null]}', '"texts"[1] must be a string, not null'),
    ],
)
def test_a_malformed_row_is_named_after_the_rows_before_it(
    sandbox: Sandbox, row: str, named: str
) -> None:
    out = io.StringIO()
    with pytest.raises(VerifyInputError) as caught:
        verify([_GOOD, row, _GOOD], out, sandbox)
    assert str(caught.value).startswith("line 2: ")
    assert named in str(caught.value)
    assert len(out.getvalue().splitlines()) == 1
