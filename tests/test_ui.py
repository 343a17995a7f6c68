"""`make ui`: where it opens, and that nothing is left of it however it ends."""

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import dagster as dg
import pytest
from dagster._core.storage.tags import WILL_RETRY_TAG

from autoif_dagster import ui
from autoif_dagster.keeper import load_errors
from tests.conftest import CHECKOUT, SMALL, clean_environment
from tests.dev_server import (
    address,
    connect,
    processes_of,
    start_ui,
    stop_ui,
)

_PATIENCE_S = 120


@contextmanager
def _busy_port() -> Iterator[int]:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield int(taken.getsockname()[1])


def _gone(home: Path) -> bool:
    deadline = time.monotonic() + _PATIENCE_S
    while processes_of(home) and time.monotonic() < deadline:
        time.sleep(0.2)
    return processes_of(home) == []


def _starts(home: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not any("code-server" in command for command in processes_of(home)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


def _listens(port: int) -> bool:
    with closing(socket.socket()) as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def test_ctrl_c_ends_everything_and_cancels_what_is_asked_for(home: Path) -> None:
    home.mkdir()
    with _busy_port() as busy:
        process, log = start_ui(home, "--port", str(busy), **SMALL)
        try:
            server = connect(process, log, home)
            assert _port(server.url) > busy
            assert f"Port {busy} is busy; taking {_port(server.url)}." in log.read_text("utf-8")

            second, told = start_ui(home, log_name="second.log")
            assert second.wait(_PATIENCE_S) == 1
            assert f"{home} is open already: {server.url}" in told.read_text("utf-8")

            # A run in progress that will not end by itself, and others that wait for it.
            (home / "turns").mkdir(exist_ok=True)
            with (home / "turns/augmented_instructions.r0001").open("a") as turn:
                fcntl.flock(turn, fcntl.LOCK_EX)
                for key in ("r0001", "r0002"):
                    server.add_round(key)
                    server.launch("synthesize", tags={"dagster/partition": key})
                server.wait(
                    lambda: any(r["status"] == "STARTED" for r in server.runs()) or None,
                    "run in progress",
                )
                assert stop_ui(process, signal.SIGINT) == 0
        finally:
            stop_ui(process)
    assert processes_of(home) == []
    assert not _listens(_port(server.url))
    said = log.read_text("utf-8")
    assert "Canceled 2 runs." in said
    assert not re.search("warning|traceback", said, re.IGNORECASE), said
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        runs = instance.get_runs()
    assert [run.status for run in runs] == [dg.DagsterRunStatus.CANCELED] * 2
    assert not any(run.tags.get(WILL_RETRY_TAG) == "true" for run in runs)


def test_homes_side_by_side_and_one_killed(tmp_path: Path) -> None:
    started = {}
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        started[name] = start_ui(tmp_path / name)
    try:
        urls = {name: address(*of) for name, of in started.items()}
        assert len(set(urls.values())) == 2
        one, _ = started["one"]
        one.kill()
        one.wait()
        assert _gone(tmp_path / "one")
        assert not _listens(_port(urls["one"]))
        assert _listens(_port(urls["other"]))
    finally:
        for process, _ in started.values():
            stop_ui(process)
    assert processes_of(tmp_path / "other") == []
    for name in started:
        assert "is busy" in started[name][1].read_text("utf-8") or urls[name].endswith(":3000")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_it_can_be_stopped_while_it_starts(home: Path, number: signal.Signals) -> None:
    home.mkdir()
    process, log = start_ui(home)
    try:
        _starts(home, process)
        code = stop_ui(process, number)
        assert code == (-signal.SIGKILL if number == signal.SIGKILL else 0)
        assert _gone(home)
        assert "Dagster's UI" not in log.read_text("utf-8")
    finally:
        stop_ui(process)


def test_it_ends_with_whoever_started_it(home: Path) -> None:
    """As it does with make, which can be killed too."""
    home.mkdir()
    script = f"{sys.executable} -m autoif_dagster.ui > ui.log 2>&1 & wait"
    shell = subprocess.Popen(["sh", "-c", script], cwd=home, env=clean_environment(home))
    try:
        _starts(home, shell)
    finally:
        shell.kill()
        shell.wait()
    assert _gone(home)


def test_a_wrong_recipe_is_told_before_anything_starts(home: Path) -> None:
    home.mkdir()
    process, log = start_ui(home, AUTOIF__QUALITY__MIN_SCORE="11")
    assert process.wait(_PATIENCE_S) == 2
    assert log.read_text("utf-8").startswith("make ui: AUTOIF__QUALITY__MIN_SCORE: quality.min")
    assert not (home / "dagster").exists()


@pytest.mark.parametrize(
    ("environment", "opened"), [({"DAGSTER_HOME": "mine"}, "mine"), ({}, "env")]
)
def test_the_environment_beats_the_env_file(
    home: Path, environment: dict[str, str], opened: str
) -> None:
    """As it does for every `autoif` command: one home must not have two instances."""
    home.mkdir()
    (home / ".env").write_text("DAGSTER_HOME=env\n", "utf-8")
    with ExitStack() as stack:
        for name in ("mine", "env"):  # each is open already, and says so at once
            (home / name).mkdir()
            file = stack.enter_context((home / name / "ui").open("w"))
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(name)
            file.flush()
        process, log = start_ui(home, **environment)
        assert process.wait(_PATIENCE_S) == 1
    assert log.read_text("utf-8").endswith(f"is open already: {opened}\n")


def test_make_writes_the_env_file_once(tmp_path: Path) -> None:
    def make() -> str:
        command = ["make", "-s", "-f", str(CHECKOUT / "Makefile"), ".env"]
        # Not a part of the make that may run this.
        kept = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
        subprocess.run(command, cwd=tmp_path, env=kept, check=True)
        return (tmp_path / ".env").read_text("utf-8")

    written = make()
    assert written.splitlines() == [
        f'AUTOIF_HOME="${{AUTOIF_HOME:-{tmp_path}/data}}"',
        'DAGSTER_HOME="${AUTOIF_HOME}/dagster"',
    ]
    for edited in (written + "KEY=mine\n", 'AUTOIF_HOME="/mine"\nKEY=mine\n'):
        (tmp_path / ".env").write_text(edited, "utf-8")
        assert make() == edited


@pytest.mark.parametrize("port", ["0", "-1", "65536"])
def test_a_port_that_is_none_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ui.main(["--port", port]) == 2
    assert capsys.readouterr().out == (
        f"make ui: --port {port}: a port is a number from 1 to 65535\n"
    )


class _Webserver(BaseHTTPRequestHandler):
    """Answers anything with what is planted."""

    answer: ClassVar[bytes]

    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: object) -> None: ...


def _workspace(socket_path: str, status: str = "LOADED", error: str = "") -> dict[str, Any]:
    entry = {
        "loadStatus": status,
        "displayMetadata": [
            {"key": "host", "value": "localhost"},
            {"key": "socket", "value": socket_path},
        ],
        "locationOrLoadError": {"message": error} if error else {},
    }
    return {"data": {"workspaceOrError": {"locationEntries": [entry]}}}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (_workspace("/ours/code"), []),
        (_workspace("/ours/code", error="broken"), ["broken"]),
        (_workspace("/ours/code", "LOADING"), None),
        (_workspace("/foreign/code"), None),  # of another home, quicker at this port
        ({"data": None, "errors": []}, None),
        ({"detail": "not found"}, None),
        (["some other", "program"], None),
        ("no JSON", None),
    ],
)
def test_only_the_webserver_that_was_started_counts(answer: object, told: list[str] | None) -> None:
    class Planted(_Webserver):
        answer: ClassVar[bytes]

    Planted.answer = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
    with HTTPServer(("127.0.0.1", 0), Planted) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        found = load_errors(f"http://127.0.0.1:{server.server_port}", Path("/ours/code"))
        thread.join()
    assert found == told
