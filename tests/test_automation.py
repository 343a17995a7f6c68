"""What adds rounds, tick by tick: on an instance and a home of its own, with runs that are noted
but not carried out."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from autoif_dagster.automation import nightly_round, reach_target, watch_inputs
from autoif_dagster.definitions import defs
from autoif_dagster.home import open_home
from autoif_dagster.input_files import InputFile, recorded_version
from autoif_dagster.lake import Lake, write_parquet
from autoif_dagster.partitions import NAME
from autoif_dagster.recipe import load_recipe
from autoif_dagster.records import PARTS, TABLES, Generation, ReconstructedQuery, SftRow
from autoif_dagster.resources import run_tags
from tests.conftest import CHECKOUT, clean_environment

RUN = dg.DagsterRunStatus
REPOSITORY = defs.get_repository_def()
TONIGHT = datetime(2026, 11, 21, 2, tzinfo=UTC)


@dataclass
class Nights:
    """An instance, the home beside it, and the files that the recipe names."""

    instance: dg.DagsterInstance
    lake: Lake
    seeds: Path
    queries: Path

    def plan(self, *keys: str) -> None:
        self.instance.add_dynamic_partitions(NAME, list(keys))

    def complete(self, key: str, rows: int = 0, prompts: int = 0) -> None:
        """A round that has its last tables, and so many rows in them."""
        self.plan(key)
        for name in ("sft_dataset", "dpo_pairs", "reconstructed_queries"):
            path = self.lake.path(name, key)
            write_parquet(TABLES[name], path, [])
        if rows:
            made = [_sft_row(key, n) for n in range(rows)]
            write_parquet(TABLES["sft_dataset"], self.lake.path("sft_dataset", key), made)
        if prompts:
            path = self.lake.path("reconstructed_queries", key)
            write_parquet(TABLES["reconstructed_queries"], path, [_prompt(key)] * prompts)

    def run(
        self, key: str, status: dg.DagsterRunStatus, *, job: str = "synthesize", **tags: str
    ) -> str:
        run = self.instance.create_run_for_job(
            REPOSITORY.get_job(job),
            status=status,
            tags={"dagster/partition": key, **tags},
        )
        return run.run_id

    def night(self) -> dg.RunRequest | str:
        with dg.build_schedule_context(
            self.instance, scheduled_execution_time=TONIGHT, repository_def=REPOSITORY
        ) as context:
            result = nightly_round(context)
        return str(result.skip_message) if isinstance(result, dg.SkipReason) else result

    def sense(self, sensor: dg.SensorDefinition, cursor: str | None = None) -> "Sensed":
        with dg.build_sensor_context(
            self.instance, cursor=cursor, repository_def=REPOSITORY
        ) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        for event in result.asset_events:
            self.instance.report_runless_asset_event(event)
        added = [key for r in result.dynamic_partitions_requests or [] for key in r.partition_keys]
        requests = list(result.run_requests or [])
        assert added == [request.partition_key for request in requests]
        told = result.skip_reason.skip_message if result.skip_reason else ""
        observed = [event.asset_key.to_user_string() for event in result.asset_events]
        return Sensed(requests, str(told), observed, result.cursor)


@dataclass(frozen=True, slots=True)
class Sensed:
    requests: list[dg.RunRequest]
    skipped: str
    observed: list[str]
    cursor: str | None


def _sft_row(key: str, number: int) -> SftRow:
    response_id = f"rsp_{key}_{number}"
    return SftRow(key, response_id, "prm", "ins", "qry", "?", "!", 1.0, 9.0, None, None)


def _prompt(key: str) -> ReconstructedQuery:
    return ReconstructedQuery(key, "prm", "ins", "qry", "?", 0, "query_first", "?", None, None)


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    seeds, queries = tmp_path / "seeds.txt", tmp_path / "queries.txt"
    seeds.write_text("Answer in one word.\n", "utf-8")
    queries.write_text("What is the capital of France, please?\n", "utf-8")
    monkeypatch.setenv("AUTOIF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AUTOIF__SEEDS__PATH", str(seeds))
    monkeypatch.setenv("AUTOIF__QUERIES__PATH", str(queries))
    return Lake(open_home(tmp_path / "home", "simulated"))


@pytest.fixture
def nights(lake: Lake, tmp_path: Path) -> Iterator[Nights]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Nights(instance, lake, tmp_path / "seeds.txt", tmp_path / "queries.txt")


@pytest.fixture
def stored_nights(lake: Lake, tmp_path: Path) -> Iterator[Nights]:
    """A schedule's context takes no instance that is in memory alone."""
    with dg.instance_for_test() as instance:
        yield Nights(instance, lake, tmp_path / "seeds.txt", tmp_path / "queries.txt")


# The schedule


