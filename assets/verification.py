"""Functions and cases, executed against each other (paper, section 3.2)."""

import itertools
from collections.abc import Iterator
from typing import Any

import dagster as dg

from autoif_dagster import sql
from autoif_dagster.clients import ChatRequest
from autoif_dagster.lake import Lake, Session
from autoif_dagster.materialization import Materialized, materialized, table_asset
from autoif_dagster.progress import Reporter
from autoif_dagster.recipe import Recipe
from autoif_dagster.records import CaseVerdict
from autoif_dagster.resources import Supervisor, ask
from autoif_dagster.sandbox import Sandbox
from autoif_dagster.stages import verification as stage

_BLOCK = 64  # instructions whose two runs are compared at a time


@table_asset(
    group="verification",
    deps=["augmented_instructions"],
    fields=(
        "seed",
        "supervisor.client",
        "supervisor.model",
        "supervisor.top_p",
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
        count = int(session.value("SELECT count(*) FROM augmented_instructions"))
        client = supervisor.for_stage("verifier_candidates")
        replies = ask(
            client,
            _requests(session, recipe),
            reporter,
            context,
            total=count * (settings.functions + settings.case_replies),
        )
        rows = (row for reply in replies for row in stage.read_reply(context.partition_key, reply))
        written = session.write_rows("verifier_candidates", rows)
        supervisor.publish()
        return materialized(context, session, written, client=client)


def _requests(session: Session, recipe: Recipe) -> Iterator[ChatRequest]:
    for instruction_id, instruction in session.rows(
        "SELECT instruction_id, instruction FROM augmented_instructions ORDER BY instruction_id"
    ):
        yield from stage.requests(instruction_id, instruction, recipe)


@table_asset(
    group="verification",
    deps=["verifier_candidates"],
    fields=("sandbox.cpu_s_per_text", "sandbox.memory_mib"),
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
        instructions = session.rows(sql.load("instruction_verifiers"))
        count = int(
            session.value(
                "SELECT count(DISTINCT instruction_id) FROM verifier_candidates "
                "WHERE failure IS NULL"
            )
        )
        tracked = reporter.track(
            instructions, "case_verdicts", "instructions", total=count, log=context.log.info
        )
        rows = _case_verdicts(tracked, context.partition_key, sandbox)
        written = session.write_rows("case_verdicts", rows)
        return materialized(context, session, written)


def _case_verdicts(
    instructions: Iterator[tuple[Any, ...]], round_key: str, sandbox: Sandbox
) -> Iterator[CaseVerdict]:
    while block := list(itertools.islice(instructions, _BLOCK)):
        programs = [(source, inputs) for _, _, sources, _, inputs in block for source in sources]
        first = sandbox.run_detailed(programs)
        second = sandbox.run(programs, seed=1)
        for instruction_id, function_ids, _, case_ids, _ in block:
            for function_id in function_ids:
                result, again = next(first), next(second)
                for case_id, verdict, repeated in zip(
                    case_ids, result.verdicts, again, strict=True
                ):
                    yield CaseVerdict(
                        round_key,
                        instruction_id,
                        function_id,
                        case_id,
                        verdict.name,
                        repeated.name,
                        result.detail,
                    )


@table_asset(
    group="verification",
    deps=["verifier_candidates", "case_verdicts"],
    fields=(
        "verification.min_cases",
        "verification.min_functions",
        "verification.case_agreement",
    ),
    queries=["verified_cases"],
)
def verified_cases(
    context: dg.AssetExecutionContext,
    recipe: dg.ResourceParam[Recipe],
    lake: dg.ResourceParam[Lake],
) -> Materialized:
    """Kept if more than half of the compiled functions agree with it."""
    settings = recipe.verification
    with lake.session(context.partition_key) as session:
        session.scan("verifier_candidates")
        session.scan("case_verdicts")
        written = session.write_sql(
            "verified_cases",
            sql.load("verified_cases"),
            {
                "min_cases": settings.min_cases,
                "min_functions": settings.min_functions,
                "case_agreement": settings.case_agreement,
            },
            candidates="SELECT count(*) FROM verifier_candidates WHERE kind = 'case'",
        )
        return materialized(context, session, written)


@table_asset(
    group="verification",
    deps=["verifier_candidates", "case_verdicts", "verified_cases"],
    fields=(
        "verification.min_cases",
        "verification.min_functions",
        "verification.function_accuracy",
        "verification.side_accuracy",
    ),
    queries=["verified_functions"],
)
def verified_functions(
    context: dg.AssetExecutionContext,
    recipe: dg.ResourceParam[Recipe],
    lake: dg.ResourceParam[Lake],
) -> Materialized:
    """Kept if it is right on the kept cases of its instruction, on either side of them."""
    settings = recipe.verification
    with lake.session(context.partition_key) as session:
        session.scan("verifier_candidates")
        session.scan("case_verdicts")
        session.scan("verified_cases", under="verified_cases_candidates", candidates=True)
        written = session.write_sql(
            "verified_functions",
            sql.load("verified_functions"),
            {
                "min_cases": settings.min_cases,
                "min_functions": settings.min_functions,
                "function_accuracy": settings.function_accuracy,
                "side_accuracy": settings.side_accuracy,
            },
            candidates="SELECT count(*) FROM verifier_candidates WHERE kind = 'function'",
        )
        return materialized(context, session, written)
