"""What is told of an instruction, its functions and cases, a prompt, a response, a pair.

A chapter has the rows of one kind of thing, under the names of the columns that they come from, and
the counts of all that there are. `outcome` is `kept`, the reason why something fell, or that the
decision is not made yet.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from autoif_dagster.explain.reading import Row, Tables
from autoif_dagster.records import TABLES
from autoif_dagster.stages.kinds import Kinds

KEPT = "kept"
NOT_MADE = "not made yet"

FEW, SOME, MANY = 3, 5, 8
"""How many rows of a chapter are told unless all are asked for."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """One part of a story.

    `counts` are of all there is, `all` of them first, then by outcome; `left_out` of its rows are
    not told. The form is how text shows the rows: one in full, a line each, or two beside each
    other. Where the table is not `made` yet, there is nothing to tell.
    """

    name: str
    rows: tuple[Row, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    left_out: int = 0
    form: Literal["card", "table", "sides"] = "table"
    made: bool = True


def card(name: str, row: Row | None, *, made: bool = True, copies: int = 1) -> Chapter:
    """A chapter of one row, which may stand for several copies of the same thing."""
    counts = {"copies": copies} if copies > 1 else {}
    return Chapter(name, () if row is None else (row,), counts, form="card", made=made)


def listed(
    name: str,
    rows: Sequence[Row],
    most: int | None,
    *,
    counts: Mapping[str, int] | None = None,
    made: bool = True,
) -> Chapter:
    """A chapter of several rows, of which the first `most` are told (None: all)."""
    told = rows if most is None else rows[:most]
    counts = {"all": len(rows), **_outcomes(rows)} if counts is None else counts
    return Chapter(name, tuple(told), counts, len(rows) - len(told), made=made)


def counted(tables: Tables, name: str, where: str, **values: object) -> Chapter:
    """A decision's candidates by outcome, without their rows."""
    rows = tables.rows(
        f"SELECT coalesce(reason, '{KEPT}') AS outcome, count(*) AS n FROM {name} "
        f"WHERE {where} GROUP BY reason ORDER BY reason IS NOT NULL, n DESC, reason",
        **values,
    )
    by_outcome = {str(row["outcome"]): int(str(row["n"])) for row in rows}
    counts = {"all": sum(by_outcome.values()), **by_outcome}
    return Chapter(name, counts=counts, made=tables.made(name))


def _outcomes(rows: Iterable[Row]) -> dict[str, int]:
    """Rows by outcome: the kept ones, then the others, most first."""
    counts = Counter(str(row["outcome"]) for row in rows if "outcome" in row)
    return dict(sorted(counts.items(), key=lambda i: (i[0] != KEPT, -i[1], i[0])))


def without(row: Row | None, *columns: str) -> Row | None:
    return row and {name: fact for name, fact in row.items() if name not in columns}


# --- instructions ---------------------------------------------------------------------------------

_CANDIDATE = """
SELECT
    instruction_id, instruction, origin, call_index, position, candidate_id, generation_id,
    seed_ids, example_ids
FROM augmented_instructions
WHERE {column} = $id
ORDER BY reason IS NOT NULL, call_index, position
"""

_TEXTS = """
SELECT instruction_id, any_value(instruction) AS instruction
FROM {table}
WHERE list_contains($ids, instruction_id)
GROUP BY instruction_id
"""

_SEEDS = """
SELECT instruction_id, instruction, kind, line
FROM seed_instructions
WHERE list_contains($ids, instruction_id)
"""


