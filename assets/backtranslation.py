"""Back-translation and entailment (paper, section 3.2), and the instructions that stand."""

import itertools
from collections.abc import Iterator

import dagster as dg

from assets.seeds import read_plan
from autoif_dagster.clients.log.logged import LoggedClient
from autoif_dagster.entailment import BackTranslator, Group
from autoif_dagster.imported import imported_words
from autoif_dagster.lake import Lake, Session
from autoif_dagster.materialization import decision_asset, table_asset
from autoif_dagster.nli import NliModel
from autoif_dagster.progress import Reporter
from autoif_dagster.recipe import Recipe
from autoif_dagster.records import BackTranslation
from autoif_dagster.resources import Supervisor, watch
from autoif_dagster.showing import Materialized, materialized

_BLOCK = 256  # instructions whose functions are translated and compared at a time

_INSTRUCTIONS = """
WITH ranked AS (
    SELECT
        functions.*,
        candidates.sample_index,
        row_number() OVER (
            PARTITION BY functions.instruction_id
            ORDER BY candidates.sample_index, candidates.position
        ) AS nth
    FROM verified_functions AS functions
    JOIN verifier_candidates AS candidates USING (candidate_id)
)

SELECT
    instruction_id,
    any_value(instruction) AS instruction,
    list(function_id ORDER BY nth) AS function_ids,
    list(source ORDER BY nth) AS sources
FROM ranked
JOIN augmented_instructions USING (instruction_id)
WHERE $max_functions = 0 OR nth <= $max_functions
GROUP BY instruction_id
ORDER BY instruction_id
"""

_READS = ("verified_functions", "verifier_candidates", "augmented_instructions")


@table_asset(
    group="verification",
    deps=[*_READS, "round_plan"],
    fields=(
        "back_translation.together",
        "back_translation.max_functions",
        "back_translation.attempts",
        "back_translation.retry_temperature",
        "back_translation.temperature",
        "back_translation.max_tokens",
        "entailment.by",
        "entailment.model",
        "entailment.revision",
        "entailment.dtype",
    ),
    templates=["back_translate", "back_translate_together", "entailment"],
    asks_model=True,
)
def back_translations(
    context: dg.AssetExecutionContext,
    recipe: dg.ResourceParam[Recipe],
    lake: dg.ResourceParam[Lake],
    supervisor: dg.ResourceParam[Supervisor],
    nli: dg.ResourceParam[NliModel],
    reporter: dg.ResourceParam[Reporter],
) -> Materialized:
    """The supervisor puts functions into words, each in a call of its own or an instruction's
    together; an NLI model or the supervisor compares them with their instruction."""
    comparer = nli if recipe.compared_by == "nli" else None
    with lake.session(context.partition_key) as session:
        for name in _READS:
            session.scan(name)
        client = supervisor.for_stage("back_translations")
        limit = {"max_functions": recipe.back_translation.max_functions}
        rows = watch(
            _translations(session, context.partition_key, recipe, client, comparer),
            "functions",
            client,
            reporter,
            context,
            total=session.count(
                f"SELECT coalesce(sum(len(function_ids)), 0) FROM ({_INSTRUCTIONS})", limit
            ),
            more=nli.line,
        )
        written = session.write_rows("back_translations", rows)
        supervisor.publish()
        figures = _figures(comparer)
        return materialized(context, recipe, session, written, client=client, figures=figures)


def _translations(
    session: Session,
    round_key: str,
    recipe: Recipe,
    client: LoggedClient,
    nli: NliModel | None,
) -> Iterator[BackTranslation]:
    """A row per function; the words that the round's file has are used as they are."""
    seed = read_plan(session).random_seed
    known = imported_words(session)
    translator = BackTranslator(client, recipe, round_key, seed, known, nli)
    instructions = session.rows(
        _INSTRUCTIONS, {"max_functions": recipe.back_translation.max_functions}
    )
    while block := list(itertools.islice(instructions, client.at_once(_BLOCK))):
        yield from translator.rows(
            [
                Group(instruction_id, text, dict(zip(function_ids, sources, strict=True)))
                for instruction_id, text, function_ids, sources in block
            ]
        )


def _figures(nli: NliModel | None) -> dict[str, float | str]:
    """What compared, how fast, and how many pairs were too long for it."""
    if nli is None:
        return {"compared_by": "supervisor"}
    if not nli.is_loaded:
        return {"compared_by": "nothing to compare"}
    return {
        "compared_by": nli.fingerprint,
        "compared_pairs": nli.tally.pairs,
        "pairs_per_second": nli.tally.pairs_per_second,
        "truncated_pairs": nli.tally.truncated,
    }


faithful_functions = decision_asset(
    "faithful_functions",
    group="verification",
    deps=["verified_functions", "back_translations"],
    about="Falls if its back-translation contradicts its instruction, or cannot be compared; or "
    "with another function of its instruction, if the recipe says so.",
    candidates="SELECT count(*) FROM verified_functions",
)

verified_instructions = decision_asset(
    "verified_instructions",
    group="verification",
    deps=["augmented_instructions", "verified_cases", "verified_functions", "faithful_functions"],
    about="Kept with a faithful function and kept cases, on both sides if the recipe says so.",
    candidates="SELECT count(*) FROM augmented_instructions",
)
