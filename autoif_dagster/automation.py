"""What adds rounds and refreshes tables by itself. All of it is off until somebody switches it on.

Whoever adds rounds finishes before it adds: a round that was stopped half-way is requested again,
and what it had asked the model for is in the log. So one of them alone never has two rounds open,
and a night that failed is made up for by the next one.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import dagster as dg

from autoif_dagster.errors import CallError, InputError, RecipeError
from autoif_dagster.home import home_path, open_home
from autoif_dagster.input_files import (
    QUERY_FILE,
    SEED_FILE,
    InputFile,
    Stamp,
    recorded_version,
)
from autoif_dagster.lake import Lake
from autoif_dagster.partitions import NAME, newest_round, next_round, rounds, taken_rounds
from autoif_dagster.recipe import Recipe, load_recipe, recipe_name
from autoif_dagster.targets import Outlook, SoFar, outlook, why_stop

Tick = Callable[[dg.ScheduleEvaluationContext], dg.RunRequest | dg.SkipReason]

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_WAITING = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED]
_PARTITION = "dagster/partition"
_ROUND, _PURPOSE = "autoif/round", "autoif/purpose"

_recipe = load_recipe()  # of the definitions: what is changed since then shows when they reload

synthesize = dg.define_asset_job(
    "synthesize",
    selection=dg.AssetSelection.all(),
    description="One round of the whole synthesis, from seeds to SFT data and DPO pairs.",
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How the newest round stands.

    `key` is None where there is no round; `run` is the last run of it, `is_running` whether that is
    still to end or to be tried again; `next_key` is None where no key is left.
    """

    key: str | None
    is_complete: bool
    run: dg.DagsterRun | None
    next_key: str | None
    rounds: int

    @classmethod
    def of(cls, instance: dg.DagsterInstance, lake: Lake) -> "Standing":
        taken = taken_rounds(instance, lake)
        key, run = newest_round(taken), None
        if key is not None:
            of_round = dg.RunsFilter(tags={_PARTITION: key})
            run = next(iter(instance.get_runs(of_round, limit=1)), None)
        try:
            following = next_round(taken)
        except CallError:
            following = None
        return cls(key, key in lake.complete_rounds(), run, following, len(taken))

    @property
    def is_running(self) -> bool:
        run = self.run
        return run is not None and (
            run.status in _UNFINISHED or run.is_complete_and_waiting_to_retry
        )

    @property
    def is_waiting(self) -> bool:
        """Whether its run has not begun: it will read the input files as they are then."""
        return self.run is not None and self.run.status in _WAITING

    @property
    def wanted(self) -> str | None:
        """The round to request: the newest one until it is complete, then the next."""
        return self.next_key if self.key is None or self.is_complete else self.key


def _no_key_left() -> str:
    return "no round key is left after r9999"


def _open_lake(recipe: Recipe) -> Lake:
    home = open_home(home_path(), "simulated" if recipe.simulated else "real")
    return Lake(home, memory_mib=recipe.engine.memory_mib, threads=recipe.engine.threads)


def _request(key: str, standing: Standing, run_key: str, **tags: str) -> dg.RunRequest:
    purpose = "finish" if key == standing.key else "add"
    return dg.RunRequest(
        run_key=run_key, partition_key=key, tags={_ROUND: key, _PURPOSE: purpose, **tags}
    )


def _at_rounds_cron(tick: Tick) -> dg.ScheduleDefinition:
    """The schedule of a tick. What cron takes is Dagster's to say; which field it is, ours."""
    try:
        return dg.schedule(
            name=tick.__name__,
            cron_schedule=_recipe.rounds.cron,
            execution_timezone=_recipe.rounds.timezone,
            job=synthesize,
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description="Adds a round and runs it, at the recipe's rounds.cron. A newest round "
            "that is not complete is requested again instead; one that is being made is left "
            "alone.",
        )(tick)
    except dg.DagsterInvalidDefinitionError as error:
        raise RecipeError(
            f"recipe {recipe_name()}: rounds.cron = {_recipe.rounds.cron!r}: {error}"
        ) from error


