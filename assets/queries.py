"""Reconstruction: prompts from verified instructions and real queries (paper, section 3.3)."""

import itertools
from collections.abc import Iterator

import dagster as dg

from assets.seeds import read_plan
from autoif_dagster.clients.log.logged import LoggedClient
from autoif_dagster.lake import Lake, Session
from autoif_dagster.materialization import table_asset
from autoif_dagster.progress import Reporter
from autoif_dagster.recipe import Recipe
from autoif_dagster.records import PromptRewrite
from autoif_dagster.resources import Supervisor, watch
from autoif_dagster.showing import Materialized, materialized
from autoif_dagster.stages import rewrites as stage
from autoif_dagster.stages.queries import draw

_BLOCK = 1_024  # prompts whose rewordings are checked at a time

_PROMPTS = """
SELECT prompt_id, instruction_id, instruction, query
FROM reconstructed_queries JOIN verified_instructions USING (instruction_id)
ORDER BY prompt_id
"""


@table_asset(
    group="responses",
    deps=["verified_instructions", "user_queries", "round_plan"],
    fields=("queries.per_instruction", "queries.max_uses", "queries.layout"),
)
def reconstructed_queries(
    context: dg.AssetExecutionContext,
    recipe: dg.ResourceParam[Recipe],
    lake: dg.ResourceParam[Lake],
) -> Materialized:
    """Queries that no round of the plan's past used come first, then the least used. A slot without
    a query is left where every query has served its share."""
    with lake.session(context.partition_key) as session:
        plan = read_plan(session)
        session.scan("verified_instructions")
        session.scan("user_queries")
        session.scan("reconstructed_queries", rounds=plan.past_rounds, under="past_prompts")
        past_uses: dict[str, int] = dict(
            session.rows("SELECT query_id, count(*) FROM past_prompts GROUP BY query_id")
        )
        queries: dict[str, str] = dict(session.rows("SELECT query_id, query FROM user_queries"))
        count = session.count("SELECT count(*) FROM verified_instructions")
        instructions = session.rows(
            "SELECT instruction_id, instruction FROM verified_instructions ORDER BY instruction_id"
        )
        written = session.write_rows(
            "reconstructed_queries",
            draw(plan, instructions, queries, recipe.queries, past_uses),
            candidates=count * recipe.queries.per_instruction,
        )
        return materialized(context, recipe, session, written)


@table_asset(
    group="responses",
    deps=["reconstructed_queries", "verified_instructions", "round_plan"],
    fields=(
        "queries.rewrite",
        "responses.temperature",
        "responses.max_tokens",
        "back_translation.temperature",
        "back_translation.max_tokens",
    ),
    templates=["rewrite_prompt", "check_rewrite"],
    asks_model=True,
)
def prompt_rewrites(
    context: dg.AssetExecutionContext,
    recipe: dg.ResourceParam[Recipe],
    lake: dg.ResourceParam[Lake],
    supervisor: dg.ResourceParam[Supervisor],
    reporter: dg.ResourceParam[Reporter],
) -> Materialized:
    """An option: each prompt is worded as one request, and checked for having kept both parts;
    where it has not, the plain prompt stays. Without the option there are no rows."""
    with lake.session(context.partition_key) as session:
        if not recipe.queries.rewrite:
            written = session.write_rows("prompt_rewrites", [])
            return materialized(context, recipe, session, written, may_be_empty=True)
        session.scan("reconstructed_queries")
        session.scan("verified_instructions")
        client = supervisor.for_stage("prompt_rewrites")
        count = session.count("SELECT count(*) FROM reconstructed_queries")
        rows = watch(
            _rewrites(session, context.partition_key, recipe, client),
            "prompts",
            client,
            reporter,
            context,
            total=count,
        )
        written = session.write_rows("prompt_rewrites", rows, candidates=count)
        supervisor.publish()
        session.scan("prompt_rewrites")
        taken = session.count("SELECT count(*) FROM prompt_rewrites WHERE failure IS NULL")
        return materialized(
            context, recipe, session, written, client=client, figures={"reworded_prompts": taken}
        )


def _rewrites(
    session: Session, round_key: str, recipe: Recipe, client: LoggedClient
) -> Iterator[PromptRewrite]:
    """Two replies for each prompt; the second is asked for only where code finds nothing lost."""
    prompts = session.rows(_PROMPTS)
    seed = read_plan(session).random_seed
    while block := list(itertools.islice(prompts, client.at_once(_BLOCK))):
        rewritten = {
            reply.request_id: reply
            for reply in client.complete(
                stage.rewrite_request(prompt_id, instruction, query, recipe, seed=seed)
                for prompt_id, _, instruction, query in block
            )
        }
        messages = {
            prompt_id: message
            for prompt_id, _, instruction, query in block
            if (message := stage.needs_check(instruction, query, rewritten[prompt_id])) is not None
        }
        checked = {
            reply.request_id: reply
            for reply in client.complete(
                stage.check_request(prompt_id, instruction, messages[prompt_id], recipe, seed=seed)
                for prompt_id, _, instruction, _ in block
                if prompt_id in messages
            )
        }
        for prompt_id, instruction_id, instruction, query in block:
            yield stage.prompt_rewrite(
                round_key,
                prompt_id,
                instruction_id,
                instruction,
                query,
                rewritten[prompt_id],
                checked.get(prompt_id),
            )