def instruction(tables: Tables, item_id: str, most: int | None) -> list[Chapter]:
    """The instruction (by its id or a candidate's) and, before it, what its call had shown: seeds,
    and verified instructions of the past. A seed comes from a line of the seed file."""
    column = "candidate_id" if item_id.startswith("cnd_") else "instruction_id"
    copies = tables.rows(_CANDIDATE.format(column=column), id=item_id)
    if not copies:  # a seed that no round has taken up
        return [card("instruction", tables.row(_SEEDS, ids=[item_id]))]
    first = copies[0]
    seed_ids, example_ids = _texts(first["seed_ids"]), _texts(first["example_ids"])
    seeds = {str(row["instruction_id"]): row for row in tables.rows(_SEEDS, ids=seed_ids)}
    told = without(first, "seed_ids", "example_ids") or {}
    if first["origin"] == "seed":
        line = seeds.get(item_id if column == "instruction_id" else str(first["instruction_id"]))
        # The seed file of today may lack what an earlier round was made from.
        own = without(told, "call_index", "position") or {}
        own |= {name: line[name] if line else None for name in ("kind", "line")}
        return [card("instruction", own, copies=len(copies))]
    if first["origin"] == "imported":  # no call of ours; its position is a line of the file
        told = without(told, "call_index") or {}
    chapter = card("instruction", told | {"kind": _kind(tables, first)}, copies=len(copies))
    if not seed_ids and not example_ids:
        return [chapter]
    past = _examples(tables) | _own_seeds(tables, [i for i in seed_ids if i not in seeds])
    rows: list[Row] = [
        {
            "instruction_id": seed,
            "role": role,
            "kind": seeds[seed]["kind"] if seed in seeds else None,
            "line": seeds[seed]["line"] if seed in seeds else None,
            "instruction": seeds[seed]["instruction"] if seed in seeds else past.get(seed),
        }
        for role, group in (("seed", seed_ids), ("example", example_ids))
        for seed in group
    ]
    # One that was verified before is told first: it is the rarer ancestor.
    rows.sort(key=lambda row: row["role"] != "example")
    counts = {"all": len(rows), "seed": len(seed_ids), "example": len(example_ids)}
    return [listed("seeds", rows, most, counts=counts), chapter]


def _kind(tables: Tables, row: Row) -> str:
    """What an instruction constrains, as far as its words sound like a seed's."""
    seeds = tables.rows("SELECT instruction, kind FROM seed_instructions ORDER BY line")
    kinds = Kinds((str(seed["instruction"]), str(seed["kind"])) for seed in seeds)
    return next(kinds.of([str(row["instruction"])]))


def _examples(tables: Tables) -> dict[str, str]:
    """The words of the examples that the round's plan froze."""
    plan = tables.row("SELECT example_ids, examples FROM round_plan") or {}
    return dict(zip(_texts(plan.get("example_ids")), _texts(plan.get("examples")), strict=True))


def _own_seeds(tables: Tables, ids: list[str]) -> dict[str, str]:
    """The words of seeds that the seed file has no longer, as the round itself had them."""
    if not ids:
        return {}
    rows = tables.rows(_TEXTS.format(table="augmented_instructions"), ids=ids)
    return {str(row["instruction_id"]): str(row["instruction"]) for row in rows}


def _texts(fact: object) -> list[str]:
    return [str(item) for item in fact] if isinstance(fact, list) else []


# --- functions and cases --------------------------------------------------------------------------

_FUNCTIONS = f"""
SELECT
    written.verifier_id AS function_id,
    coalesce(
        judged.reason,
        faithful.reason,
        CASE
            WHEN faithful.function_id IS NOT NULL THEN '{KEPT}'
            ELSE coalesce(written.failure, '{NOT_MADE}')
        END
    ) AS outcome,
    judged.accuracy,
    judged.accuracy_true,
    judged.accuracy_false,
    judged.cases,
    words.p_entailment,
    words.p_neutral,
    words.p_contradiction,
    words.back_translation
FROM verifier_candidates AS written
LEFT JOIN verified_functions AS judged USING (candidate_id)
LEFT JOIN back_translations AS words
    ON words.function_id = judged.function_id AND judged.reason IS NULL
LEFT JOIN faithful_functions AS faithful
    ON faithful.function_id = judged.function_id AND judged.reason IS NULL
WHERE written.instruction_id = $id AND written.kind = 'function'
ORDER BY outcome <> '{KEPT}', judged.accuracy DESC NULLS LAST, outcome, function_id
"""

_WORDS = ("p_entailment", "p_neutral", "p_contradiction", "back_translation")


