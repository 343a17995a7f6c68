"""Progress is said while work goes on, on a terminal and in the log, and when nothing arrives."""

import io
import re
import time
from collections.abc import Iterator

import pytest

from autoif_dagster import progress
from autoif_dagster.clients import Traffic
from autoif_dagster.clients.metering import Pace, Usage
from autoif_dagster.progress import Reporter
from autoif_dagster.recipe import Prices


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def wait_until(said: list[str] | io.StringIO, count: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        lines = said if isinstance(said, list) else said.getvalue().split("\r")[1:]
        if len(lines) >= count:
            return
        time.sleep(0.01)
    raise AssertionError("nothing was said")


def test_the_end_is_said_once_with_rate_and_total() -> None:
    logged: list[str] = []
    console = io.StringIO()
    items = Reporter(console).track(range(3), "stage", "rows", total=3, log=logged.append)
    assert list(items) == [0, 1, 2]
    (line,) = logged
    assert re.match(r"stage +3/3 +rows .*/s", line)
    assert console.getvalue() == line + "\n"


def test_waiting_is_said_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_REDRAW_S", 0.01)
    monkeypatch.setattr(progress, "_LOG_EVERY_S", 0.05)
    logged: list[str] = []

    def slow() -> Iterator[int]:
        wait_until(logged, 2)
        yield 1

    list(Reporter().track(slow(), "stage", "rows", log=logged.append, more=lambda: "7 in flight"))
    assert len(logged) >= 3
    assert re.search(r" 0  ?rows.*7 in flight", logged[0])
    assert re.search(r" 1  ?rows", logged[-1])


def test_a_terminal_is_redrawn_within_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_REDRAW_S", 0.01)
    monkeypatch.setenv("COLUMNS", "40")
    console = Terminal()

    def slow() -> Iterator[int]:
        wait_until(console, 2)
        yield 1

    list(
        Reporter(console).track(slow(), "stage", "rows", log=lambda _: None, more=lambda: "x" * 99)
    )
    drawn = console.getvalue().rstrip("\n").split("\r")[1:]
    assert len(drawn) >= 3
    assert {len(line) for line in drawn} == {39}


def test_an_end_by_error_is_said() -> None:
    logged: list[str] = []

    def failing() -> Iterator[int]:
        yield 1
        raise ValueError

    with pytest.raises(ValueError):
        list(Reporter().track(failing(), "stage", "rows", log=logged.append))
    assert re.search(r" 1  ?rows", logged[-1])


def test_pace_in_short_and_in_figures() -> None:
    usage = Usage(100, 20, 3, 4, 1_000_000, 500_000, 50.0)
    pace = Pace(usage, 10.0, Traffic(8, 2), Prices(prompt=1.0, completion=4.0, currency="EUR"))
    assert pace.line() == (
        "asked 10.0/s, 50000 tokens/s, 8 in flight, 2 retries, 3 failed, 4 refused, 3.00 EUR"
    )
    figures = pace.figures()
    assert figures["cost_EUR"] == 3.0
    assert figures["seconds_per_request"] == 0.5
    assert figures["model_calls"] == 100
    assert figures["failed_requests"] == 3
    assert figures["refused_requests"] == 4
    assert figures["reused_generations"] == 20
    unpriced = Pace(usage, 10.0, Traffic(8, 2), Prices()).figures()
    assert figures.keys() - unpriced.keys() == {"cost_EUR"}
    assert unpriced.keys() <= figures.keys()


def test_failures_that_did_not_happen_are_not_spoken_of() -> None:
    pace = Pace(Usage(asked=1), 1.0, Traffic(), Prices())
    assert pace.line() == "asked 1.0/s, 0 tokens/s, 0 in flight"


def test_nothing_is_said_of_a_model_that_was_not_asked() -> None:
    assert Pace(Usage(reused=9), 1.0, Traffic(), Prices()).line() == ""