def test_the_first_night_adds_the_first_round(stored_nights: Nights) -> None:
    request = stored_nights.night()
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == "r0001"
    assert (request.tags["autoif/round"], request.tags["autoif/purpose"]) == ("r0001", "add")
    assert stored_nights.instance.get_dynamic_partitions(NAME) == ["r0001"]


@pytest.mark.parametrize("status", [RUN.NOT_STARTED, RUN.STARTING, RUN.STARTED, RUN.CANCELING])
def test_a_night_leaves_a_round_alone_that_is_being_made(
    stored_nights: Nights, status: dg.DagsterRunStatus
) -> None:
    stored_nights.plan("r0001")
    stored_nights.run("r0001", status)
    assert stored_nights.night() == "r0001 is being made, or waits for it"
    assert stored_nights.instance.get_dynamic_partitions(NAME) == ["r0001"]


def test_a_night_leaves_a_round_alone_that_dagster_tries_again(stored_nights: Nights) -> None:
    stored_nights.plan("r0001")
    stored_nights.run("r0001", RUN.FAILURE, **{"dagster/will_retry": "true"})
    assert stored_nights.night() == "r0001 is being made, or waits for it"


def test_a_night_waits_no_longer_for_a_retry_that_never_came(
    stored_nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored_nights.plan("r0001")
    stored_nights.run("r0001", RUN.FAILURE, **{"dagster/will_retry": "true"})
    monkeypatch.setattr("autoif_dagster.automation._RETRIED_WITHIN_S", 0)
    request = stored_nights.night()
    assert isinstance(request, dg.RunRequest)
    assert (request.partition_key, request.tags["autoif/purpose"]) == ("r0001", "finish")


def test_a_run_of_the_command_line_is_not_to_be_tried_again(nights: Nights) -> None:
    """The daemon could not launch it, and it would wait for ever."""
    run = nights.instance.get_run_by_id(nights.run("r0001", RUN.STARTED))
    assert run is not None
    assert run.remote_job_origin is None
    assert run_tags(load_recipe(), run)["dagster/max_retries"] == "0"


@pytest.mark.parametrize("status", [None, RUN.FAILURE, RUN.CANCELED, RUN.SUCCESS])
def test_a_night_finishes_before_it_adds(
    stored_nights: Nights, status: dg.DagsterRunStatus | None
) -> None:
    stored_nights.complete("r0001")
    stored_nights.plan("r0002")
    if status is not None:
        stored_nights.run("r0002", status)
    request = stored_nights.night()
    assert isinstance(request, dg.RunRequest)
    assert (request.partition_key, request.tags["autoif/purpose"]) == ("r0002", "finish")


def test_a_night_adds_after_a_complete_round_whoever_made_it(stored_nights: Nights) -> None:
    stored_nights.complete("r0007")
    stored_nights.instance.delete_dynamic_partition(NAME, "r0007")  # the lake still holds it
    request = stored_nights.night()
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == "r0008"


def test_a_tick_that_is_evaluated_again_requests_the_same(stored_nights: Nights) -> None:
    stored_nights.complete("r0001")
    first, again = stored_nights.night(), stored_nights.night()
    assert isinstance(first, dg.RunRequest)
    assert isinstance(again, dg.RunRequest)
    assert (first.run_key, first.partition_key) == (again.run_key, again.partition_key)
    assert first.partition_key == "r0002"


def test_a_night_without_a_key_left_says_so(stored_nights: Nights) -> None:
    stored_nights.complete("r9999")
    assert stored_nights.night() == "no round key is left after r9999"


# The sensor on input files


def test_files_are_observed_when_they_change_and_read_only_then(nights: Nights) -> None:
    first = nights.sense(watch_inputs)
    assert first.observed == ["seed_file", "query_file"]
    assert first.requests == []
    same = nights.sense(watch_inputs, first.cursor)
    assert (same.observed, same.cursor, same.skipped) == ([], first.cursor, "nothing changed")
    nights.seeds.write_text("Answer in two words.\n", "utf-8")
    changed = nights.sense(watch_inputs, same.cursor)
    assert (changed.observed, changed.requests) == (["seed_file"], [])
    assert changed.skipped == "seeds.txt changed"


def test_a_file_with_a_new_time_and_old_bytes_is_no_news(nights: Nights) -> None:
    first = nights.sense(watch_inputs)
    nights.seeds.write_bytes(nights.seeds.read_bytes())
    again = nights.sense(watch_inputs, first.cursor)
    assert again.observed == []
    assert again.cursor != first.cursor


def test_a_missing_file_is_told_and_the_other_one_watched(nights: Nights) -> None:
    nights.seeds.unlink()
    sensed = nights.sense(watch_inputs)
    assert sensed.observed == ["query_file"]
    assert f"{nights.seeds}: cannot be read: No such file or directory" in sensed.skipped
    nights.seeds.write_text("Answer in one word.\n", "utf-8")
    assert nights.sense(watch_inputs, sensed.cursor).observed == ["seed_file"]


def test_a_changed_file_adds_a_round_if_the_recipe_says_so(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOIF__ROUNDS__ON_CHANGED_FILES", "true")
    nights.complete("r0001")
    first = nights.sense(watch_inputs)
    assert first.requests == [], "files that Dagster hears of for the first time did not change"
    nights.queries.write_text("What is the capital of Spain, please?\n", "utf-8")
    changed = nights.sense(watch_inputs, first.cursor)
    assert [r.partition_key for r in changed.requests] == ["r0002"]
    assert changed.requests[0].tags["autoif/changed_files"] == "queries.txt"
    assert nights.sense(watch_inputs, changed.cursor).requests == []


def test_a_changed_file_finishes_before_it_adds(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And waits for a round that is being made, which may have read the old file."""
    monkeypatch.setenv("AUTOIF__ROUNDS__ON_CHANGED_FILES", "true")
    cursor = nights.sense(watch_inputs).cursor
    nights.plan("r0001")
    nights.run("r0001", RUN.STARTED)
    nights.seeds.write_text("Answer in two words.\n", "utf-8")
    for _ in range(2):
        sensed = nights.sense(watch_inputs, cursor)
        assert sensed.requests == []
        assert "r0001 is being made" in sensed.skipped
        cursor = sensed.cursor
    nights.run("r0001", RUN.FAILURE)
    sensed = nights.sense(watch_inputs, cursor)
    (request,) = sensed.requests
    assert (request.partition_key, request.tags["autoif/purpose"]) == ("r0001", "finish")
    assert request.tags["autoif/changed_files"] == "seeds.txt"
    nights.complete("r0001")
    assert nights.sense(watch_inputs, sensed.cursor).requests == []


def test_a_daemon_that_is_killed_before_it_requests_does_so_the_next_time(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a tick reports is kept, its cursor and its requests are lost."""
    monkeypatch.setenv("AUTOIF__ROUNDS__ON_CHANGED_FILES", "true")
    nights.complete("r0001")
    cursor = nights.sense(watch_inputs).cursor
    nights.seeds.write_text("Answer in two words.\n", "utf-8")
    for _ in range(2):
        sensed = nights.sense(watch_inputs, cursor)
        assert [r.partition_key for r in sensed.requests] == ["r0002"]
    after = nights.sense(watch_inputs, sensed.cursor)
    assert (after.observed, after.requests) == (["seed_file"], [])


def test_a_late_report_of_the_file_before_is_put_right(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that read it reports it when its table is done; that is no change of the file."""
    monkeypatch.setenv("AUTOIF__ROUNDS__ON_CHANGED_FILES", "true")
    old = InputFile.read("seed_file", nights.seeds)
    nights.seeds.write_text("Answer in two words.\n", "utf-8")
    cursor = nights.sense(watch_inputs).cursor
    nights.instance.report_runless_asset_event(old.seen())
    sensed = nights.sense(watch_inputs, cursor)
    assert (sensed.observed, sensed.requests) == (["seed_file"], [])
    new = InputFile.read("seed_file", nights.seeds).version
    assert recorded_version(nights.instance, "seed_file") == new


def test_a_round_that_waits_reads_a_changed_file_itself(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOIF__ROUNDS__ON_CHANGED_FILES", "true")
    cursor = nights.sense(watch_inputs).cursor
    nights.plan("r0001")
    nights.run("r0001", RUN.NOT_STARTED)
    nights.seeds.write_text("Answer in two words.\n", "utf-8")
    sensed = nights.sense(watch_inputs, cursor)
    assert sensed.requests == []
    assert "r0001 has not begun and will read them" in sensed.skipped


# Target mode


@pytest.fixture
def target(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> Nights:
    monkeypatch.setenv("AUTOIF__TARGET__ROWS", "20")
    return nights


def test_rounds_are_added_one_at_a_time_until_the_target(target: Nights) -> None:
    sensed = target.sense(reach_target)
    assert [r.partition_key for r in sensed.requests] == ["r0001"]
    target.plan("r0001")
    run = target.run("r0001", RUN.STARTED)
    assert (
        "r0001 is being made, or waits for it; 0 of 20 rows" in target.sense(reach_target).skipped
    )
    target.instance.delete_run(run)
    target.complete("r0001", rows=8, prompts=10)
    sensed = target.sense(reach_target)
    assert [r.partition_key for r in sensed.requests] == ["r0002"]
    tags = sensed.requests[0].tags
    assert tags["autoif/target"] == "8 of 20"
    assert (tags["autoif/rows_per_round"], tags["autoif/further_rounds"]) == ("8", "2")
    assert json.loads(str(sensed.cursor)) == {
        "have": 8,
        "want": 20,
        "per_round": 8.0,
        "further_rounds": 2,
    }
    target.complete("r0002", rows=12, prompts=10)
    sensed = target.sense(reach_target)
    assert sensed.requests == []
    assert sensed.skipped.startswith("the target is reached; 20 of 20 rows")


def test_a_failed_round_is_named_and_not_tried_again(target: Nights) -> None:
    target.complete("r0001", rows=8, prompts=10)
    target.plan("r0002")
    run = target.run("r0002", RUN.FAILURE)
    for _ in range(3):
        sensed = target.sense(reach_target)
        assert sensed.requests == []
        assert f"r0002 failed or was stopped (run {run[:8]})" in sensed.skipped
    target.complete("r0002", rows=2, prompts=10)
    target.run("r0002", RUN.SUCCESS)
    assert [r.partition_key for r in target.sense(reach_target).requests] == ["r0003"]


def test_an_unfinished_round_is_finished_first(target: Nights) -> None:
    target.complete("r0001", rows=8, prompts=10)
    target.plan("r0002")
    requests = target.sense(reach_target).requests
    assert [(r.partition_key, r.tags["autoif/purpose"]) for r in requests] == [("r0002", "finish")]


def test_a_round_that_somebody_added_is_finished_within_the_limits_alone(
    target: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adding it is also what comes before launching it by hand."""
    monkeypatch.setenv("AUTOIF__TARGET__MAX_ROUNDS", "2")
    target.complete("r0001", rows=8, prompts=10)
    target.plan("r0002")
    requests = target.sense(reach_target).requests
    assert [r.partition_key for r in requests] == ["r0002"], "it is the second one itself"
    target.complete("r0001", rows=20, prompts=10)
    sensed = target.sense(reach_target)
    assert sensed.requests == []
    assert sensed.skipped.startswith("the target is reached")


@pytest.mark.parametrize("status", [RUN.STARTED, RUN.FAILURE])
def test_what_happens_to_tables_of_a_complete_round_stops_no_target(
    target: Nights, status: dg.DagsterRunStatus
) -> None:
    target.complete("r0001", rows=8, prompts=10)
    target.run("r0001", RUN.SUCCESS)
    target.run("r0001", status, job="__ASSET_JOB")
    requests = target.sense(reach_target).requests
    assert [r.partition_key for r in requests] == ["r0002"]


def test_a_refresh_of_a_failed_round_does_not_hide_its_failure(target: Nights) -> None:
    target.plan("r0001")
    run = target.run("r0001", RUN.FAILURE)
    target.run("r0001", RUN.SUCCESS, job="__ASSET_JOB", **{"autoif/purpose": "refresh"})
    sensed = target.sense(reach_target)
    assert sensed.requests == []
    assert f"r0001 failed or was stopped (run {run[:8]})" in sensed.skipped


def test_pairs_are_counted_where_they_are_wanted(
    target: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOIF__TARGET__OF", "dpo_pairs")
    target.complete("r0001", rows=30, prompts=10)
    assert "below target.min_yield = 0.01; 0 of 20 rows" in target.sense(reach_target).skipped


def test_a_complete_round_without_its_prompts_says_nothing_of_the_yield(target: Nights) -> None:
    target.complete("r0001")
    target.lake.path("reconstructed_queries", "r0001").unlink()
    assert [r.partition_key for r in target.sense(reach_target).requests] == ["r0002"]


def test_money_of_all_rounds_is_limited(target: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOIF__TARGET__MONEY", "0.25")
    monkeypatch.setenv("AUTOIF__PRICES__PROMPT", "1000")
    monkeypatch.setenv("AUTOIF__PRICES__COMPLETION", "4000")
    _note_tokens(target.lake)
    assert "target.money = 0.25 is spent (0.26)" in target.sense(reach_target).skipped


def test_tokens_of_all_rounds_are_limited(target: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOIF__TARGET__TOKENS", "100")
    target.complete("r0001", rows=8, prompts=10)
    assert len(target.sense(reach_target).requests) == 1
    _note_tokens(target.lake)
    assert "target.tokens = 100 are spent (110)" in target.sense(reach_target).skipped


def _note_tokens(lake: Lake) -> None:
    """60 read and 50 written."""
    generation = Generation(
        "g", "stage", "model", "[]", "{}", None, 0, "", None, "stop", 60, 50, 0.1, "now"
    )
    path = lake.home.lake / "generations" / "part.parquet"
    write_parquet(PARTS["generations"], path, [generation])


def test_a_schedule_that_dagster_does_not_know_names_the_field(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import autoif_dagster.automation"],
        env=clean_environment(tmp_path) | {"AUTOIF__ROUNDS__CRON": "0 24 * * *"},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1
    told = done.stderr.splitlines()[-1]
    assert "RecipeError: recipe demo: rounds.cron = '0 24 * * *': Found invalid cron" in told