def functions(tables: Tables, instruction_id: str, most: int | None) -> list[Chapter]:
    """All functions of an instruction, and what those that were translated say in words."""
    rows = tables.rows(_FUNCTIONS, id=instruction_id)
    made = tables.made("verifier_candidates")
    words = [
        {"function_id": row["function_id"]} | {name: row[name] for name in _WORDS}
        for row in rows
        if any(row[name] is not None for name in _WORDS)
    ]
    plain = [without(row, *_WORDS) or {} for row in rows]
    chapters = [listed("functions", plain, most, made=made)]
    if words or not tables.made("back_translations"):
        chapters.append(
            listed("back_translations", words, most and FEW, made=tables.made("back_translations"))
        )
    return chapters


def voting(
    tables: Tables, instruction_id: str, texts: Mapping[str, str | None], most: int | None
) -> Chapter:
    """The functions that stand, each with its verdict on the texts: `texts` is the column that a
    verdict goes to, and the response or case that it is on. Verdicts of functions that fell count
    no more; where a file brought verdicts without functions, those alone are told."""
    rows = tables.rows(_FUNCTIONS, id=instruction_id)
    said = _verdicts(tables, texts)
    standing = {str(row["function_id"]): row for row in rows if row["outcome"] in (KEPT, NOT_MADE)}
    sides = ("accuracy_true", "accuracy_false") if len(texts) > 1 else ()  # or lines grow too long
    told: list[Row] = []
    for function_id in standing or said:
        verdicts: Row = {column: said.get(function_id, {}).get(column) for column in texts}
        more = without(standing.get(function_id), "function_id", "outcome", *_WORDS[3:], *sides)
        told.append({"function_id": function_id} | verdicts | (more or {}))
    counts = {"all": len(rows), **_outcomes(rows)}
    return listed("functions", told, most, counts=counts, made=tables.made("verifier_candidates"))


def _verdicts(tables: Tables, texts: Mapping[str, str | None]) -> dict[str, Row]:
    """Verdicts by function and column."""
    found: dict[str, Row] = {}
    for column, item_id in texts.items():
        if item_id is None:
            continue
        table, of = ("case_verdicts", "case_id")
        if item_id.startswith("rsp_"):
            table, of = ("response_verdicts", "response_id")
        for row in tables.rows(
            f"SELECT function_id, verdict FROM {table} WHERE {of} = $id ORDER BY function_id",
            id=item_id,
        ):
            found.setdefault(str(row["function_id"]), {})[column] = row["verdict"]
    return found


_CASES = f"""
SELECT
    written.verifier_id AS case_id,
    coalesce(
        judged.reason,
        CASE
            WHEN judged.candidate_id IS NOT NULL THEN '{KEPT}'
            ELSE coalesce(written.failure, '{NOT_MADE}')
        END
    ) AS outcome,
    written.case_expected,
    judged.agreement,
    written.case_input
FROM verifier_candidates AS written
LEFT JOIN verified_cases AS judged USING (candidate_id)
WHERE written.instruction_id = $id AND written.kind = 'case'
ORDER BY outcome = '{KEPT}', judged.agreement NULLS LAST, case_id
"""


def cases(tables: Tables, instruction_id: str, most: int | None) -> Chapter:
    """The cases of an instruction: how many were kept on either side, those that fell first."""
    rows = tables.rows(_CASES, id=instruction_id)
    kept = [row["case_expected"] for row in rows if row["outcome"] == KEPT]
    counts = {"all": len(rows), **_outcomes(rows)}
    counts |= {"kept_true": kept.count(True), "kept_false": kept.count(False)}
    return listed("cases", rows, most, counts=counts, made=tables.made("verifier_candidates"))


_FUNCTION = """
SELECT
    written.verifier_id AS function_id,
    written.candidate_id,
    written.sample_index,
    written.generation_id,
    written.failure,
    judged.accuracy,
    judged.accuracy_true,
    judged.accuracy_false,
    judged.cases,
    words.p_entailment,
    words.p_neutral,
    words.p_contradiction,
    words.failure AS back_translation_failure,
    words.back_translation,
    written.source
FROM verifier_candidates AS written
LEFT JOIN verified_functions AS judged USING (candidate_id)
LEFT JOIN back_translations AS words
    ON words.function_id = judged.function_id AND judged.reason IS NULL
WHERE {column} = $id
ORDER BY judged.reason IS NOT NULL, written.sample_index, written.position
"""


