"""The Dagster instance of a home: where it lies, and its settings.

Dagster takes seconds to import, and is imported where it is needed: whoever only prepares the
folder does without.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from autoif_dagster.home import home_path, unusable

if TYPE_CHECKING:
    import dagster as dg

_CANCELING_S = 10.0

MODEL_POOL = "supervisor"  # of steps that need the model; one run at a time holds it


@contextmanager
def open_instance() -> Iterator[dg.DagsterInstance]:
    """The instance of this home, made where there is none yet.

    Raises:
        HomeError: the instance's folder cannot be written.
    """
    import dagster as dg

    folder = prepare_instance()
    # Dagster makes its databases when they are first used, and two processes that do so at once
    # fail: so they take turns.
    with (folder / ".settling").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        instance = dg.DagsterInstance.get()
        _settle(instance)
    with instance:
        yield instance


def _settle(instance: dg.DagsterInstance) -> None:
    from autoif_dagster.lost_runs import start_cursors

    instance.get_runs_count()
    instance.get_dynamic_partitions("rounds")
    instance.all_instigator_state()
    start_cursors(instance)
    # Dagster (1.13) makes a pool when a run of it is first launched, and launches what else is
    # queued just then beside it, whatever the limit.
    pools = instance.event_log_storage
    if MODEL_POOL not in {pool.name for pool in pools.get_pool_limits()}:
        pools.initialize_concurrency_limit_to_default(MODEL_POOL)


def prepare_instance() -> Path:
    """Make the instance's folder with its settings unless it is there: `DAGSTER_HOME` where that is
    set, else `$AUTOIF_HOME/dagster`, which `DAGSTER_HOME` then names. Settings that are
    there stay as they are.

    Raises:
        HomeError: the folder cannot be written.
    """
    chosen = os.environ.get("DAGSTER_HOME")
    folder = Path(os.path.abspath(chosen)) if chosen else home_path() / "dagster"  # noqa: PTH100
    settings = folder / "dagster.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not settings.exists():
            new = settings.with_suffix(".new")
            shipped = files("autoif_dagster").joinpath("dagster.yaml").read_text("utf-8")
            new.write_text(shipped, "utf-8")
            new.replace(settings)
    except OSError as error:
        raise unusable(folder, error) from error
    os.environ["DAGSTER_HOME"] = str(folder)
    return folder


def watches_runs(folder: Path) -> bool:
    """Whether an instance's settings, which may be somebody's own, tell lost runs from living."""
    return "WatchfulRunLauncher" in (folder / "dagster.yaml").read_text("utf-8")


def withdraw(instance: dg.DagsterInstance, socket: str) -> int:
    """Cancel what was asked for and is not done, where the code server at `socket` is about to
    stop: its runs, what waits in the queue or for a retry, and backfills. How many runs that were.

    A run that does not end within seconds is marked as canceled all the same; whoever calls this
    ends its process.
    """
    import dagster as dg
    from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
    from dagster._core.storage import tags
    from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

    status = dg.DagsterRunStatus
    asked = BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])
    for backfill in instance.get_backfills(filters=asked):
        canceled = backfill.with_status(BulkActionStatus.CANCELED)  # type: ignore[no-untyped-call]
        instance.update_backfill(canceled)
    lost = dg.RunsFilter(statuses=[status.FAILURE], tags={tags.WILL_RETRY_TAG: "true"})
    for run in instance.get_runs(lost):
        if tags.AUTO_RETRY_RUN_ID_TAG not in run.tags:
            instance.add_run_tags(run.run_id, {tags.WILL_RETRY_TAG: "false"})
    queued = instance.get_runs(dg.RunsFilter(statuses=[status.QUEUED]))
    for run in queued:
        instance.report_run_canceling(run)
        instance.report_run_canceled(run)
    ours = [
        run
        for run in instance.get_runs(dg.RunsFilter(statuses=[*IN_PROGRESS_RUN_STATUSES]))
        if f'"{socket}"' in run.tags.get(tags.GRPC_INFO_TAG, "")
    ]
    for run in ours:
        with suppress(Exception):  # a code server that is gone cannot be asked
            instance.run_launcher.terminate(run.run_id)
    deadline = time.monotonic() + _CANCELING_S
    going_on = ours
    while going_on and time.monotonic() < deadline:
        time.sleep(0.1)
        going_on = [run for run in going_on if not _is_over(instance, run.run_id)]
    for run in going_on:
        instance.report_run_canceled(run)
    for run in instance.get_runs(lost):  # one that was just starting says that it failed
        if run.run_id in {one.run_id for one in ours}:
            instance.add_run_tags(run.run_id, {tags.WILL_RETRY_TAG: "false"})
    return len(queued) + len(ours)


def _is_over(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is None or run.is_finished
