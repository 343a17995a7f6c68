"""A thing's verdicts once more: the same functions on the same texts, in the sandbox as it is now.

Verdicts of another sandbox (other limits, another version) may differ, and those of functions about
as slow as their limit; nothing else should.
"""

from itertools import groupby

from autoif_dagster.errors import AutoIFError, CallError
from autoif_dagster.explain.chapters import Chapter
from autoif_dagster.explain.reading import Row, Tables
from autoif_dagster.explain.stories import Story, Told
from autoif_dagster.recipe.fields import Sandbox as SandboxSettings
from autoif_dagster.sandbox import SandboxError
from autoif_dagster.stages.verification import make_sandbox

_STORED = """
WITH sides AS (SELECT unnest([chosen_id, rejected_id]) FROM dpo_pairs WHERE pair_id = $id),
stored AS (
    SELECT function_id, response_id AS item_id, verdict, sandbox FROM response_verdicts
    WHERE response_id = $id OR response_id IN (FROM sides)
    UNION ALL SELECT function_id, case_id, verdict, sandbox FROM case_verdicts
    WHERE $id IN (function_id, case_id) OR case_id IN (FROM sides)
),
texts AS (
    SELECT response_id AS item_id, response AS text FROM responses
    UNION ALL SELECT verifier_id, case_input FROM verifier_candidates WHERE kind = 'case'
)
SELECT function_id, item_id, verdict, sandbox, any_value(source) AS source, any_value(text) AS text
FROM stored JOIN texts USING (item_id)
JOIN verifier_candidates AS written ON written.verifier_id = function_id
GROUP BY ALL ORDER BY function_id, item_id
"""

_CHAPTER = Chapter("verified_again", "verifier_candidates", {}, "")


def verified_again(tables: Tables, story: Story, settings: SandboxSettings) -> Told:
    """Every stored verdict of a response, a pair's two texts, a case or a function, beside what the
    same function says of the same text now; `differ` counts those that say something else.

    Raises:
        CallError: the thing has no verdicts that could be run again.
        AutoIFError: the sandbox is broken, or a table damaged.
    """
    stored = tables.rows(_STORED, id=story.id)
    if not stored:
        raise CallError(
            f"{story.id} has no verdicts whose functions could run again; --verify is for "
            "responses, pairs, functions and cases that have some"
        )
    programs = [list(rows) for _, rows in groupby(stored, key=lambda row: row["function_id"])]
    try:
        with make_sandbox(settings) as sandbox:
            ran = sandbox.run(
                (str(rows[0]["source"]), [str(row["text"]) for row in rows]) for rows in programs
            )
            now = [verdict.name for verdicts in ran for verdict in verdicts]
    except SandboxError as error:
        raise AutoIFError(str(error)) from error
    told: list[Row] = [
        {
            "function_id": row["function_id"],
            "item_id": row["item_id"],
            "stored": row["verdict"],
            "now": verdict,
            "same_sandbox": row["sandbox"] == sandbox.fingerprint,
        }
        for row, verdict in zip(stored, now, strict=True)
    ]
    told.sort(key=lambda row: row["stored"] == row["now"])
    differ = sum(row["stored"] != row["now"] for row in told)
    return Told(_CHAPTER, True, {"all": len(told), "differ": differ}, tuple(told))
