"""Whether a run is alive, judged by its lock; and lost runs that Dagster's daemon passed over."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import pytest
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, GRPC_INFO_TAG
from dagster._daemon.auto_run_reexecution import event_log_consumer as consumer

from autoif_dagster import instance as settings
from autoif_dagster import lost_runs
from autoif_dagster.liveness import WatchfulRunLauncher, hold, is_lost
from tests.conftest import CHECKOUT
from tests.dev_server import prepare_instance_at

_HOLD = """
import sys, dagster as dg
from autoif_dagster.liveness import hold
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    hold(instance, sys.argv[2])
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    prepare_instance_at(home / "dagster")
    with dg.DagsterInstance.from_config(str(home / "dagster")) as made:
        yield made


def _run(
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED,
    tags: Mapping[str, str] | None = None,
) -> dg.DagsterRun:
    @dg.job
    def work() -> None: ...

    return instance.create_run_for_job(work, status=status, tags=tags)


def _lock(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Path:
    return Path(instance.root_directory) / "alive" / run.run_id


def test_a_killed_process_loses_its_run(instance: dg.DagsterInstance) -> None:
    run = _run(instance)
    launcher = instance.run_launcher
    assert isinstance(launcher, WatchfulRunLauncher)
    assert launcher.supports_check_run_worker_health
    assert not is_lost(instance, run.run_id), "nothing is known of it yet"
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, instance.root_directory, run.run_id],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    assert launcher.check_run_worker_health(run).status == WorkerStatus.NOT_FOUND


@pytest.mark.parametrize(
    ("kept", "lost"),
    [
        ("", True),
        ("host", True),  # the machine was started anew
        ("boot", True),  # the container was made anew
        ("none", False),  # another machine
    ],
)
def test_only_runs_of_this_machine_are_judged(
    instance: dg.DagsterInstance, kept: str, lost: bool
) -> None:
    run = _run(instance)
    hold(instance, run.run_id)
    lock = _lock(instance, run)
    lines = lock.read_text("utf-8").splitlines()
    assert [line.split()[0] for line in lines] == ["host", "boot"]
    lock.unlink()  # a copy that nobody holds
    lock.write_text("\n".join(line for line in lines if line.startswith(kept)), "utf-8")
    assert is_lost(instance, run.run_id) == lost


@pytest.mark.parametrize(
    ("started_s_ago", "code_server", "note", "lost"),
    [
        (600, "killed", "launched\nhost {host}", True),
        (600, "its folder is gone too", "launched\nhost {host}", True),
        (600, "alive", "launched\nhost {host}", False),  # it sees the process end
        (600, "at a port", "launched\nhost {host}", False),
        (10, "killed", "launched\nhost {host}", False),  # it may come to take its lock
        (600, "killed", "launched\nhost another", False),
        (600, "killed", "", False),  # launched by something else, or elsewhere
    ],
)
def test_a_run_that_was_killed_before_it_had_a_lock(
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    started_s_ago: int,
    code_server: str,
    note: str,
    lost: bool,
) -> None:
    # A socket's path must be short.
    with TemporaryDirectory() as place, socket.socket(socket.AF_UNIX) as server:
        path = f"{place}/code"
        if code_server != "its folder is gone too":
            server.bind(path)
        if code_server == "alive":
            server.listen()
        told = {"host": "localhost"} | (
            {"port": 1} if code_server == "at a port" else {"socket": path}
        )
        run = _run(
            instance, status=dg.DagsterRunStatus.STARTING, tags={GRPC_INFO_TAG: json.dumps(told)}
        )
        with monkeypatch.context() as launching:
            launching.setattr(dg.DefaultRunLauncher, "launch_run", lambda *_: None)
            instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))
        event = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, run.job_name)
        real = time.time
        with monkeypatch.context() as clock:
            clock.setattr(time, "time", lambda: real() - started_s_ago)
            instance.report_dagster_event(event, run.run_id)
        lock = _lock(instance, run)
        assert lock.read_text("utf-8").splitlines()[0] == "launched"
        lock.write_text(note.format(host=socket.gethostname()), "utf-8")
        assert is_lost(instance, run.run_id) == lost
    hold(instance, run.run_id)
    assert not is_lost(instance, run.run_id), "it came after all"