def function(tables: Tables, item_id: str) -> Chapter:
    """One function, by its id or its candidate's."""
    column = "written.candidate_id" if item_id.startswith("cnd_") else "written.verifier_id"
    rows = tables.rows(_FUNCTION.format(column=column), id=item_id)
    return card("function", rows[0] if rows else None, copies=len(rows))


_FUNCTION_ON_CASES = f"""
SELECT
    ran.case_id,
    ran.verdict,
    judged.case_expected,
    ran.verdict = CASE WHEN judged.case_expected THEN 'TRUE' ELSE 'FALSE' END AS agrees,
    CASE WHEN ran.second_verdict <> ran.verdict THEN ran.second_verdict END AS second_verdict,
    coalesce(judged.reason, '{KEPT}') AS outcome,
    judged.case_input
FROM case_verdicts AS ran
LEFT JOIN verified_cases AS judged
    ON judged.case_id = ran.case_id AND judged.reason IS DISTINCT FROM 'duplicate_case'
WHERE ran.function_id = $id
ORDER BY outcome <> '{KEPT}', agrees NULLS LAST, ran.case_id
"""


def case_verdicts(tables: Tables, function_id: str, most: int | None) -> Chapter:
    """What a function said of the cases of its instruction, its errors on kept cases first."""
    rows = tables.rows(_FUNCTION_ON_CASES, id=function_id)
    counts = _by_verdict(rows) | {
        "agreeing": sum(row["agrees"] is True for row in rows),
        "on_kept_cases": sum(row["outcome"] == KEPT for row in rows),
    }
    return listed("case_verdicts", rows, most, counts=counts, made=tables.made("case_verdicts"))


def _by_verdict(rows: Sequence[Row]) -> dict[str, int]:
    counts = Counter(str(row["verdict"]) for row in rows)
    return {"all": len(rows), **dict(sorted(counts.items(), key=lambda i: (-i[1], i[0])))}


def response_verdicts(tables: Tables, function_id: str) -> Chapter:
    """What a function said of responses, as counts."""
    rows = tables.rows(
        "SELECT verdict, count(*) AS n FROM response_verdicts WHERE function_id = $id "
        "GROUP BY ALL ORDER BY n DESC, verdict",
        id=function_id,
    )
    by_verdict = {str(row["verdict"]): int(str(row["n"])) for row in rows}
    counts = {"all": sum(by_verdict.values()), **by_verdict}
    return Chapter("response_verdicts", counts=counts, made=tables.made("response_verdicts"))


_CASE = """
SELECT
    written.verifier_id AS case_id,
    written.candidate_id,
    written.case_expected,
    written.case_expected_text,
    judged.agreement,
    judged.functions,
    judged.usable_cases,
    written.sample_index,
    written.position,
    written.generation_id,
    written.failure,
    written.case_input
FROM verifier_candidates AS written
LEFT JOIN verified_cases AS judged USING (candidate_id)
WHERE {column} = $id
ORDER BY judged.reason IS NOT NULL, written.sample_index, written.position
"""


def case(tables: Tables, item_id: str) -> Chapter:
    """One case, by its id or its candidate's."""
    column = "written.candidate_id" if item_id.startswith("cnd_") else "written.verifier_id"
    rows = tables.rows(_CASE.format(column=column), id=item_id)
    return card("case", rows[0] if rows else None, copies=len(rows))


_CASE_ON_FUNCTIONS = f"""
SELECT
    ran.function_id,
    ran.verdict,
    ran.verdict = CASE WHEN $expected THEN 'TRUE' ELSE 'FALSE' END AS agrees,
    judged.accuracy,
    coalesce(
        judged.reason,
        CASE WHEN judged.function_id IS NOT NULL THEN '{KEPT}' ELSE '{NOT_MADE}' END
    ) AS outcome
FROM case_verdicts AS ran
LEFT JOIN verified_functions AS judged
    ON judged.function_id = ran.function_id AND judged.reason IS DISTINCT FROM 'duplicate_function'
WHERE ran.case_id = $id
ORDER BY agrees, ran.verdict, ran.function_id
"""


