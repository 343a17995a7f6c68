"""Progress of long work: done/total, rate and ETA, in Dagster's log and on a terminal.

On a terminal one line per stage is redrawn in place; elsewhere a line is written now and then, so
that neither a log file nor Dagster's event log fills with bars.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO, TypeVar

from tqdm import tqdm

T = TypeVar("T")

_REDRAW_S = 0.1
_LOG_EVERY_S = 15.0


class Reporter:
    """Where progress goes: `log` always, and `console` too where somebody watches one."""

    def __init__(self, console: TextIO | None = None) -> None:
        self.console = console

    def track(
        self,
        items: Iterable[T],
        stage: str,
        unit: str,
        *,
        total: int | None = None,
        log: Callable[[str], None],
    ) -> Iterator[T]:
        """Hand on `items`, one `unit` each, saying how far it is."""
        watch = _Watch(stage, unit, total, log, self.console)
        try:
            for item in items:
                yield item
                watch.advance()
        finally:
            watch.close()


class _Watch:
    def __init__(
        self,
        stage: str,
        unit: str,
        total: int | None,
        log: Callable[[str], None],
        console: TextIO | None,
    ) -> None:
        self._stage, self._unit, self._total = stage, unit, total
        self._log, self._console = log, console
        self._redraws = console is not None and console.isatty()
        self._done, self._logged_at = 0, -1
        self._start = self._drawn = self._logged = time.monotonic()

    def advance(self) -> None:
        self._done += 1
        now = time.monotonic()
        if self._redraws and now - self._drawn >= _REDRAW_S:
            self._drawn = now
            self._draw("\r" + self._line(now))
        if now - self._logged >= _LOG_EVERY_S:
            self._logged, self._logged_at = now, self._done
            self._log(self._line(now))
            if not self._redraws:
                self._draw(self._line(now) + "\n")

    def close(self) -> None:
        line = self._line(time.monotonic())
        if self._done == self._logged_at:
            return  # it has just been said
        self._log(line)
        # Wider than any line before it, so that nothing of a longer one stays.
        self._draw(f"\r{line:<110}\n" if self._redraws else line + "\n")

    def _draw(self, text: str) -> None:
        if self._console is not None:
            self._console.write(text)
            self._console.flush()

    def _line(self, now: float) -> str:
        line: str = tqdm.format_meter(
            self._done,
            self._total or 0,
            now - self._start,
            prefix=f"{self._stage:<24}",
            unit=f" {self._unit}",
            ncols=100,
            bar_format="{desc}{n_fmt:>8}/{total_fmt} {unit}  {rate_fmt}  {elapsed} < {remaining}"
            if self._total
            else "{desc}{n_fmt:>8} {unit}  {rate_fmt}  {elapsed}",
        )
        return line


def console_if(watched: bool) -> TextIO | None:
    """Standard error if somebody watches it."""
    return sys.stderr if watched else None