def test_locks_of_runs_that_ended_are_swept(instance: dg.DagsterInstance) -> None:
    ended, lost = _run(instance), _run(instance)
    folder = _lock(instance, ended).parent
    folder.mkdir()
    for run in (ended, lost):
        (folder / run.run_id).write_text("host gone", "utf-8")
    instance.report_run_failed(ended)
    new = _run(instance)
    hold(instance, new.run_id)
    taken = _lock(instance, new).stat()
    hold(instance, new.run_id)  # a run of the command line has it before its resources are made
    assert _lock(instance, new).stat() == taken
    assert {path.name for path in folder.iterdir()} == {lost.run_id, new.run_id}


def test_a_lost_run_that_the_daemon_passed_over_is_pointed_out(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed_over, *retried = (_run(instance) for _ in range(22))
    for run in (passed_over, *retried):
        instance.report_run_failed(run)
    for run in retried:
        instance.add_run_tags(run.run_id, {AUTO_RETRY_RUN_ID_TAG: "another"})
    monkeypatch.setattr(lost_runs, "_LOOKED_AT_S", 3_600.0)
    assert lost_runs.overlooked(instance) == [], "the daemon may still come to it"
    monkeypatch.setattr(lost_runs, "_LOOKED_AT_S", -60.0)
    assert lost_runs.overlooked(instance) == [passed_over.run_id]

    kind = dg.DagsterEventType.RUN_FAILURE
    key = consumer._create_cursor_key(kind)
    said: list[str] = []
    lost = lost_runs.LostRuns(instance, said.append)
    for _ in range(3):
        instance.daemon_cursor_storage.set_cursor_values({key: "1000000"})
        lost.point_out()
        cursor = int(instance.daemon_cursor_storage.get_cursor_values({key})[key])
        seen = instance.event_log_storage.get_logs_for_all_runs_by_log_id(
            after_cursor=cursor, dagster_event_type={kind}
        )
        assert passed_over.run_id in {event.run_id for event in seen.values()}
    instance.daemon_cursor_storage.set_cursor_values({key: "1000000"})
    lost.point_out()
    assert instance.daemon_cursor_storage.get_cursor_values({key}) == {key: "1000000"}, "enough"
    assert said == []


def test_what_keeps_lost_runs_from_being_retried_is_said_once(
    instance: dg.DagsterInstance,
) -> None:
    said: list[str] = []
    lost = lost_runs.LostRuns(instance, said.append)
    database = Path(instance.root_directory) / "history/runs.db"
    lost.point_out()
    assert said == []
    database.write_bytes(b"no database " * 1_000)
    for _ in range(3):
        lost.point_out()
    assert len(said) == 1
    assert "lost runs may not be retried for now: DatabaseError: " in said[0]


def test_the_daemon_begins_at_the_newest_event_and_goes_on_where_it_is(
    instance: dg.DagsterInstance,
) -> None:
    key = consumer._create_cursor_key(dg.DagsterEventType.RUN_FAILURE)
    instance.report_run_failed(_run(instance))
    lost_runs.start_cursors(instance)
    newest = str(instance.event_log_storage.get_maximum_record_id())
    assert instance.daemon_cursor_storage.get_cursor_values({key}) == {key: newest}
    instance.report_run_failed(_run(instance))
    lost_runs.start_cursors(instance)
    assert instance.daemon_cursor_storage.get_cursor_values({key}) == {key: newest}


def test_settings_stay_as_their_user_left_them(home: Path) -> None:
    folder = home / "dagster"
    prepare_instance_at(folder)
    assert settings.watches_runs(folder)
    (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", "utf-8")
    prepare_instance_at(folder)
    assert (folder / "dagster.yaml").read_text("utf-8") == "telemetry:\n  enabled: false\n"
    assert not settings.watches_runs(folder)
