"""Functions and cases, executed against each other (paper, section 3.2)."""

import itertools
from collections.abc import Iterator

import dagster as dg

from assets.seeds import read_plan
from autoif_dagster import sql
from autoif_dagster.clients import ChatRequest
from autoif_dagster.lake import Lake, Session
from autoif_dagster.materialization import (
    Materialized,
    decision_asset,
    materialized,
    table_asset,
)
from autoif_dagster.progress import Reporter
from autoif_dagster.recipe import Recipe
from autoif_dagster.records import CaseVerdict
from autoif_dagster.resources import Supervisor, ask
from autoif_dagster.sandbox import Sandbox
from autoif_dagster.stages import verification as stage

_BLOCK = 64  # instructions whose two runs are compared at a time


@table_asset(
    group="verification",
    deps=["augmented_instructions", "round_plan"],
    fields=(
        "verification.functions",
        "verification.case_replies",
        "verification.cases_per_reply",
        "verification.near_misses",
        "verification.temperature",
        "verification.max_tokens",
    ),
    templates=["write_function", "write_cases"],
    asks_model=True,
)
def verifier_candidates(
    context: dg.AssetExecutionContext,
    recipe: dg.ResourceParam[Recipe],
    lake: dg.ResourceParam[Lake],
    supervisor: dg.ResourceParam[Supervisor],
    reporter: dg.ResourceParam[Reporter],
) -> Materialized:
    """What the supervisor wrote to verify each instruction, as it came."""
    with lake.session(context.partition_key) as session:
        session.scan("augmented_instructions")
        settings = recipe.verification
        count = session.count("SELECT count(*) FROM augmented_instructions")
        client = supervisor.for_stage("verifier_candidates")
        replies = ask(
            client,
            _requests(session, recipe, read_plan(session).random_seed),
            reporter,
            context,
            total=count * (settings.functions + settings.case_replies),
        )
        rows = (row for reply in replies for row in stage.read_reply(context.partition_key, reply))
        written = session.write_rows("verifier_candidates", rows)
        supervisor.publish()
        return materialized(context, session, written, client=client)


def _requests(session: Session, recipe: Recipe, seed: int) -> Iterator[ChatRequest]:
    for instruction_id, instruction in session.rows(
        "SELECT instruction_id, instruction FROM augmented_instructions ORDER BY instruction_id"
    ):
        yield from stage.requests(instruction_id, instruction, recipe, seed=seed)


@table_asset(
    group="verification",
    deps=["verifier_candidates"],
    fields=("sandbox.cpu_s_per_text", "sandbox.memory_mib"),
    queries=["instruction_verifiers"],
)
def case_verdicts(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    sandbox: dg.ResourceParam[Sandbox],
    reporter: dg.ResourceParam[Reporter],
) -> Materialized:
    """Every function runs on every case of its instruction, twice: the second run has another
    random seed and clock, and shows which functions depend on them."""
    with lake.session(context.partition_key) as session:
        session.scan("verifier_candidates")
        count = session.count(
            "SELECT count(DISTINCT instruction_id) FROM verifier_candidates WHERE failure IS NULL"
        )
        done = reporter.track(
            _case_verdicts(session, context.partition_key, sandbox),
            "case_verdicts",
            "instructions",
            total=count,
            log=context.log.info,
        )
        rows = itertools.chain.from_iterable(done)
        return materialized(context, session, session.write_rows("case_verdicts", rows))


def _case_verdicts(
    session: Session, round_key: str, sandbox: Sandbox
) -> Iterator[list[CaseVerdict]]:
    """The verdicts of one instruction at a time."""
    instructions = session.rows(sql.load("instruction_verifiers"), block=_BLOCK)
    while block := list(itertools.islice(instructions, _BLOCK)):
        programs = [(source, inputs) for _, _, sources, _, inputs in block for source in sources]
        # One after the other: two open runs would lease two sets of workers.
        first = iter(list(sandbox.run_detailed(programs)))
        second = iter(list(sandbox.run(programs, seed=1)))
        for instruction_id, function_ids, _, case_ids, _ in block:
            yield [
                CaseVerdict(
                    round=round_key,
                    instruction_id=instruction_id,
                    function_id=function_id,
                    case_id=case_id,
                    verdict=verdict.name,
                    second_verdict=repeated.name,
                    detail=result.detail,
                )
                for function_id, result, again in zip(function_ids, first, second, strict=False)
                for case_id, verdict, repeated in zip(case_ids, result.verdicts, again, strict=True)
            ]


verified_cases = decision_asset(
    "verified_cases",
    group="verification",
    deps=["verifier_candidates", "case_verdicts"],
    about="Kept if more than half of the compiled functions agree with it.",
    parameters={
        "min_cases": "verification.min_cases",
        "min_functions": "verification.min_functions",
        "case_agreement": "verification.case_agreement",
    },
    candidates="SELECT count(*) FROM verifier_candidates WHERE kind = 'case'",
)

verified_functions = decision_asset(
    "verified_functions",
    group="verification",
    deps=["verifier_candidates", "case_verdicts", "verified_cases"],
    about="Kept if it is right on the kept cases of its instruction, on either side of them.",
    parameters={
        "min_cases": "verification.min_cases",
        "min_functions": "verification.min_functions",
        "function_accuracy": "verification.function_accuracy",
        "side_accuracy": "verification.side_accuracy",
    },
    candidates="SELECT count(*) FROM verifier_candidates WHERE kind = 'function'",
)
