"""`dagster dev`, which who knows Dagster types first: it answers, and it warns of nothing."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

from tests.conftest import CHECKOUT, Ran, clean_environment
from tests.dev_server import DevServer

_STATE = """query {
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }
  workspaceOrError { ... on Workspace { locationEntries {
    loadStatus locationOrLoadError { __typename ... on PythonError { message } } } } }
}"""
# Dagster's own word on the command itself, with the line that it quotes.
_SUPERSEDED = re.compile(r"^.*SupersessionWarning: Function `dev_command` .*\n", re.MULTILINE)


def test_dagster_dev_answers_and_warns_of_nothing(small_round: Ran, home: Path) -> None:
    shutil.copytree(small_round.home, home)
    dagster = Path(sys.executable).with_name("dagster")
    log, port = home / "dev.log", _free_port()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [dagster, "dev", "--port", str(port), "-w", str(CHECKOUT / "workspace.yaml")],
            cwd=home,  # a checkout may hold somebody's .env, which would win
            env=clean_environment(home) | {"DAGSTER_HOME": str(home / "dagster")},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = DevServer(process, f"http://127.0.0.1:{port}", home, log)
    try:
        server.wait(lambda: _serves(server), "answer of webserver and daemon")
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    told = _SUPERSEDED.sub("", log.read_text("utf-8"))
    assert not re.search("warning", told, re.IGNORECASE), told


def _free_port() -> int:
    with closing(socket.socket()) as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def _serves(server: DevServer) -> bool | None:
    """Whether the definitions are loaded and every daemon has worked once."""
    try:
        state = server.graphql(_STATE)
    except OSError:
        return None
    entries = state["workspaceOrError"].get("locationEntries", [])
    if not entries or any(entry["loadStatus"] != "LOADED" for entry in entries):
        return None
    (entry,) = entries
    assert entry["locationOrLoadError"]["__typename"] == "RepositoryLocation", entry
    daemons = state["instance"]["daemonHealth"]["allDaemonStatuses"]
    return all(d["healthy"] for d in daemons if d["required"]) or None