def function_verdicts(tables: Tables, case_id: str, expected: object, most: int | None) -> Chapter:
    """What the functions of its instruction said of a case, those that disagree first."""
    rows = tables.rows(_CASE_ON_FUNCTIONS, id=case_id, expected=expected)
    counts = _by_verdict(rows) | {"agreeing": sum(row["agrees"] is True for row in rows)}
    return listed("case_verdicts", rows, most, counts=counts, made=tables.made("case_verdicts"))


# --- queries, prompts, responses ------------------------------------------------------------------

_QUERY = """
SELECT query_id, line, source_id, query
FROM user_queries
WHERE query_id = $id
ORDER BY reason IS NOT NULL, line
"""


def query(tables: Tables, query_id: str | None) -> Chapter:
    """The query of a prompt, with its place in the user's file; an imported one has none."""
    rows = tables.rows(_QUERY, id=query_id)
    row = rows[0] if rows else None
    if row is None and query_id is not None:
        row = tables.row(
            "SELECT query_id, query FROM reconstructed_queries WHERE query_id = $id LIMIT 1",
            id=query_id,
        )
    return card("query", row, copies=len(rows))


_PROMPT = """
SELECT
    drawn.prompt_id,
    drawn.slot,
    drawn.layout,
    words.generation_id AS rewrite_generation_id,
    words.check_generation_id,
    words.failure AS rewrite_failure,
    words.missing AS rewrite_missing,
    words.survives AS rewrite_survives,
    CASE
        WHEN words.failure IS NULL THEN coalesce(words.rewritten, drawn.prompt)
        ELSE drawn.prompt
    END AS prompt
FROM reconstructed_queries AS drawn
LEFT JOIN prompt_rewrites AS words USING (prompt_id)
WHERE drawn.prompt_id = $id
"""


def prompt(tables: Tables, prompt_id: str | None) -> Chapter:
    """One prompt as models are shown it: joined plainly, or reworded."""
    made = tables.made("reconstructed_queries")
    row = tables.row(_PROMPT, id=prompt_id)
    if row is not None and not row["rewrite_missing"]:
        row["rewrite_missing"] = None
    return card("prompt", row, made=made)


_PROMPTS = """
SELECT
    drawn.prompt_id,
    {asked_id}
    coalesce(answered.responses, 0) AS responses,
    coalesce(decided.accepted, 0) AS accepted,
    coalesce(rows.sft_rows, 0) AS sft_rows,
    coalesce(paired.pairs, 0) AS pairs,
    {asked}
FROM (SELECT * FROM reconstructed_queries WHERE {column} = $id AND reason IS NULL) AS drawn
LEFT JOIN (
    SELECT prompt_id, count(*) AS responses FROM responses GROUP BY prompt_id
) AS answered USING (prompt_id)
LEFT JOIN (
    SELECT prompt_id, count(*) AS accepted FROM filtered_responses WHERE reason IS NULL
    GROUP BY prompt_id
) AS decided USING (prompt_id)
LEFT JOIN (
    SELECT prompt_id, count(*) AS sft_rows FROM sft_dataset WHERE reason IS NULL
    GROUP BY prompt_id
) AS rows USING (prompt_id)
LEFT JOIN (
    SELECT prompt_id, count(*) AS pairs FROM dpo_pairs WHERE reason IS NULL
    GROUP BY prompt_id
) AS paired USING (prompt_id)
{instructions}
ORDER BY drawn.slot, drawn.prompt_id
"""


def prompts_of_instruction(tables: Tables, instruction_id: str, most: int | None) -> Chapter:
    sql = _PROMPTS.format(
        column="instruction_id", asked="drawn.query", asked_id="", instructions=""
    )
    return _prompts(tables, tables.rows(sql, id=instruction_id), most)


