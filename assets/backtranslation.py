"""Back-translation and entailment (paper, section 3.2), and the instructions that stand."""

import itertools
from collections.abc import Iterator

import dagster as dg

from assets.seeds import read_plan
from autoif_dagster.clients.generation_log import LoggedClient
from autoif_dagster.lake import Lake, Session
from autoif_dagster.materialization import (
    Materialized,
    decision_asset,
    materialized,
    table_asset,
)
from autoif_dagster.progress import Reporter
from autoif_dagster.recipe import Recipe
from autoif_dagster.records import BackTranslation
from autoif_dagster.resources import Supervisor
from autoif_dagster.stages import backtranslation as stage

_BLOCK = 1_024  # functions whose translations are compared at a time

_FUNCTIONS = """
SELECT function_id, instruction_id, source, instruction
FROM verified_functions JOIN augmented_instructions USING (instruction_id)
ORDER BY function_id
"""


@table_asset(
    group="verification",
    deps=["verified_functions", "augmented_instructions", "round_plan"],
    fields=(
        "back_translation.temperature",
        "back_translation.max_tokens",
    ),
    templates=["back_translate", "entailment"],
    asks_model=True,
)
def back_translations(
    context: dg.AssetExecutionContext,
    recipe: dg.ResourceParam[Recipe],
    lake: dg.ResourceParam[Lake],
    supervisor: dg.ResourceParam[Supervisor],
    reporter: dg.ResourceParam[Reporter],
) -> Materialized:
    """Each function is put into words in a call of its own; entailment is judged by the
    supervisor."""
    with lake.session(context.partition_key) as session:
        session.scan("verified_functions")
        session.scan("augmented_instructions")
        client = supervisor.for_stage("back_translations")
        rows = reporter.track(
            _translations(session, context.partition_key, recipe, client),
            "back_translations",
            "functions",
            total=session.count("SELECT count(*) FROM verified_functions"),
            log=context.log.info,
        )
        written = session.write_rows("back_translations", rows)
        supervisor.publish()
        return materialized(context, session, written, client=client)


def _translations(
    session: Session, round_key: str, recipe: Recipe, client: LoggedClient
) -> Iterator[BackTranslation]:
    """Two replies for each function; the second is asked for only where the first can be read."""
    functions = session.rows(_FUNCTIONS)
    seed = read_plan(session).random_seed
    while block := list(itertools.islice(functions, _BLOCK)):
        translations = {
            reply.request_id: reply
            for reply in client.complete(
                stage.translate_request(function_id, source, recipe, seed=seed)
                for function_id, _, source, _ in block
            )
        }
        words = {
            function_id: said
            for function_id, reply in translations.items()
            if (said := stage.read_translation(reply)) is not None
        }
        labels = {
            reply.request_id: reply
            for reply in client.complete(
                stage.entailment_request(
                    function_id, instruction, words[function_id], recipe, seed=seed
                )
                for function_id, _, _, instruction in block
                if function_id in words
            )
        }
        for function_id, instruction_id, _, _ in block:
            yield stage.back_translation(
                round_key,
                function_id,
                instruction_id,
                translations[function_id],
                labels.get(function_id),
            )


faithful_functions = decision_asset(
    "faithful_functions",
    group="verification",
    deps=["verified_functions", "back_translations"],
    about="Falls if its back-translation contradicts its instruction, or cannot be compared.",
    parameters={"max_contradiction": "back_translation.max_contradiction"},
    candidates="SELECT count(*) FROM verified_functions",
)

verified_instructions = decision_asset(
    "verified_instructions",
    group="verification",
    deps=["augmented_instructions", "verified_cases", "verified_functions", "faithful_functions"],
    about="Kept with a faithful function and kept cases on both sides.",
    candidates="SELECT count(*) FROM augmented_instructions",
)
