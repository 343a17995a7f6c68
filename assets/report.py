"""What became of every round: the funnel, and what it took."""

from typing import Any

import dagster as dg

from autoif_dagster.clients.metering import money
from autoif_dagster.lake import Lake, Session
from autoif_dagster.materialization import table_asset
from autoif_dagster.recipe import Prices, Recipe
from autoif_dagster.records import ReportedStage
from autoif_dagster.showing import Materialized, markdown_table, materialized
from autoif_dagster.stages.report import (
    Count,
    Replies,
    report_rows,
    reported,
    together,
)
from autoif_dagster.targets import outlook

_ROUNDS_SHOWN = 50  # the last ones; the table has all
_SUMS = {
    "prompts": "CASE stage WHEN 'reconstructed_queries' THEN kept END",
    "accepted": "CASE stage WHEN 'filtered_responses' THEN kept END",
    "sft_rows": "CASE stage WHEN 'sft_dataset' THEN kept END",
    "released_responses": "CASE stage WHEN 'released_responses' THEN kept END",
    "pairs": "CASE stage WHEN 'dpo_pairs' THEN kept END",
    "released_pairs": "CASE stage WHEN 'released_pairs' THEN kept END",
    "replies": "replies",
    "prompt_tokens": "prompt_tokens",
    "completion_tokens": "completion_tokens",
}
"""What is added up over the rows of a round, and of all; metadata has the latter."""


@table_asset(
    group="releases",
    # The facts that it counts are upstream of these, and no row of theirs comes or goes without a
    # candidate of a decision: seven edges less to read around in the graph.
    deps=[table.name for table in reported() if table.is_decision],
    fields=("prices.prompt", "prices.completion"),
)
def dataset_report(
    context: dg.AssetExecutionContext,
    recipe: dg.ResourceParam[Recipe],
    lake: dg.ResourceParam[Lake],
) -> Materialized:
    """What every round made of its candidates, and what the model read and wrote for it."""
    rounds = lake.complete_rounds()
    with lake.session() as session:
        counts = _counts(session, rounds)
        rows = report_rows(rounds, counts, _replies(session), recipe.prices)
        written = session.write_rows("dataset_report", rows)
        *each, total = _sums(session)
        figures = {"rounds": len(rounds), **{name: total[name] for name in _SUMS}}
        if total["cost"] is not None:
            figures[f"cost_{recipe.prices.currency}"] = total["cost"]
        if wanted := recipe.target.rows:
            rows_of = {"sft_dataset": "sft_rows", "dpo_pairs": "pairs"}[recipe.target.of]
            figures["target"] = outlook(wanted, [sums[rows_of] for sums in each]).told()
        texts = {
            "by_round": _by_round(each, recipe.prices),
            "by_decision": _by_decision(together(counts)),
        }
        return materialized(context, recipe, session, written, figures=figures, texts=texts)


def _counts(session: Session, rounds: list[str]) -> list[Count]:
    """Rows by round, stage and reason; every stage's rows of these rounds are readable then."""
    selects = []
    for table in reported():
        # An imported round, or one of an older version, may lack a table that nothing asks for.
        of = sorted({*rounds} & {*session.lake.rounds(table.name)}) if table.per_round else None
        session.scan(table.name, rounds=of, under=f"{table.name}_all", candidates=True)
        reason = "reason" if table.is_decision else "NULL"
        selects.append(
            f"SELECT round, '{table.name}', {reason}, count(*) FROM {table.name}_all GROUP BY ALL"
        )
    return [Count(*row) for row in session.rows(" UNION ALL ".join(selects))]


def _replies(session: Session) -> list[Replies]:
    """The completions that the readable rows were read from, by round and stage."""
    selects = [
        f"SELECT round, '{table.name}' AS stage, {column.name} AS generation_id "
        f"FROM {table.name}_all"
        for table in reported()
        for column in table.columns
        if column.name.endswith("generation_id")
    ]
    with session.lake.home.publishing():
        session.scan_parts("generations")
        found = session.rows(
            "SELECT used.round, used.stage, count(*), sum(prompt_tokens)::BIGINT, "
            "sum(completion_tokens)::BIGINT, list_sort(list(DISTINCT model)) "
            f"FROM (SELECT DISTINCT * FROM ({' UNION ALL '.join(selects)})) AS used "
            "JOIN generations USING (generation_id) GROUP BY ALL"
        )
        return [Replies(*row) for row in found]


def _sums(session: Session) -> list[dict[str, Any]]:
    """What the report says of each round, in order, and at the end of all of them together."""
    session.scan("dataset_report")
    sums = ", ".join(f"coalesce(sum({of}), 0)::BIGINT AS {name}" for name, of in _SUMS.items())
    found = session.con.sql(
        f"SELECT round, {sums}, sum(cost) AS cost, "
        "list_sort(list_distinct(flatten(list(models)))) AS models "
        "FROM dataset_report GROUP BY ROLLUP (round) ORDER BY round NULLS LAST"
    )
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def _by_round(each: list[dict[str, Any]], prices: Prices) -> str:
    """The newest first, since the UI shows the beginning of a long text."""
    names = ("round", *(name.replace("_", " ") for name in _SUMS), prices.currency, "model")
    shown = each[-_ROUNDS_SHOWN:]
    rows = [
        (
            sums["round"],
            *(f"{sums[name]:,}" for name in _SUMS),
            "–" if sums["cost"] is None else money(sums["cost"]),
            ", ".join(sums["models"]) or "–",
        )
        for sums in reversed(shown)
    ]
    table = markdown_table(names, rows)
    left_out = len(each) - len(shown)
    return f"{table}\n\nand {left_out:,} rounds before these" if left_out else table


def _by_decision(rows: list[ReportedStage]) -> str:
    cells = [
        (
            row.stage,
            f"{row.rows:,}",
            f"{row.kept:,}",
            "–" if row.kept_share is None else f"{row.kept_share:.0%}",
            "–" if row.commonest_reason is None else row.commonest_reason,
        )
        for row in rows
        if row.kept is not None
    ]
    return markdown_table(("decision", "candidates", "kept", "yield", "mostly fell for"), cells)
