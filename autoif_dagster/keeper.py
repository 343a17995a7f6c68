"""Dagster's processes below one of ours: started, watched, and ended with all they started.

`dagster dev` does the same for as long as it ends in good order. Killed, it leaves a webserver that
holds its port, a daemon that goes on launching runs, and runs.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from itertools import chain
from pathlib import Path

from autoif_dagster.errors import AutoIFError
from autoif_dagster.instance import open_instance, withdraw
from autoif_dagster.lost_runs import LostRuns

_HOST = "127.0.0.1"
_PORTS_TRIED = 100
_POLL_S = 0.2
_LOOK_S = 10.0
_ENDING_S = 10.0  # what Dagster's processes take is a second or two
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36

_LOADED = """query { workspaceOrError { ... on Workspace { locationEntries {
  loadStatus displayMetadata { key value }
  locationOrLoadError { ... on PythonError { message } } } } } }"""


class Keeper:
    """What watches over Dagster's processes: the ancestor of them all, and of nothing else.

    Of a process of its own, in which SIGTERM and SIGCHLD are blocked.
    """

    def __init__(self, folder: Path, place: Path, lock: int) -> None:
        self._folder = folder
        self._lock = lock
        self._place = place
        self._socket = place / "code"
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._url = ""
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def stay(self, address: Path, port: int) -> int:
        """Start Dagster, tell its address, and return when it is to end."""
        bin_ = Path(sys.executable).parent
        self._start(
            "code server",
            [str(bin_ / "dagster"), "code-server", "start", "--log-level", "warning"],
            ["--socket", str(self._socket), "--location-name", "autoif_dagster"],
            ["--module-name", "autoif_dagster.definitions"],
            folder=Path.cwd(),  # relative paths of the recipe mean this folder
        )
        with open_instance():  # made by one process, before three use it
            pass
        # The socket appears when the definitions are loaded, or their error is known.
        if (ended := self._wait(self._socket.exists)) is not None:
            return ended
        workspace = self._place / "workspace.yaml"
        served = {"socket": str(self._socket), "location_name": "autoif_dagster"}
        workspace.write_text(json.dumps({"load_from": [{"grpc_server": served}]}), "utf-8")
        with _free_port(port) as free:
            if free != port:
                say(f"Port {port} is busy; taking {free}.")
            self._url = f"http://{_HOST}:{free}"
            levels = ["--dagster-log-level", "warning", "--uvicorn-log-level", "warning"]
            self._start(
                "webserver",
                [str(bin_ / "dagster-webserver"), "--workspace", str(workspace), *levels],
                ["--host", _HOST, "--port", str(free)],
                folder=self._folder,
            )
            self._start(
                "daemon",
                [str(bin_ / "dagster-daemon"), "run", "--workspace", str(workspace)],
                ["--log-level", "warning"],
                folder=self._folder,
                keep=[self._lock],
            )
            if (ended := self._wait(self._answers)) is not None:
                return ended
            address.write_text(self._url, "utf-8")
            say(f"Dagster's UI: {self._url}")
            return self._watch()

    def _watch(self) -> int:
        """Stay until told to end, and see to it that lost runs are retried."""
        with open_instance() as instance:
            lost = LostRuns(instance, say)
            while (ended := self._pause(_LOOK_S)) is None:
                lost.point_out()
        return ended

    def _pause(self, seconds: float) -> int | None:
        due = time.monotonic() + seconds
        return self._wait(lambda: time.monotonic() > due)

    def end(self) -> None:
        """End everything below this process; runs and what waits are canceled first."""
        say("Stopping …")
        self._end("daemon", "webserver")  # nothing new starts from here on
        # What cannot be done here is put right by run monitoring at the next start.
        try:
            with open_instance() as instance:
                canceled = withdraw(instance, str(self._socket))
        except Exception as error:
            say(f"make ui: runs could not be canceled: {error}")
        else:
            if canceled:
                say(
                    f"Canceled {canceled} runs. What they had asked the model is in the log: "
                    "launched again, they ask only for the rest."
                )
        self._end("code server")
        while _descendants():  # whatever is left has had its time
            for pid in _descendants():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            _reap()
            time.sleep(0.01)
        say("Stopped.")

    def _start(
        self, name: str, *command: list[str], folder: Path, keep: Sequence[int] = ()
    ) -> None:
        keeper = os.getpid()

        def prepare() -> None:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            end_with(keeper)

        self._children[name] = subprocess.Popen(
            [*chain(*command)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            preexec_fn=prepare,
            pass_fds=keep,
        )

    def _wait(self, done: Callable[[], bool]) -> int | None:
        """None as soon as it is done; an exit code if this has to end before."""
        while not done():
            if self._told_to_end(_POLL_S):
                return 0
            for name in self._children:
                if not self._lives(name):
                    say(f"make ui: Dagster's {name} ended by itself; what it said is above.")
                    return 1
        return None

    def _told_to_end(self, wait_s: float) -> bool:
        got = signal.sigtimedwait({signal.SIGTERM, signal.SIGCHLD}, wait_s)
        if got is None:
            return False
        _reap(set(_pids(self._children.values())))
        return got.si_signo == signal.SIGTERM

    def _end(self, *names: str) -> None:
        children = [self._children[name] for name in names if name in self._children]
        for child in children:
            child.terminate()
        deadline = time.monotonic() + _ENDING_S
        while time.monotonic() < deadline and any(child.poll() is None for child in children):
            self._told_to_end(_POLL_S)
        for child in children:
            child.kill()

    def _lives(self, name: str) -> bool:
        return self._children[name].poll() is None

    def _answers(self) -> bool:
        errors = load_errors(self._url, self._socket)
        for message in errors or ():
            say(f"The definitions could not be loaded: {message.strip()}")
        return errors is not None


def load_errors(url: str, code_server: Path) -> list[str] | None:
    """What kept the webserver at `url` from loading the definitions that `code_server`, a socket,
    serves; None as long as it is not done, or is a server of something else."""
    request = urllib.request.Request(
        f"{url}/graphql",
        json.dumps({"query": _LOADED}).encode(),
        {"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            (entry,) = json.load(reply)["data"]["workspaceOrError"]["locationEntries"]
        ours = {"key": "socket", "value": str(code_server)} in entry["displayMetadata"]
        if not ours or entry["loadStatus"] != "LOADED":
            return None
        message = entry["locationOrLoadError"].get("message")
    except (OSError, HTTPException, ValueError, LookupError, TypeError):
        return None
    return [message] if message else []


@contextmanager
def _free_port(wanted: int) -> Iterator[int]:
    """The wanted port or a free one above it, which no other UI of this project takes meanwhile:
    the webserver binds it only seconds later."""
    for port in range(wanted, min(wanted + _PORTS_TRIED, 2**16)):
        with socket.socket(socket.AF_UNIX) as turn, socket.socket() as trial:
            # What a server left in TIME_WAIT is free.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                turn.bind(f"\0autoif-ui-{port}")  # a name without a file, gone with this process
                trial.bind((_HOST, port))
            except OSError:
                continue
            trial.close()
            yield port
            return
    raise AutoIFError(f"no port from {wanted} on is free")


def _descendants() -> set[int]:
    """Every process below this one, by /proc; those that ended and were not waited for too."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found: set[int] = set()
    new = {os.getpid()}
    while new := {pid for pid, parent in parents.items() if parent in new} - found:
        found |= new
    return found


def _pids(children: Iterable[subprocess.Popen[bytes]]) -> Iterator[int]:
    yield from (child.pid for child in children if child.returncode is None)


def _reap(but: Iterable[int] = ()) -> None:
    """Wait for orphans that ended, which are this process's children now."""
    keep = set(but)
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid in keep:
            return
        os.waitpid(found.si_pid, 0)


def end_with(parent: int, number: int = signal.SIGTERM) -> None:
    """Be sent a signal when the parent ends; or now, if it ended before."""
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise AutoIFError(f"prctl {option}: {os.strerror(ctypes.get_errno())}")


def say(text: str) -> None:
    """A line for the terminal, which may be gone."""
    with suppress(OSError):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
