"""The UI on a home, as `make ui` starts it, and what it is told over GraphQL."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from autoif_dagster.instance import prepare_instance
from tests.conftest import clean_environment

T = TypeVar("T")

REPOSITORY = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "autoif_dagster",
}
_STARTING_S = 120

_RUNS = """query {
  runsOrError { ... on Runs { results {
    runId status jobName creationTime startTime endTime
    assetSelection { path } tags { key value }
  } } }
}"""


@dataclass(frozen=True, slots=True)
class DevServer:
    """A running UI with its daemon; everything they print is in `log`."""

    process: subprocess.Popen[bytes]
    url: str
    home: Path
    log: Path

    def graphql(self, query: str, **variables: object) -> Any:
        """The data that a query gives; an error of GraphQL itself raises."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self.url}/graphql", body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            answer = json.load(reply)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def add_round(self, key: str) -> None:
        self.graphql(
            "mutation($r: RepositorySelector!, $k: String!) { addDynamicPartition("
            'partitionsDefName: "rounds", partitionKey: $k, repositorySelector: $r) '
            "{ __typename } }",
            r=REPOSITORY,
            k=key,
        )

    def launch(self, job: str, *, tags: Mapping[str, str], assets: list[str] | None = None) -> str:
        """Launch a run, as the UI does; its id. `dagster/partition` names the round."""
        selector: dict[str, object] = {**REPOSITORY, "pipelineName": job}
        if assets is not None:
            selector["assetSelection"] = [{"path": [name]} for name in assets]
        told = self.graphql(
            "mutation($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) "
            "{ __typename ... on LaunchRunSuccess { run { runId } } "
            "... on PythonError { message } } }",
            p={
                "selector": selector,
                "mode": "default",
                "runConfigData": "{}",
                "executionMetadata": {
                    "tags": [{"key": k, "value": v} for k, v in tags.items()],
                },
            },
        )["launchPipelineExecution"]
        return str(told["run"]["runId"])

    def runs(self) -> list[dict[str, Any]]:
        """Every run, the newest first; `tags` as a dict, `assetSelection` as names."""
        found = self.graphql(_RUNS)["runsOrError"]["results"]
        for run in found:
            run["tags"] = {tag["key"]: tag["value"] for tag in run["tags"]}
            run["assetSelection"] = [a["path"][0] for a in run["assetSelection"] or []]
        return list(found)

    def wait(self, found: Callable[[], T | None], what: str, *, patience_s: float = 300) -> T:
        """What `found` gives as soon as it gives something; fails with the log if it never does."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if (value := found()) is not None:
                return value
            assert self.process.poll() is None, self.log.read_text("utf-8")[-4_000:]
            time.sleep(0.5)
        raise AssertionError(f"no {what} in time:\n{self.log.read_text('utf-8')[-4_000:]}")

    def finished(self, run_id: str, *, patience_s: float = 300) -> str:
        """The status that a run ends with."""

        def ended() -> str | None:
            status = next(r["status"] for r in self.runs() if r["runId"] == run_id)
            return status if status in ("SUCCESS", "FAILURE", "CANCELED") else None

        return self.wait(ended, f"end of run {run_id}", patience_s=patience_s)


@contextmanager
def dev_server(home: Path, **settings: str) -> Iterator[DevServer]:
    """Start what `make ui` starts on a home and wait until it has loaded the definitions; stop it
    at the end. Nothing of it outlives this process either."""
    home.mkdir(parents=True, exist_ok=True)
    process, log = start_ui(home, **settings)
    try:
        yield connect(process, log, home)
    finally:
        stop_ui(process)


def start_ui(
    home: Path, *arguments: str, log_name: str = "dev.log", **settings: str
) -> tuple[subprocess.Popen[bytes], Path]:
    """The launcher of `make ui` on a home, which exists, and the file of everything it prints."""
    log = home / log_name
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "autoif_dagster.ui", *arguments],
            cwd=home,  # a checkout may hold somebody's .env
            env=clean_environment(home) | settings,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return process, log


def connect(process: subprocess.Popen[bytes], log: Path, home: Path) -> DevServer:
    """The server of a launcher, as soon as it has loaded the definitions."""
    server = DevServer(process, address(process, log), home, log)
    server.wait(lambda: _loaded(server), "definitions", patience_s=_STARTING_S)
    return server


def address(process: subprocess.Popen[bytes], log: Path, *, patience_s: float = 300) -> str:
    """What a launcher says is the UI's address, as soon as it says so."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        told = log.read_text("utf-8")
        if found := re.search(r"^Dagster's UI: (http://\S+)$", told, re.MULTILINE):
            return found[1]
        assert process.poll() is None, told
        time.sleep(0.1)
    raise AssertionError(f"no address in time:\n{log.read_text('utf-8')}")


def stop_ui(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    """Stop a launcher; its exit code."""
    process.send_signal(number)
    try:
        return process.wait(120)
    finally:
        process.kill()  # its keeper goes on to end the rest
        process.wait()


def processes_of(home: Path) -> list[str]:
    """Command lines of every process that was started on a home, whoever its parent is now."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # ended meanwhile
            if f"AUTOIF_HOME={home}\0".encode() in environment.read_bytes():
                command = environment.with_name("cmdline").read_bytes()
                found.append(command.replace(b"\0", b" ").decode())
    return found


def prepare_instance_at(folder: Path) -> None:
    """The instance's folder with its settings, without a word in this process's environment."""
    before = os.environ.get("DAGSTER_HOME")
    os.environ["DAGSTER_HOME"] = str(folder)
    try:
        prepare_instance()
    finally:
        if before is None:
            del os.environ["DAGSTER_HOME"]
        else:
            os.environ["DAGSTER_HOME"] = before


def _loaded(server: DevServer) -> bool | None:
    try:
        entries = server.graphql(
            "query { workspaceOrError { ... on Workspace { locationEntries { loadStatus "
            "locationOrLoadError { __typename ... on PythonError { message } } } } } }"
        )["workspaceOrError"]["locationEntries"]
    except OSError:
        return None
    if not entries or any(entry["loadStatus"] != "LOADED" for entry in entries):
        return None
    for entry in entries:
        assert entry["locationOrLoadError"]["__typename"] == "RepositoryLocation", entry
    return True
