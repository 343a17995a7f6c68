"""`make test-browser` must not be green where what it is about is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

MODULE = "tests/browser/test_first_hour.py"


@pytest.mark.parametrize("required", ["1", ""])
def test_what_is_missing_fails_where_it_is_required(tmp_path: Path, required: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", MODULE],
        cwd=CHECKOUT,
        # Nothing is found on this path, Chromium neither.
        env=os.environ | {"PATH": str(tmp_path), "BROWSER_REQUIRED": required},
        capture_output=True,
        text=True,
        check=False,
    )
    told = done.stdout + done.stderr
    assert "not installed here: chromium" in told, told
    assert (done.returncode == 1) == bool(required), told
