"""kill -9 of a run in each stage, under a live daemon: seen within seconds, retried, and finished
as if nothing had happened; and of everything at once."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from autoif_dagster.records import TABLES
from tests.conftest import SMALL, Ran
from tests.dev_server import connect, dev_server, processes_of, start_ui, stop_ui

# Each run is killed where it is about to publish one of these, of every module of assets/ one or
# more: facts, decisions and files, the half-written result beside them on the disk.
_KILLED_AT = (
    "seed_instructions",
    "augmented_instructions",
    "verifier_candidates",
    "case_verdicts",
    "verified_functions",
    "back_translations",
    "reconstructed_queries",
    "responses",
    "dpo_pairs",
    "exports",
    "dataset_report",
)
_KILLED_WITH_ALL = "quality_scores"

# What every Python process of the server does first: in a run, kill at the first publication of
# a chosen table. Nothing of the project takes part in it, and SIGKILL asks nobody.
_KILLER = """
import os, pathlib, signal, sys
TABLES, WITH_ALL, HOME = {tables!r}, {with_all!r}, {home!r}

def kill(event, arguments):
    if event != "os.rename":
        return
    target = pathlib.Path(os.fsdecode(arguments[1]))
    table = target.parent.name
    if table not in TABLES or target.parent.parent.name != "lake" or target.suffix != ".parquet":
        return
    if target.name == "schema.parquet":
        return
    marker = pathlib.Path(HOME, "killed", table)
    if marker.exists():
        return
    marker.touch()
    if table == WITH_ALL:
        me = str(os.getpid())
        for found in pathlib.Path("/proc").glob("[0-9]*/environ"):
            try:
                is_ours = f"AUTOIF_HOME={{HOME}}\\0".encode() in found.read_bytes()
            except OSError:
                continue
            if is_ours and found.parent.name != me:
                os.kill(int(found.parent.name), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(kill)
"""

# Dagster looks for failed runs every five seconds otherwise.
_SOON = {"DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1"}


@dataclass(frozen=True, slots=True)
class Killed:
    """What happened to a round whose runs were killed until none was left to kill."""

    home: Path
    runs: list[dg.RunRecord]
    left_by_all: list[str]
    standing: list[str]  # as started, with nobody left to see that they are not


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    folder = tmp_path_factory.mktemp("killed")
    home = folder / "home"
    (home / "killed").mkdir(parents=True)
    tables = (*_KILLED_AT, _KILLED_WITH_ALL)
    text = _KILLER.format(tables=tables, with_all=_KILLED_WITH_ALL, home=str(home))
    (folder / "sitecustomize.py").write_text(text, "utf-8")
    settings = {**SMALL, **_SOON, "PYTHONPATH": str(folder)}

    process, log = start_ui(home, log_name="first.log", **settings)
    try:
        server = connect(process, log, home)
        server.add_round("r0001")
        # As often as it takes here; ours gives up after two retries.
        tags = {"dagster/partition": "r0001", "dagster/max_retries": "50"}
        server.launch("synthesize", tags=tags)
        assert process.wait(1_200) == -signal.SIGKILL, log.read_text("utf-8")[-4_000:]
    finally:
        stop_ui(process)
    left = _left(home)
    with _instance(home) as instance:
        standing = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))

    with dev_server(home, **settings) as server:
        server.wait(
            lambda: any(run["status"] == "SUCCESS" for run in server.runs()) or None,
            "success",
            patience_s=1_200,
        )
    with _instance(home) as instance:
        runs = [*instance.get_run_records(ascending=True)]
    return Killed(home, runs, left, [run.run_id for run in standing])


def _left(home: Path) -> list[str]:
    """What is still there of a home after a while: the launcher is not the last to be killed."""
    deadline = time.monotonic() + 120
    while (found := processes_of(home)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


@contextmanager
def _instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        yield instance


def test_every_run_but_the_last_is_seen_to_have_failed(killed: Killed) -> None:
    marked = {path.name for path in (killed.home / "killed").iterdir()}
    assert marked == {*_KILLED_AT, _KILLED_WITH_ALL}
    *lost, last = [record.dagster_run.status for record in killed.runs]
    assert lost == [dg.DagsterRunStatus.FAILURE] * len(marked)
    assert last == dg.DagsterRunStatus.SUCCESS


def test_run_monitoring_sees_the_run_that_was_killed_with_all(killed: Killed) -> None:
    """Of the others the code server hears first, mostly."""
    (run_id,) = killed.standing  # nobody was left to see it
    with _instance(killed.home) as instance:
        (failed,) = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert failed.dagster_event is not None
    assert "The run's process is gone." in (failed.dagster_event.message or "")


def test_nothing_outlives_its_server_and_nothing_is_stuck(killed: Killed) -> None:
    assert killed.left_by_all == []
    assert processes_of(killed.home) == []
    with _instance(killed.home) as instance:
        open_ = dg.RunsFilter(statuses=[*NOT_FINISHED_STATUSES])
        assert instance.get_runs(open_) == []


def test_runs_say_their_round_recipe_and_model(killed: Killed, small_round: Ran) -> None:
    """Those that the UI launched, the retries, and that of the command line."""
    with _instance(small_round.home) as instance:
        records = [*killed.runs, *instance.get_run_records()]
    for record in records:
        tags = record.dagster_run.tags
        assert tags["autoif/round"] == "r0001"
        assert tags["autoif/model"] == "simulated"
    assert len({record.dagster_run.tags["autoif/recipe"] for record in records}) == 1


@pytest.mark.parametrize("table", [*TABLES, "rejections"])
def test_the_tables_are_those_of_a_run_in_peace(
    killed: Killed, small_round: Ran, table: str
) -> None:
    rows = f"SELECT md5(to_json(t)::VARCHAR) FROM {table} AS t ORDER BY 1"
    assert Ran(killed.home, 0, "", "").query(rows) == small_round.query(rows)


def test_nothing_was_asked_twice_and_nothing_lies_about(killed: Killed, small_round: Ran) -> None:
    ran = Ran(killed.home, 0, "", "")
    assert ran.count("generations") == small_round.count("generations")
    assert [*(killed.home / "scratch").iterdir()] == []
    assert [*(killed.home / "exports").rglob("*.new")] == []
