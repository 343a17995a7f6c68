"""A thing's verdicts once more: the same functions on the same texts, in the sandbox as it is now.

Verdicts of another sandbox (other limits, another version) may differ, and those of functions about
as slow as their limit; nothing else should.
"""

from itertools import groupby

from autoif_dagster.errors import AutoIFError, CallError
from autoif_dagster.explain.chapters import Chapter, listed
from autoif_dagster.explain.reading import Row, Tables
from autoif_dagster.explain.stories import Story
from autoif_dagster.recipe.fields import Sandbox as SandboxSettings
from autoif_dagster.sandbox import SandboxError
from autoif_dagster.stages.verification import make_sandbox

_ON_RESPONSES = """
SELECT stored.function_id, stored.response_id AS item_id, stored.verdict, stored.sandbox,
    any_value(written.source) AS source, any_value(answered.response) AS text
FROM response_verdicts AS stored
JOIN verifier_candidates AS written ON written.verifier_id = stored.function_id
JOIN responses AS answered ON answered.response_id = stored.response_id
WHERE list_contains($ids, stored.response_id)
GROUP BY ALL
ORDER BY stored.function_id, stored.response_id
"""

_ON_CASES = """
SELECT stored.function_id, stored.case_id AS item_id, stored.verdict, stored.sandbox,
    any_value(written.source) AS source, any_value(cases.case_input) AS text
FROM case_verdicts AS stored
JOIN verifier_candidates AS written ON written.verifier_id = stored.function_id
JOIN verifier_candidates AS cases ON cases.verifier_id = stored.case_id
WHERE list_contains($ids, stored.{column})
GROUP BY ALL
ORDER BY stored.function_id, stored.case_id
"""


def verified_again(tables: Tables, story: Story, settings: SandboxSettings) -> Chapter:
    """Every stored verdict of a response, a pair's two texts, a case or a function, beside what the
    same function says of the same text now; `differ` counts those that say something else.

    Raises:
        CallError: the thing has no verdicts that could be run again.
        AutoIFError: the sandbox is broken, or a table damaged.
    """
    stored = _stored(tables, story)
    if not stored:
        raise CallError(
            f"{story.id} has no verdicts whose functions could run again; --verify is for "
            "responses, pairs, functions and cases that have some"
        )
    programs = [list(rows) for _, rows in groupby(stored, key=lambda row: row["function_id"])]
    try:
        with make_sandbox(settings) as sandbox:
            verdicts = sandbox.run(
                (str(rows[0]["source"]), [str(row["text"]) for row in rows]) for rows in programs
            )
            told: list[Row] = [
                {
                    "function_id": row["function_id"],
                    "item_id": row["item_id"],
                    "stored": row["verdict"],
                    "now": verdict.name,
                    "same_sandbox": row["sandbox"] == sandbox.fingerprint,
                }
                for rows, said in zip(programs, verdicts, strict=True)
                for row, verdict in zip(rows, said, strict=True)
            ]
    except SandboxError as error:
        raise AutoIFError(str(error)) from error
    differ = sum(row["stored"] != row["now"] for row in told)
    told.sort(key=lambda row: row["stored"] == row["now"])
    counts = {"all": len(told), "differ": differ}
    return listed("verified_again", told, None, counts=counts)


def _stored(tables: Tables, story: Story) -> list[Row]:
    """Stored verdicts with the sources and texts that they are of."""
    item = story.id
    if story.kind == "candidate":
        found = tables.row(
            "SELECT verifier_id FROM verifier_candidates WHERE candidate_id = $id", id=item
        )
        item = str(found["verifier_id"]) if found else item
    ids = [item]
    if story.kind == "pair":
        row = tables.row(
            "SELECT chosen_id, rejected_id FROM dpo_pairs WHERE pair_id = $id", id=item
        )
        ids = [str(i) for i in row.values() if i is not None] if row else []
    rows = tables.rows(_ON_RESPONSES, ids=[i for i in ids if i.startswith("rsp_")])
    for column, prefix in (("case_id", "cas_"), ("function_id", "fun_")):
        if of := [i for i in ids if i.startswith(prefix)]:
            rows += tables.rows(_ON_CASES.format(column=column), ids=of)
    return rows
