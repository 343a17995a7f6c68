"""What became of every round: the funnel, and what it took."""

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
    RoundSummary,
    report_rows,
    reported,
    summaries,
    together,
)
from autoif_dagster.targets import outlook

_ROUNDS_SHOWN = 50  # the last ones; the table has all


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
        *each, total = summaries(rows)
        figures = {"rounds": len(rounds), **_figures(total, recipe.prices)}
        if wanted := recipe.target.rows:
            rows_of = {"sft_dataset": "sft_rows", "dpo_pairs": "pairs"}[recipe.target.of]
            given = [getattr(summary, rows_of) for summary in each]
            figures["target"] = outlook(wanted, given).told()
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


def _figures(total: RoundSummary, prices: Prices) -> dict[str, float | str]:
    """Numbers of all rounds together, which the UI draws over time."""
    figures: dict[str, float | str] = {
        "prompts": total.prompts,
        "sft_rows": total.sft_rows,
        "pairs": total.pairs,
        "released_responses": total.released_responses,
        "released_pairs": total.released_pairs,
        "replies": total.replies,
        "prompt_tokens": total.prompt_tokens,
        "completion_tokens": total.completion_tokens,
    }
    if total.cost is not None:
        figures[f"cost_{prices.currency}"] = total.cost
    return figures


def _by_round(each: list[RoundSummary], prices: Prices) -> str:
    """The newest first, since the UI shows the beginning of a long text."""
    names = (
        *("round", "prompts", "accepted", "SFT rows", "released", "pairs", "released pairs"),
        *("replies", "tokens read", "tokens written", prices.currency, "model"),
    )
    shown = each[-_ROUNDS_SHOWN:]
    table = markdown_table(names, [_cells(summary) for summary in reversed(shown)])
    left_out = len(each) - len(shown)
    return f"{table}\n\nand {left_out:,} rounds before these" if left_out else table


def _cells(summary: RoundSummary) -> tuple[str, ...]:
    numbers = (
        *(summary.prompts, summary.accepted, summary.sft_rows, summary.released_responses),
        *(summary.pairs, summary.released_pairs),
        *(summary.replies, summary.prompt_tokens, summary.completion_tokens),
    )
    cost = "–" if summary.cost is None else money(summary.cost)
    return (summary.round, *(f"{n:,}" for n in numbers), cost, ", ".join(summary.models) or "–")


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