def prompts_of_query(tables: Tables, query_id: str, most: int | None) -> Chapter:
    sql = _PROMPTS.format(
        column="query_id",
        asked_id="drawn.instruction_id,",
        asked="instructions.instruction",
        instructions="LEFT JOIN verified_instructions AS instructions USING (instruction_id)",
    )
    return _prompts(tables, tables.rows(sql, id=query_id), most)


def _prompts(tables: Tables, rows: list[Row], most: int | None) -> Chapter:
    """Prompts with how much came of them, as far as that is known."""
    tables_of = {
        "responses": "responses",
        "accepted": "filtered_responses",
        "sft_rows": "sft_dataset",
        "pairs": "dpo_pairs",
    }
    unknown = {name: None for name, table in tables_of.items() if not tables.made(table)}
    rows = [row | unknown for row in rows]
    made = tables.made("reconstructed_queries")
    return listed("prompts", rows, most, counts={"all": len(rows)}, made=made)


_RESPONSES = f"""
SELECT
    answered.response_id,
    answered.sample_index,
    coalesce(
        decided.reason,
        chosen.reason,
        CASE
            WHEN decided.response_id IS NULL THEN coalesce(answered.failure, '{NOT_MADE}')
            WHEN chosen.response_id IS NULL THEN 'accepted'
            ELSE 'in_sft_dataset'
        END
    ) AS outcome,
    decided.passed,
    decided.votes,
    decided.score,
    answered.response
FROM responses AS answered
LEFT JOIN filtered_responses AS decided USING (response_id)
LEFT JOIN sft_dataset AS chosen USING (response_id)
WHERE answered.prompt_id = $id
ORDER BY
    decided.reason IS NOT NULL, chosen.reason IS NOT NULL, decided.score DESC NULLS LAST,
    decided.accuracy DESC NULLS LAST, answered.sample_index
"""


def responses(tables: Tables, prompt_id: str, most: int | None) -> Chapter:
    """The responses to a prompt, the best first."""
    rows = tables.rows(_RESPONSES, id=prompt_id)
    return listed("responses", rows, most, made=tables.made("responses"))


_RESPONSE = """
SELECT
    answered.response_id,
    answered.sample_index,
    decided.sample_indexes,
    answered.finish_reason,
    answered.failure,
    answered.generation_id,
    decided.functions,
    decided.votes,
    decided.passed,
    decided.accuracy,
    decided.score,
    answered.response
FROM responses AS answered
LEFT JOIN filtered_responses AS decided USING (response_id)
WHERE answered.response_id = $id
"""


def response(tables: Tables, response_id: str) -> Chapter:
    row = tables.row(_RESPONSE, id=response_id)
    if row is not None and row["sample_indexes"] == [row["sample_index"]]:
        row["sample_indexes"] = None  # only worth a word where samples said the same
    return card("response", row, made=tables.made("responses"))


def scores(tables: Tables, response_id: str, most: int | None) -> Chapter:
    """What the judge said of a response."""
    rows = tables.rows(
        "SELECT sample_index, score, attempts, generation_id, detail FROM quality_scores "
        "WHERE response_id = $id ORDER BY sample_index",
        id=response_id,
    )
    made = tables.made("quality_scores")
    return listed("scores", rows, most, counts={"all": len(rows)}, made=made)


# --- pairs ----------------------------------------------------------------------------------------

_PAIRS = f"""
SELECT
    pair_id,
    coalesce(reason, '{KEPT}') AS outcome,
    level,
    CASE WHEN chosen_id = $id THEN 'chosen' ELSE 'rejected' END AS role,
    CASE WHEN chosen_id = $id THEN rejected_id ELSE chosen_id END AS other_id
FROM dpo_pairs
WHERE chosen_id = $id OR rejected_id = $id
ORDER BY reason IS NOT NULL, reason, pair_id
"""


def pairs_with(tables: Tables, text_id: str, most: int | None) -> Chapter:
    """The pairs that a response or a case is a side of; the kept ones are told."""
    rows = tables.rows(_PAIRS, id=text_id)
    counts = {"all": len(rows), **_outcomes(rows)}
    kept = [without(row, "outcome") or {} for row in rows if row["outcome"] == KEPT]
    return listed("dpo_pairs", kept, most, counts=counts, made=tables.made("dpo_pairs"))


