"""Small pictures of a table's figures: PNG bytes, and the Markdown that shows them in the UI.

One style for all: about 500 pixels wide, a light ground of its own, so that text and colours read
alike in the UI's light and dark theme, and below 15 kB, since Dagster stores a picture with the
event it belongs to.

matplotlib is imported when the first picture is drawn, since that takes a second and loading the
definitions must not. It is shown a folder that is gone afterwards and its own fonts alone: so it
neither needs a home directory nor reads the user's settings, nor spends a minute looking through a
machine's fonts. Nothing here knows of the state that `pyplot` keeps.
"""

import base64
import io
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import Locator

_WIDE, _DPI = 5.0, 100  # inches, pixels per inch
_INK, _QUIET, _GROUND, _KEPT, _FALLEN = "#24292f", "#6e7781", "#ffffff", "#2f6fb7", "#d5dce4"
_LINES = "#2f6fb7 #d1662c #2e8b57 #8e5bb5 #24292f #c2416b #3aa0a8 #7a5c4d #5f6b7a #8fae1b".split()
_STYLE: dict[Any, Any] = {  # matplotlib types its names one by one
    "axes.edgecolor": _FALLEN,
    "axes.facecolor": _GROUND,
    "axes.labelcolor": _QUIET,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.h_pad": 0.08,  # inches
    "figure.constrained_layout.w_pad": 0.08,
    "figure.facecolor": _GROUND,
    "font.size": 8,
    "text.color": _INK,
    "text.parse_math": False,  # a seed's kind may hold dollar signs
    "xtick.color": _QUIET,
    "ytick.color": _QUIET,
    "ytick.labelcolor": _INK,
}
_LONGEST_NAME = 28
_MOST_BARS = 16
_MOST_TICKS = 6
_MOST_ROUNDS = 30
_COLOURS = 48


@dataclass(frozen=True, slots=True)
class Step:
    """A decision of a funnel: how many candidates it had and how many of them it kept."""

    name: str
    candidates: int
    kept: int


def inline(name: str, png: bytes) -> str:
    """Markdown that shows a picture without a file."""
    return f"![{name}](data:image/png;base64,{base64.b64encode(png).decode('ascii')})"


def histogram(
    counts: Sequence[int], low: float, high: float, label: str, *, threshold: float | None = None
) -> bytes:
    """Bars of equal width from `low` to `high`.

    Args:
        label: what is counted, below the bars.
        threshold: the least value that is kept; bars below it are pale.
    """
    width = (high - low) / len(counts)
    lefts = [low + width * n for n in range(len(counts))]
    colours = [
        _KEPT if threshold is None or left + width > threshold + 1e-9 else _FALLEN for left in lefts
    ]
    with _drawing(2.0) as (axes, png):
        axes.bar(lefts, counts, width * 0.92, color=colours, align="edge")
        axes.set_xlim(low, high)
        axes.set_xlabel(label)
        axes.yaxis.set_major_locator(_whole_numbers())
        if threshold is not None and low < threshold < high:
            axes.axvline(threshold, color=_INK, linewidth=0.8, linestyle=":")
    return png.getvalue()


def bars(counts: Mapping[str, int], label: str) -> bytes:
    """A bar for each name, the largest first; those past sixteen together.

    Args:
        label: what is counted, below the bars.
    """
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ranked[:_MOST_BARS]
    if rest := ranked[_MOST_BARS:]:
        shown.append((f"{len(rest)} more", sum(count for _, count in rest)))
    total = max(sum(counts.values()), 1)
    with _drawing(0.55 + 0.17 * len(shown)) as (axes, png):
        axes.barh(range(len(shown)), [count for _, count in shown], 0.72, color=_KEPT)
        _name_rows(axes, [name for name, _ in shown])
        for row, (_, count) in enumerate(shown):
            axes.annotate(f" {count:,}  {count / total:.0%}", (count, row), va="center")
        axes.margins(x=0.18)
        axes.set_xlabel(label)
        axes.xaxis.set_major_locator(_whole_numbers())
    return png.getvalue()


def funnel(steps: Sequence[Step]) -> bytes:
    """A bar for each decision, in the order of the flow: which share of its candidates it kept."""
    with _drawing(0.35 + 0.19 * len(steps)) as (axes, png):
        rows, shares = range(len(steps)), [s.kept / max(s.candidates, 1) for s in steps]
        axes.barh(rows, [1.0] * len(steps), 0.72, color=_FALLEN)
        axes.barh(rows, shares, 0.72, color=_KEPT)
        _name_rows(axes, [step.name for step in steps])
        for row, (step, share) in enumerate(zip(steps, shares, strict=True)):
            told = f"{step.kept:,} of {step.candidates:,}  {share:.0%}"
            axes.annotate(told, (1.02, row), va="center", annotation_clip=False)
        axes.set_xlim(0, 1)
        axes.set_xticks([])
        axes.spines[:].set_visible(False)
    return png.getvalue()


def yields(rounds: Sequence[str], series: Mapping[str, Sequence[float | None]]) -> bytes:
    """A line for each decision over the last thirty rounds: which share of its candidates it kept;
    a gap where a round has none.

    Args:
        series: by decision, a share for each of the rounds.
    """
    rounds = rounds[-_MOST_ROUNDS:]
    with _drawing(2.0 if len(series) == 1 else 2.6) as (axes, png):
        for n, (name, shares) in enumerate(series.items()):
            values = shares[-_MOST_ROUNDS:]
            axes.plot(
                range(len(rounds)),
                [float("nan") if value is None else value for value in values],
                color=_LINES[n % len(_LINES)],
                linestyle="-" if n < len(_LINES) else "--",
                marker="o",
                markersize=3,
                linewidth=1.2,
                label=_clipped(name),
            )
        axes.set_ylim(-0.03, 1.03)
        axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        axes.grid(axis="y", color=_FALLEN, linewidth=0.5)
        ticks = range(0, len(rounds), max(1, -(-len(rounds) // _MOST_TICKS)))
        axes.set_xticks(ticks, [_clipped(rounds[tick]) for tick in ticks])
        if len(series) == 1:
            axes.set_xlabel(f"kept by {next(iter(series))}, of its candidates")
        else:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=7)
    return png.getvalue()


def _name_rows(axes: "Axes", names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [_clipped(name) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.4, -0.6)


def _clipped(name: str) -> str:
    line = " ".join(name.split())
    return line if len(line) <= _LONGEST_NAME else line[: _LONGEST_NAME - 1] + "…"


def _whole_numbers() -> "Locator":
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=5, integer=True)


@contextmanager
def _drawing(height: float) -> Iterator[tuple["Axes", io.BytesIO]]:
    """Axes to draw on, `height` inches high, and where the picture is when the block has ended."""
    _import_quietly()
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from PIL import Image

    png = io.BytesIO()
    with rc_context(_STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a kind in letters that the font has not
        figure = Figure(figsize=(_WIDE, height), dpi=_DPI, layout="constrained")
        yield figure.subplots(), png
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png")
    # A third of the size: a few colours and their soft edges are all that is there.
    picture = Image.open(drawn).convert("RGB").quantize(_COLOURS)
    picture.save(png, format="png", optimize=True)


@cache
def _import_quietly() -> None:
    """Import matplotlib as the module's words say."""
    given = {name: os.environ.get(name) for name in ("MPLCONFIGDIR", "MPL_IGNORE_SYSTEM_FONTS")}
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"MPLCONFIGDIR": folder, "MPL_IGNORE_SYSTEM_FONTS": "1"}
        try:
            import matplotlib.figure  # noqa: F401
        finally:
            for name, value in given.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
