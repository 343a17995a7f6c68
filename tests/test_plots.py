"""Pictures: PNGs of a bounded size, whatever the figures and names are, and no word about them."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from autoif_dagster import plots
from autoif_dagster.plots import Step
from tests.conftest import CHECKOUT

MOST_BYTES = 15_000
DECISIONS = [f"decision_with_a_long_name_{n}" for n in range(10)]
ROUNDS = [f"r{n:04}" for n in range(1, 201)]

PICTURES = {
    "histogram": lambda: plots.histogram(range(10), 0, 1, "functions", threshold=0.8),
    "histogram of nothing": lambda: plots.histogram([0] * 10, 0, 1, "functions"),
    "histogram of millions": lambda: plots.histogram([10**9] * 11, -0.5, 10.5, "scores"),
    "bars": lambda: plots.bars({f"kind {n}": n for n in range(200)}, "instructions"),
    "one bar": lambda: plots.bars({"length": 1}, "instructions"),
    "bars with odd names": lambda: plots.bars(
        {"$x^{$": 1, "长度": 2, "a\nb": 3, "x" * 500: 4, "": 0}, "$\\frac"
    ),
    "funnel": lambda: plots.funnel([Step(name, 10**7, 10**6) for name in DECISIONS]),
    "funnel without candidates": lambda: plots.funnel([Step("sft_dataset", 0, 0)]),
    "yields": lambda: plots.yields(
        ROUNDS, {name: [(n * 37 % 101) / 100 for n in range(200)] for name in DECISIONS}
    ),
    "yields with gaps": lambda: plots.yields(ROUNDS[:3], {"sft_dataset": [0.5, None, 1.0]}),
    "yields of one round": lambda: plots.yields(ROUNDS[:1], {"sft_dataset": [0.5]}),
}


@pytest.mark.parametrize("picture", PICTURES)
def test_every_picture_is_small(picture: str) -> None:
    png = PICTURES[picture]()
    shown = Image.open(io.BytesIO(png))
    assert shown.format == "PNG"
    assert len(png) < MOST_BYTES
    assert shown.width == 500
    assert 50 < shown.height < 400


def test_equal_figures_give_equal_bytes() -> None:
    assert PICTURES["funnel"]() == PICTURES["funnel"]()


def test_what_is_kept_is_told_by_colour() -> None:
    """The bars from the threshold on differ from those below it."""

    def blues(threshold: float | None) -> int:
        png = plots.histogram([1] * 10, 0, 1, "functions", threshold=threshold)
        pixels = Image.open(io.BytesIO(png)).convert("RGB")
        ours = [
            pixel
            for pixel in pixels.get_flattened_data()
            if isinstance(pixel, tuple) and pixel[2] > pixel[0] + 80
        ]
        return len(ours)

    assert 0.15 < blues(0.8) / blues(None) < 0.25


@pytest.mark.parametrize("settings", [{}, {"HOME": "/nowhere"}, {"MPLCONFIGDIR": "/nowhere"}])
def test_drawing_needs_no_home_says_nothing_and_leaves_nothing(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    script = (
        "import sys, os, warnings\n"
        "warnings.simplefilter('error')\n"
        "from autoif_dagster import plots\n"
        "assert 'matplotlib' not in sys.modules\n"
        "before = dict(os.environ)\n"
        "plots.bars({'长度': 1}, 'instructions')\n"
        "assert dict(os.environ) == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=CHECKOUT,
        env=os.environ | {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)} | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.rglob("*")) == []
