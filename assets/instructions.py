"""Augmentation: more instructions from seeds (paper, section 3.1)."""

import math
from collections.abc import Iterable, Iterator, Mapping

import dagster as dg

from assets.seeds import read_plan
from autoif_dagster.clients import ChatRequest, Completion
from autoif_dagster.clients.log.logged import LoggedClient
from autoif_dagster.lake import Lake, Session
from autoif_dagster.materialization import table_asset
from autoif_dagster.progress import Reporter
from autoif_dagster.recipe import Recipe
from autoif_dagster.records import AugmentedInstruction, RoundPlan, SeedInstruction
from autoif_dagster.resources import Supervisor, watch
from autoif_dagster.showing import Materialized, materialized
from autoif_dagster.stages import instructions as stage

_SPARE = 1.25  # lines asked for beyond what is missing, since some repeat or cannot be used


@table_asset(
    group="instructions",
    deps=["seed_instructions", "round_plan"],
    fields=("augmentation",),
    templates=["self_instruct"],
    asks_model=True,
)
def augmented_instructions(
    context: dg.AssetExecutionContext,
    recipe: dg.ResourceParam[Recipe],
    lake: dg.ResourceParam[Lake],
    supervisor: dg.ResourceParam[Supervisor],
    reporter: dg.ResourceParam[Reporter],
) -> Materialized:
    """Seeds new to the round's past, then self-instruct until the target, if there is one; repeats
    of the round or of its past and what no code can check are rejected."""
    with lake.session(context.partition_key) as session:
        plan = read_plan(session)
        client = supervisor.for_stage(stage.STAGE)
        rows = watch(
            _augment(session, plan, recipe, client), "candidates", client, reporter, context
        )
        written = session.write_rows("augmented_instructions", rows)
        supervisor.publish()
        new = written.kept - _kept_seeds(session)
        missing = max(0, recipe.augmentation.target - new)
        return materialized(
            context, recipe, session, written, client=client, figures={"missing_to_target": missing}
        )


def _kept_seeds(session: Session) -> int:
    session.scan("augmented_instructions")
    return session.count("SELECT count(*) FROM augmented_instructions WHERE origin = 'seed'")


def _augment(
    session: Session, plan: RoundPlan, recipe: Recipe, client: LoggedClient
) -> Iterator[AugmentedInstruction]:
    """Candidates in the order in which they are decided on: seeds, then calls by their index."""
    settings = recipe.augmentation
    gate = stage.Gate(settings)
    session.scan("augmented_instructions", rounds=plan.past_rounds, under="past")
    session.scan("seed_instructions")
    if settings.duplicates != "none":
        for text, key in session.rows(
            "SELECT instruction, round FROM past ORDER BY round, instruction_id"
        ):
            gate.remember(text, key)
    texts, new = {}, []
    for *seed, is_old in session.rows(
        "SELECT instruction_id, instruction, kind, line, "
        "instruction_id IN (SELECT instruction_id FROM past) FROM seed_instructions ORDER BY line"
    ):
        row = SeedInstruction(*seed)
        texts[row.instruction_id] = row.instruction
        if not is_old:
            new.append(row)
    seed_ids = list(texts)
    texts |= dict(zip(plan.example_ids, plan.examples, strict=True))
    yield from map(gate.decide, stage.seed_rows(plan, new))

    asked = 0
    while asked < settings.max_replies and (gate.missing or not settings.target):
        wanted = settings.max_replies - asked
        if settings.target:
            wanted = min(wanted, math.ceil(gate.missing * _SPARE / settings.per_reply))
        block = range(asked, asked + wanted)
        asked = block.stop
        calls = (stage.draw_call(plan, i, seed_ids, settings) for i in block)
        for call, completion in _in_order(client, calls, block.start, plan, texts, recipe):
            yield from map(gate.decide, stage.read_reply(call, plan, completion))


def _in_order(
    client: LoggedClient,
    calls: Iterable[stage.Call],
    first: int,
    plan: RoundPlan,
    texts: Mapping[str, str],
    recipe: Recipe,
) -> Iterator[tuple[stage.Call, Completion]]:
    """The calls with their replies, from index `first` on: what repeats what depends on the order.
    Only what came early or is being asked for is held."""
    open_calls: dict[str, stage.Call] = {}
    early: dict[str, Completion] = {}

    def asking() -> Iterator[ChatRequest]:
        for call in calls:
            request = stage.request(call, plan, texts, recipe)
            open_calls[request.request_id] = call
            yield request

    for completion in client.complete(asking()):
        early[completion.request_id] = completion
        while (next_id := stage.request_id(plan, first)) in early:
            yield open_calls.pop(next_id), early.pop(next_id)
            first += 1
