"""`dagster dev` on a home, as a user starts it, and what its UI is told over GraphQL."""

import json
import os
import signal
import socket
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
from tests.conftest import CHECKOUT, clean_environment

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
    """A running `dagster dev`, daemon included; everything it prints is in `log`."""

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
    """Start `dagster dev` on a home and wait until it has loaded the definitions; stop it, and
    whatever it leaves, at the end."""
    folder = home / "dagster"
    prepare_instance_at(folder)
    port = _free_port()
    log = home / "dev.log"
    environment = clean_environment(home) | {"DAGSTER_HOME": str(folder)} | settings
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("dagster")),
                *("dev", "--workspace", str(CHECKOUT / "workspace.yaml")),
                *("--host", "127.0.0.1", "--port", str(port)),
            ],
            cwd=home,  # a checkout may hold somebody's .env, which would win
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A shell's background ignores SIGINT, and Dagster would hand that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    server = DevServer(process, f"http://127.0.0.1:{port}", home, log)
    try:
        server.wait(lambda: _loaded(server), "definitions", patience_s=_STARTING_S)
        yield server
    finally:
        _stop(process)


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


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
