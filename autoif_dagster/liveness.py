"""Whether the process of a run is alive: it holds a lock, which the kernel drops with the process.

Dagster's code server sees a run's process end, but only while it lives itself. Where everything was
killed, or a run of the command line was, the run would stand as *Started* for good and keep its
place in the queue. With the launcher below, run monitoring asks for the lock instead, and a lost
run is marked as failed within `run_monitoring.poll_interval_seconds`.

A lock is `$DAGSTER_HOME/alive/<run id>` and says which machine it was taken on: several machines
may share the folder, or only the database behind the instance. What cannot be judged from here is
taken for alive.

Between its start and its lock a run loads what it needs, and may be killed there with everything
around it. So the launcher leaves a note in the lock's place, which says the machine too.
"""

import fcntl
import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG

from autoif_dagster.errors import HomeError

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LAUNCHED = "launched"  # of a note: its run has not come to take the lock
_COMING_S = 300.0  # a run takes its lock within seconds of its start, on a busy machine too
_HELD: dict[str, int] = {}


def hold(instance: dg.DagsterInstance, run_id: str) -> None:
    """Take the run's lock until this process ends, and not only until its steps did: the end of a
    run is logged after that of its resources. A run that has it keeps it.

    Raises:
        HomeError: the lock cannot be written.
    """
    if run_id in _HELD:
        return
    path = _lock(instance, run_id)
    new = path.with_suffix(".new")
    try:
        path.parent.mkdir(exist_ok=True)
        _sweep(instance, path.parent)
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, "\n".join(_machine()).encode())
        new.replace(path)  # only now, so that whoever finds it finds it taken
    except OSError as error:
        raise HomeError(
            f"{path.parent} cannot be used: {error.strerror or error}; make it writable, with room "
            "on its disk"
        ) from error
    _HELD[run_id] = descriptor


def is_lost(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the run's process ended. False as long as nobody can know."""
    path = _lock(instance, run_id)
    try:
        told = set(path.read_text("utf-8").splitlines())
        if not told.intersection(_machine()) or _is_held(path):
            return False
    except OSError:
        return False
    return _never_came(instance, run_id) if _LAUNCHED in told else True


def _never_came(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a run that was launched here and has no lock is lost: it started minutes ago, and the
    code server that would have seen its end is gone."""
    record = instance.get_run_record_by_id(run_id)
    if record is None or (record.start_time or time.time()) > time.time() - _COMING_S:
        return False
    server = json.loads(record.dagster_run.tags.get(GRPC_INFO_TAG, "{}")).get("socket")
    if server is None:  # at a port, perhaps of another machine
        return False
    with socket.socket(socket.AF_UNIX) as trial:
        try:
            trial.connect(server)
        except (FileNotFoundError, ConnectionRefusedError):
            return True
        except OSError:
            return False
    return False


class WatchfulRunLauncher(dg.DefaultRunLauncher):
    """Launches runs as Dagster does by default, and knows which of them are still alive."""

    def launch_run(self, context: LaunchRunContext) -> None:
        path = _lock(self._instance, context.dagster_run.run_id)
        with suppress(OSError):  # the run finds the same, and says it better
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join((_LAUNCHED, *_machine())), "utf-8")
        super().launch_run(context)

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        if is_lost(self._instance, run.run_id):
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "The run's process is gone.")
        return CheckRunHealthResult(WorkerStatus.RUNNING)


def _lock(instance: dg.DagsterInstance, run_id: str) -> Path:
    return Path(instance.root_directory) / "alive" / run_id


def _machine() -> list[str]:
    """Names of this machine. A container gets a new host name whenever it is made anew, and a
    machine a new boot id whenever it starts; either is enough to know it again."""
    names = [f"host {socket.gethostname()}"]
    with suppress(OSError):
        names.append(f"boot {_BOOT_ID.read_text('ascii').strip()}")
    return names


def _is_held(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _sweep(instance: dg.DagsterInstance, folder: Path) -> None:
    """Remove the locks of runs that are over; a run that was lost keeps its own until it is."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another run sweeps as well
            if path.suffix or _is_held(path):
                continue
            run = instance.get_run_by_id(path.name)
            if run is None or run.is_finished:
                path.unlink()
