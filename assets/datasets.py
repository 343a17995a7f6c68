"""What trainers take: SFT rows and DPO pairs at both levels (paper, section 3.4)."""

import dagster as dg

from autoif_dagster import sql
from autoif_dagster.lake import Lake
from autoif_dagster.materialization import Materialized, materialized, table_asset
from autoif_dagster.recipe import Recipe


@table_asset(group="datasets", deps=["filtered_responses"], queries=["sft_dataset"])
def sft_dataset(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> Materialized:
    """One answer per prompt, so that easy prompts do not crowd out hard ones."""
    with lake.session(context.partition_key) as session:
        session.scan("filtered_responses")
        written = session.write_sql(
            "sft_dataset",
            sql.load("sft_dataset"),
            candidates="SELECT count(*) FROM filtered_responses",
        )
        return materialized(context, session, written)


@table_asset(
    group="datasets",
    deps=[
        "sft_dataset",
        "filtered_responses",
        "case_verdicts",
        "verified_cases",
        "faithful_functions",
        "verified_instructions",
    ],
    fields=("dpo", "responses.quorum", "verification.case_agreement"),
    queries=["dpo_pairs"],
)
def dpo_pairs(
    context: dg.AssetExecutionContext,
    recipe: dg.ResourceParam[Recipe],
    lake: dg.ResourceParam[Lake],
) -> Materialized:
    """Prompt-level pairs of two responses, and a few instruction-level pairs of two cases."""
    with lake.session(context.partition_key) as session:
        for name in ("sft_dataset", "filtered_responses", "case_verdicts", "verified_cases"):
            session.scan(name)
        for name in ("faithful_functions", "verified_instructions"):
            session.scan(name)
        session.scan("filtered_responses", under="filtered_responses_candidates", candidates=True)
        written = session.write_sql(
            "dpo_pairs",
            sql.load("dpo_pairs"),
            recipe.dpo.model_dump()
            | {
                "quorum": recipe.responses.quorum,
                "case_agreement": recipe.verification.case_agreement,
            },
        )
        session.scan("dpo_pairs")
        levels: dict[str, int] = dict(
            session.rows("SELECT level, count(*) FROM dpo_pairs GROUP BY level")
        )
        return materialized(
            context,
            session,
            written,
            prompt_level=levels.get("prompt", 0),
            instruction_level=levels.get("instruction", 0),
        )
