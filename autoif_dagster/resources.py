"""What a run works with, made once per run and shared by its steps: the recipe, the lake, the
supervisor behind its generation log, the NLI model, the sandbox, and where progress goes."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

import dagster as dg
from dagster._core.storage.tags import MAX_RETRIES_TAG

from autoif_dagster import liveness
from autoif_dagster.clients import ChatClient
from autoif_dagster.clients.log.batch import BatchClient, BatchModel, Folder
from autoif_dagster.clients.log.generation_log import GenerationLog
from autoif_dagster.clients.log.logged import LoggedClient
from autoif_dagster.clients.metering import Meter
from autoif_dagster.clients.simulated import SimulatedClient
from autoif_dagster.errors import LakeError
from autoif_dagster.generations import publish
from autoif_dagster.home import home_path, open_home
from autoif_dagster.lake import Lake
from autoif_dagster.nli import NliModel
from autoif_dagster.preflight import require_comparer, require_model
from autoif_dagster.progress import Reporter, console_if
from autoif_dagster.recipe import Recipe, load_recipe, recipe_hash, recipe_name
from autoif_dagster.sandbox import Sandbox
from autoif_dagster.stages.verification import make_sandbox

T = TypeVar("T")

CONSOLE_VARIABLE = "AUTOIF_CONSOLE"  # set by the command line: progress goes to the terminal too
AGAIN_VARIABLE = "AUTOIF_BATCH_AGAIN"  # set by it: what waits for results is written once more


class Supervisor:
    """The supervisor of a run: the client the recipe names, behind the generation log."""

    def __init__(
        self, client: ChatClient, log: GenerationLog, lake: Lake, meter: Meter | None = None
    ) -> None:
        self._client = client
        self._log = log
        self._lake = lake
        self._meter = meter or Meter()

    def for_stage(self, stage: str) -> LoggedClient:
        """A client that logs under this stage's name, counts what it asks and reuses, and spends of
        the run's budget."""
        if isinstance(self._client, BatchModel):
            home = self._lake.home
            return BatchClient(
                self._client,
                self._log,
                stage,
                self._meter,
                folder=Folder(home.batches, home.scratch),
                again=bool(os.environ.get(AGAIN_VARIABLE)),
            )
        return LoggedClient(self._client, self._log, stage, self._meter)

    def publish(self) -> None:
        """Put what the log holds and no part has yet into the views."""
        publish(self._lake.home)

    def close(self) -> None:
        self._client.close()


def make_client(recipe: Recipe) -> ChatClient:
    """The client that the recipe names.

    Raises:
        RecipeError: a field the client needs is not set.
    """
    require_model(recipe)
    if recipe.supervisor.client == "simulated":
        return SimulatedClient(recipe.simulator)
    if recipe.supervisor.client == "batch":
        return BatchModel(recipe.supervisor)
    if recipe.supervisor.client == "vllm":
        from autoif_dagster.clients.vllm import VllmClient

        return VllmClient(recipe.supervisor, recipe.vllm)
    from autoif_dagster.clients.openai import OpenAIClient

    return OpenAIClient(recipe.supervisor)


@dg.resource(description="The resolved recipe: AUTOIF_RECIPE and AUTOIF__SECTION__FIELD.")
def recipe_resource(context: dg.InitResourceContext) -> Recipe:
    """Every run needs it, and needs it first: here a run takes its lock, and its tags."""
    recipe = load_recipe()
    run, instance = context.run, context.instance
    if run is not None and instance is not None:
        liveness.hold(instance, run.run_id)
        instance.add_run_tags(run.run_id, run_tags(recipe, run))
    return recipe


def run_tags(recipe: Recipe, run: dg.DagsterRun) -> dict[str, str]:
    """What a run can be found by later, however it was launched; and that one of the command line
    is not tried again: the daemon knows no code to launch it from, and would leave it waiting."""
    found = {
        "autoif/recipe": f"{recipe_name()} {recipe_hash(recipe)[:8]}",
        "autoif/model": "simulated" if recipe.simulated else recipe.supervisor.model,
    }
    if key := run.tags.get("dagster/partition"):
        found["autoif/round"] = key
    if run.remote_job_origin is None:
        found[MAX_RETRIES_TAG] = "0"
    return found


@dg.resource(
    required_resource_keys={"recipe"}, description="The tables of AUTOIF_HOME, through DuckDB."
)
def lake_resource(context: dg.InitResourceContext) -> Lake:
    recipe: Recipe = context.resources.recipe
    home = open_home(home_path(), "simulated" if recipe.simulated else "real")
    return Lake(home, memory_mib=recipe.engine.memory_mib, threads=recipe.engine.threads)


@dg.resource(
    required_resource_keys={"recipe", "lake"},
    description="The model that writes data, behind the generation log.",
)
def supervisor_resource(context: dg.InitResourceContext) -> Iterator[Supervisor]:
    lake: Lake = context.resources.lake
    log = GenerationLog(lake.home.generation_log)
    recipe: Recipe = context.resources.recipe
    meter = Meter(recipe.budget, recipe.prices)
    supervisor = Supervisor(make_client(recipe), log, lake, meter)
    try:
        yield supervisor
    finally:
        supervisor.close()
        # Also what a stage asked for that did not come to its end. Where that fails there is a
        # worse error already, or the next run does it.
        with suppress(LakeError):
            supervisor.publish()


@dg.resource(
    required_resource_keys={"recipe"},
    description="Compares texts, where the recipe names an NLI model; loaded when it is needed.",
)
def nli_resource(context: dg.InitResourceContext) -> Iterator[NliModel]:
    recipe: Recipe = context.resources.recipe
    require_comparer(recipe)
    nli = NliModel(recipe.entailment)
    try:
        yield nli
    finally:
        nli.close()


@dg.resource(
    required_resource_keys={"recipe"}, description="Runs verification functions nobody trusts."
)
def sandbox_resource(context: dg.InitResourceContext) -> Iterator[Sandbox]:
    with make_sandbox(context.resources.recipe.sandbox) as sandbox:
        yield sandbox


@dg.resource(description="Where progress goes besides Dagster's log.")
def reporter_resource(_: dg.InitResourceContext) -> Reporter:
    return Reporter(console_if(bool(os.environ.get(CONSOLE_VARIABLE))))


RESOURCES = {
    "recipe": recipe_resource,
    "lake": lake_resource,
    "supervisor": supervisor_resource,
    "nli": nli_resource,
    "sandbox": sandbox_resource,
    "reporter": reporter_resource,
}


def watch(
    items: Iterable[T],
    unit: str,
    client: LoggedClient,
    reporter: Reporter,
    context: dg.AssetExecutionContext,
    *,
    total: int | None = None,
    more: Callable[[], str] = str,
) -> Iterator[T]:
    """Hand on what a stage makes of its model's replies, with progress in the log and on the
    console: how far it is, how the model gets on, and what `more` says."""
    return reporter.track(
        items,
        context.asset_key.to_user_string(),
        unit,
        total=total,
        log=context.log.info,
        more=lambda: "  ".join(filter(None, (client.pace.line(), more()))),
    )
