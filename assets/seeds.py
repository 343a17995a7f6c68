"""What the user brings, and what a round may know of its past."""

import dagster as dg

from autoif_dagster import ids
from autoif_dagster.lake import Lake, Session
from autoif_dagster.materialization import Materialized, materialized, table_asset
from autoif_dagster.recipe import Recipe
from autoif_dagster.records import RoundPlan
from autoif_dagster.stages.query_files import read_queries
from autoif_dagster.stages.seeds import read_seeds

_MOST_EXAMPLES = 1_000


@table_asset(group="inputs")
def seed_instructions(
    context: dg.AssetExecutionContext,
    recipe: dg.ResourceParam[Recipe],
    lake: dg.ResourceParam[Lake],
) -> Materialized:
    """Hand-written constraints that code can check; every round grows from them."""
    with lake.session() as session:
        seeds = read_seeds(recipe.seeds.path)
        written = session.write_rows("seed_instructions", seeds)
        kinds = len({seed.kind for seed in seeds})
        return materialized(
            context,
            recipe,
            session,
            written,
            figures={"kinds": kinds, "source": str(recipe.seeds.path)},
        )


@table_asset(
    group="inputs",
    fields=(
        "queries.field",
        "queries.min_chars",
        "queries.max_chars",
        "queries.language",
        "queries.distinct",
    ),
)
def user_queries(
    context: dg.AssetExecutionContext,
    recipe: dg.ResourceParam[Recipe],
    lake: dg.ResourceParam[Lake],
) -> Materialized:
    """What users really asked; rows that cannot be used are kept out with a reason."""
    with lake.session() as session:
        written = session.write_rows("user_queries", read_queries(recipe.queries))
        return materialized(
            context, recipe, session, written, figures={"source": str(recipe.queries.path)}
        )


@table_asset(group="inputs")
def round_plan(
    context: dg.AssetExecutionContext,
    recipe: dg.ResourceParam[Recipe],
    lake: dg.ResourceParam[Lake],
) -> Materialized:
    """Read from the lake, not from the graph, since a round that depended on earlier rounds of its
    own tables would be a cycle. Frozen when first made, the recipe's seed included: materializing
    it again changes nothing, so an old round keeps its draws and its examples. (Whether a candidate
    repeats an earlier round is judged by the earlier rounds' tables as they stand.)"""
    with lake.session(context.partition_key) as session:
        if lake.path("round_plan", context.partition_key).exists():
            plan = read_plan(session)
        else:
            plan = _plan(session, context.partition_key, recipe)
        written = session.write_rows("round_plan", [plan])
        return materialized(
            context, recipe, session, written, figures={"past_rounds": len(plan.past_rounds)}
        )


def _plan(session: Session, round_key: str, recipe: Recipe) -> RoundPlan:
    past = [key for key in session.lake.complete_rounds() if key < round_key]
    session.scan("verified_instructions", rounds=past, under="past_verified")
    verified: dict[str, str] = dict(
        session.rows(
            # An imported one may be verified by nothing that we know, or be a whole prompt.
            "SELECT DISTINCT instruction_id, instruction FROM past_verified WHERE functions > 0"
        )
    )
    seed = ids.stable_seed(recipe.seed, "round", round_key)
    drawn = ids.rng(seed, "examples").sample(sorted(verified), min(_MOST_EXAMPLES, len(verified)))
    return RoundPlan(round_key, seed, past, drawn, [verified[i] for i in drawn], [], None)


def read_plan(session: Session) -> RoundPlan:
    """The plan of the session's round."""
    session.scan("round_plan")
    columns = "round, random_seed, past_rounds, example_ids, examples, imported, imported_from"
    return RoundPlan(*next(session.rows(f"SELECT {columns} FROM round_plan")))
