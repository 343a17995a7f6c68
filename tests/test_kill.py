"""kill -9 at any moment: what is published stays readable, and no logged call is repeated."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import dagster as dg
import duckdb

from tests.conftest import CHECKOUT, SMALL, Ran, clean_environment, run_autoif

# The small round logs some two thousand completions. Each kill comes a little after so many of them
# are logged, wherever the run then is: asking, executing, writing, publishing.
_KILL_AFTER = (1, 60, 500, 900, 1200, 1900)
_PATIENCE_S = 120


def test_kills_lose_nothing_and_repeat_nothing(tmp_path: Path, small_round: Ran) -> None:
    home = tmp_path / "home"
    draw = random.Random(11)
    for logged in _KILL_AFTER:
        _start_and_kill(home, logged, draw.uniform(0.0, 3.0))
        _read_every_table(home)
    logged = _logged(home)
    assert logged >= _KILL_AFTER[-1]
    last = run_autoif(home, "demo", **SMALL)
    assert last.code == 0, last.err
    assert _figure(home, "model_calls") == _logged(home) - logged
    for table in ("verified_functions", "sft_dataset", "dpo_pairs", "rejections"):
        rows = f"SELECT md5(to_json(t)::VARCHAR) FROM {table} AS t ORDER BY 1"
        assert last.query(rows) == small_round.query(rows), table
    assert list((home / "scratch").iterdir()) == []
    parts = last.query("SELECT count(*), count(DISTINCT generation_id) FROM generations")
    assert parts == [(_logged(home), _logged(home))]


def _start_and_kill(home: Path, logged: int, later_s: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "autoif_dagster.cli", "demo"],
        cwd=CHECKOUT,
        env=clean_environment(home) | SMALL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + _PATIENCE_S
    while _logged(home) < logged and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(later_s)
    process.send_signal(signal.SIGKILL)
    process.wait()


def _read_every_table(home: Path) -> None:
    for path in (home / "lake").rglob("*.parquet"):
        duckdb.execute(f"SELECT * FROM read_parquet('{path}')").fetchall()
    if (home / "autoif.duckdb").exists():
        with duckdb.connect(home / "autoif.duckdb", read_only=True) as con:
            con.execute("SELECT count(*) FROM rejections").fetchall()


def _logged(home: Path) -> int:
    path = home / "generations.sqlite"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as con:
        count: int = con.execute("SELECT count(*) FROM generations").fetchone()[0]
    return count


def _figure(home: Path, name: str) -> int:
    """A number of the last materializations, summed over all assets."""
    total = 0
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        for key in instance.all_asset_keys():
            event = instance.get_latest_materialization_event(key)
            materialization = event.asset_materialization if event else None
            if materialization and (value := materialization.metadata.get(name)):
                total += int(str(value.value))
    return total