@_at_rounds_cron
def nightly_round(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One tick; evaluating it twice requests nothing twice."""
    standing = Standing.of(context.instance, _open_lake(load_recipe()))
    if standing.is_running:
        return dg.SkipReason(f"{standing.key} is being made, or waits for it")
    key = standing.wanted
    if key is None:
        return dg.SkipReason(_no_key_left())
    context.instance.add_dynamic_partitions(NAME, [key])
    at = context.scheduled_execution_time.isoformat(timespec="seconds")
    return _request(key, standing, f"{key} {at}")


@dg.sensor(
    name="watch_inputs",
    job=synthesize,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Tells Dagster when the recipe's seed or query file is new or another one, which "
    "shows what is Unsynced. With rounds.on_changed_files it also adds a round and runs it.",
)
def watch_inputs(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """One tick. A file is read only if its size or time changed since the last one."""
    recipe = load_recipe()
    seen: dict[str, list[object]] = json.loads(context.cursor or "{}")
    observed, changed, troubles = [], [], []
    for asset, path in ((SEED_FILE, recipe.seeds.path), (QUERY_FILE, recipe.queries.path)):
        try:
            stamp = Stamp.of(path)
            if seen.get(asset) == list(asdict(stamp).values()):
                continue
            file = InputFile.read(asset, path)
        except OSError as error:
            troubles.append(f"{path}: cannot be read: {error.strerror or error}")
            continue
        except InputError as error:
            troubles.append(str(error))
            continue
        seen[asset] = list(asdict(file.stamp).values())
        known = recorded_version(context.instance, asset)
        if known != file.version:
            observed.append(file.seen())
        if known not in (None, file.version):
            changed.append(path.name)
    cursor = json.dumps(seen)
    if changed and recipe.rounds.on_changed_files:
        standing = Standing.of(context.instance, _open_lake(recipe))
        key = standing.next_key
        if key is not None and not standing.is_waiting:
            request = _request(key, standing, key, **{"autoif/changed_files": ", ".join(changed)})
            return dg.SensorResult(
                run_requests=[request],
                dynamic_partitions_requests=[rounds.build_add_request([key])],
                asset_events=observed,
                cursor=cursor,
            )
        troubles.append(
            f"{standing.key} has not begun and will read them" if key else _no_key_left()
        )
    told = [*(f"{name} changed" for name in changed), *troubles]
    return dg.SensorResult(
        skip_reason="; ".join(told) or "nothing changed",
        asset_events=observed,
        cursor=cursor,
    )


@dg.sensor(
    name="reach_target",
    job=synthesize,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Adds rounds, one at a time, until all rounds together have the recipe's "
    "target.rows, or until a limit of [target] is reached or a round fails. Says in each tick how "
    "far it is and how many more rounds that takes.",
)
def reach_target(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """One tick."""
    recipe = load_recipe()
    lake = _open_lake(recipe)
    standing = Standing.of(context.instance, lake)
    so_far = read_so_far(lake, recipe, standing.rounds)
    view = outlook(recipe.target.rows, so_far.rows)
    cursor = json.dumps(asdict(view))

    def skip(why: str) -> dg.SensorResult:
        return dg.SensorResult(skip_reason=f"{why}; {view.told()}", cursor=cursor)

    if standing.is_running:
        return skip(f"{standing.key} is being made, or waits for it")
    if standing.run is not None and standing.run.is_failure_or_canceled:
        return skip(
            f"{standing.key} failed or was stopped (run {standing.run.run_id[:8]}): once it is "
            "materialized, this goes on"
        )
    is_unfinished = standing.key is not None and not standing.is_complete
    why = why_stop(recipe.target, so_far)
    if why is not None and not (is_unfinished and recipe.target.rows):
        return skip(why)
    key = standing.wanted
    if key is None:
        return skip(_no_key_left())
    run_key = f"{key} after {standing.run.run_id if standing.run else 'nothing'}"
    return dg.SensorResult(
        run_requests=[_request(key, standing, run_key, **_target_tags(view))],
        dynamic_partitions_requests=[rounds.build_add_request([key])],
        cursor=cursor,
    )


refresh = dg.AutomationConditionSensorDefinition(
    "refresh",
    target=dg.AssetSelection.all(),
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    run_tags={_PURPOSE: "refresh"},
    description="Makes decisions, exports and report again when what they are made from has new "
    "content, or their SQL or thresholds changed. Asks no model anything. Switch it on while "
    "nothing is Unsynced: it knows what happens from then on.",
)


def _target_tags(view: Outlook) -> dict[str, str]:
    tags = {"autoif/target": f"{view.have} of {view.want}"}
    if view.per_round is not None:
        tags["autoif/rows_per_round"] = f"{view.per_round:.0f}"
    if view.further_rounds is not None:
        tags["autoif/further_rounds"] = str(view.further_rounds)
    return tags


def read_so_far(lake: Lake, recipe: Recipe, all_rounds: int) -> SoFar:
    """What the complete rounds gave; what all cost only where the target limits it."""
    complete, target = lake.complete_rounds(), recipe.target
    with lake.session() as session:
        session.scan(target.of, rounds=complete, under="wanted")
        counted: dict[str, int] = dict(
            session.rows("SELECT round, count(*) FROM wanted GROUP BY round")
        )
        session.scan("reconstructed_queries", rounds=complete[-1:], under="prompts")
        prompts = session.count("SELECT count(*) FROM prompts")
        tokens, money = 0, 0.0
        generations = str(lake.home.lake / "generations").replace("'", "''")
        if target.tokens or target.money:
            read, written = next(
                session.rows(
                    "SELECT coalesce(sum(prompt_tokens), 0)::BIGINT, "
                    "coalesce(sum(completion_tokens), 0)::BIGINT "
                    f"FROM read_parquet('{generations}/*.parquet')"
                )
            )
            tokens = read + written
            money = (read * recipe.prices.prompt + written * recipe.prices.completion) / 1e6
    rows = tuple(counted.get(key, 0) for key in complete)
    return SoFar(rows, prompts, all_rounds, tokens, money)