def pairs_of_prompt(tables: Tables, prompt_id: str, most: int | None) -> Chapter:
    """The pairs of a prompt; the kept ones are told."""
    rows = tables.rows(
        f"SELECT pair_id, coalesce(reason, '{KEPT}') AS outcome, chosen_id, rejected_id "
        "FROM dpo_pairs WHERE prompt_id = $id ORDER BY reason IS NOT NULL, pair_id",
        id=prompt_id,
    )
    counts = {"all": len(rows), **_outcomes(rows)}
    kept = [without(row, "outcome") or {} for row in rows if row["outcome"] == KEPT]
    return listed("dpo_pairs", kept, most, counts=counts, made=tables.made("dpo_pairs"))


_PAIR = """
SELECT
    pair_id, level, instruction_id, prompt_id, query_id, chosen_id, rejected_id, chosen_score,
    rejected_score, prompt, chosen, rejected
FROM dpo_pairs
WHERE pair_id = $id
"""


def pair(tables: Tables, pair_id: str) -> Row:
    """The pair's row."""
    return tables.row(_PAIR, id=pair_id) or {}


def sides(tables: Tables, row: Row) -> Chapter:
    """The two texts of a pair, the chosen one first; none where its prompt has no pair."""
    told: list[Row] = []
    for role in ("chosen", "rejected"):
        text_id = row[f"{role}_id"]
        if text_id is None:
            continue
        if str(text_id).startswith("rsp_"):
            more = without(response(tables, str(text_id)).rows[0], "response_id", "response")
        else:
            more = without(case(tables, str(text_id)).rows[0], "case_id", "case_input")
        told.append({"role": role, "id": text_id} | (more or {}) | {"text": row[role]})
    return Chapter("texts", tuple(told), form="sides")


_EXPORTS = """
SELECT file, format
FROM exports
WHERE source = $release AND list_contains(rounds, $round) AND $id IN (
    SELECT {column}
    FROM {release}
    WHERE {column} = $id AND round = $round AND reason IS NULL
)
ORDER BY file
"""


def exports(tables: Tables, release: str, item_id: str) -> Iterator[Chapter]:
    """The files that a released row is in; nothing is told of others."""
    rows = tables.rows(
        _EXPORTS.format(release=release, column=TABLES[release].item),
        release=release,
        round=tables.session.round_key,
        id=item_id,
    )
    if rows:
        yield listed("exports", rows, None, counts={"all": len(rows)})


# --- generations ----------------------------------------------------------------------------------

_GENERATION = """
SELECT
    generation_id, stage, model, finish_reason, prompt_tokens, completion_tokens, latency_s,
    created_at, text, reasoning, messages, sampling
FROM generations
WHERE generation_id = $id
"""


def generation(tables: Tables, generation_id: str) -> Chapter:
    """A completion: what was sent, and what came back. One that was forgotten has no row."""
    row = tables.row(_GENERATION, id=generation_id)
    return card("generation", row)


def read_from(tables: Tables, generation_id: str, most: int | None) -> Chapter:
    """The rows of the round's tables that were read from a completion."""
    rows: list[Row] = []
    for table in TABLES.values():
        names = [c.name for c in table.columns if c.name.endswith("generation_id")]
        if not names or not tables.made(table.name):
            continue
        outcome = f"coalesce(reason, '{KEPT}')" if table.is_decision else "NULL"
        failure = any(c.name == "failure" for c in table.columns)
        rows += tables.rows(
            f"SELECT '{table.name}' AS \"table\", {table.key[0]} AS item_id, "
            f"coalesce({outcome}, {'failure' if failure else 'NULL'}, 'read') AS outcome "
            f"FROM {table.name} WHERE {' OR '.join(f'{name} = $id' for name in names)} "
            "ORDER BY item_id",
            id=generation_id,
        )
    return listed("read_from_it", rows, most)
