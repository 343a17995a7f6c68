"""Augmentation: more instructions from seeds (paper, section 3.1)."""

import math
from collections.abc import Iterator
from dataclasses import replace

import dagster as dg

from assets.seeds import read_plan
from autoif_dagster.clients.generation_log import LoggedClient
from autoif_dagster.lake import Lake, Session
from autoif_dagster.materialization import Materialized, materialized, table_asset
from autoif_dagster.progress import Reporter
from autoif_dagster.recipe import Recipe
from autoif_dagster.records import AugmentedInstruction, RoundPlan, SeedInstruction
from autoif_dagster.resources import Supervisor
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
    """Seeds new to the round's past, then self-instruct until the target; repeats of the round or
    of its past are rejected."""
    with lake.session(context.partition_key) as session:
        plan = read_plan(session)
        client = supervisor.for_stage(stage.STAGE)
        rows = reporter.track(
            _augment(session, plan, recipe, client),
            "augmented_instructions",
            "candidates",
            log=context.log.info,
        )
        written = session.write_rows("augmented_instructions", rows)
        supervisor.publish()
        missing = max(0, recipe.augmentation.target - (written.kept - _kept_seeds(session)))
        return materialized(
            context, session, written, client=client, figures={"missing_to_target": missing}
        )


def _kept_seeds(session: Session) -> int:
    session.scan("augmented_instructions")
    return session.count("SELECT count(*) FROM augmented_instructions WHERE origin = 'seed'")


def _augment(
    session: Session, plan: RoundPlan, recipe: Recipe, client: LoggedClient
) -> Iterator[AugmentedInstruction]:
    """Candidates in the order in which they are decided on: seeds, then calls by their index."""
    settings = recipe.augmentation
    known = stage.DuplicateFilter(settings)
    session.scan("augmented_instructions", rounds=plan.past_rounds, under="past")
    old = set()
    for instruction_id, text, round_key in session.rows(
        "SELECT instruction_id, instruction, round FROM past ORDER BY round, instruction_id"
    ):
        known.remember(text, f"{instruction_id} of {round_key}")
        old.add(instruction_id)
    session.scan("seed_instructions")
    seeds = [
        SeedInstruction(*row)
        for row in session.rows(
            "SELECT instruction_id, instruction, kind, line FROM seed_instructions ORDER BY line"
        )
    ]
    texts = {seed.instruction_id: seed.instruction for seed in seeds}
    texts |= dict(zip(plan.example_ids, plan.examples, strict=True))
    for row in stage.seed_rows(plan, [s for s in seeds if s.instruction_id not in old]):
        yield _decided(row, known)

    missing, asked = settings.target, 0
    seed_ids = [seed.instruction_id for seed in seeds]
    while missing > 0 and asked < settings.max_replies:
        wanted = math.ceil(missing * _SPARE / settings.per_reply)
        block = range(asked, min(asked + wanted, settings.max_replies))
        calls = {f"{plan.round}/{i}": stage.draw_call(plan, i, seed_ids, settings) for i in block}
        asked = block.stop
        replies = client.complete(
            stage.request(call, plan, texts, recipe) for call in calls.values()
        )
        # What repeats what depends on the order, so a block's replies are put back into theirs.
        for completion in sorted(replies, key=lambda c: calls[c.request_id].index):
            for row in stage.read_reply(calls[completion.request_id], plan, completion):
                if row.reason is None and missing <= 0:
                    yield replace(row, reason="beyond_target", detail=f"target {settings.target}")
                    continue
                decided = _decided(row, known)
                missing -= decided.reason is None
                yield decided


def _decided(row: AugmentedInstruction, known: stage.DuplicateFilter) -> AugmentedInstruction:
    if row.reason is not None:
        return row
    fallen = known.judge(row.instruction)
    return row if fallen is None else replace(row, reason=fallen[0], detail=fallen[1])
