"""What every code server and every run imports first; benchmarks/loading.py says what it costs."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT, clean_environment

_HEAVY = {"matplotlib", "pandas", "torch", "transformers", "vllm", "py3langid"}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("autoif_dagster.definitions", _HEAVY),
        # The webserver and the daemon load the run launcher; `make ui` answers at once.
        ("autoif_dagster.liveness", _HEAVY | {"pyarrow", "numpy", "duckdb"}),
        ("autoif_dagster.ui", _HEAVY | {"pyarrow", "numpy", "dagster"}),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(
    home: Path, module: str, unwanted: set[str]
) -> None:
    script = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=clean_environment(home),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert unwanted.intersection(done.stdout.split()) == set()
