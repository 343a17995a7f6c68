"""How a table becomes an asset: its grain, schema and code version on the definition; its row
count, funnel, reasons and preview on every materialization.

An asset's code version is a hash of what shapes its rows: the prompt templates it renders, the SQL
it runs and the recipe fields it uses. Changing one of them makes the UI mark exactly the assets
that depend on it; changing anything else marks none.

A table that its round has from a file (`autoif import`) is not made again: materializing its asset
keeps it as it was read and reports it.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from autoif_dagster import checks, pictures, plots, prompts, sql
from autoif_dagster.clients.log.logged import LoggedClient
from autoif_dagster.errors import BudgetError, CallError, LakeError
from autoif_dagster.ids import digest
from autoif_dagster.imported import Origin, origin_of
from autoif_dagster.lake import Lake, Session, Written
from autoif_dagster.partitions import rounds
from autoif_dagster.recipe import Recipe, load_recipe, recipe_hash, recipe_name, values_at
from autoif_dagster.records import TABLES, Table
from autoif_dagster.stages import clip

MODEL_POOL = "supervisor"  # steps that need the model; one run at a time holds it
_MODEL_FIELDS = (
    "supervisor.client",
    "supervisor.model",
    "supervisor.revision",
    "supervisor.extra_body",
    "supervisor.top_p",
    "vllm.dtype",
    "vllm.quantization",
    "vllm.lora",
    "vllm.chat_template",
    "vllm.engine",
    "simulator",
)
HAS_ROWS = "has_rows"
ACCOUNTED_FOR = "accounted_for"

_PREVIEW_ROWS = 5
_PREVIEW_CHARS = 120
_SIMULATED = "planted by the simulated supervisor; train nothing on it"

if TYPE_CHECKING:
    Materialized = dg.MaterializeResult[Any]
else:
    # Dagster does not recognise its own result type with a parameter, and mypy insists on one.
    Materialized = dg.MaterializeResult

AssetFunction = Callable[..., Materialized]


def table_asset(
    *,
    group: str,
    deps: Sequence[str] = (),
    fields: Sequence[str] = (),
    templates: Sequence[str] = (),
    queries: Sequence[str] = (),
    version: str = "",
    asks_model: bool = False,
) -> Callable[[AssetFunction], dg.AssetsDefinition]:
    """Make the decorated function the asset of the table of the same name.

    Args:
        group: the asset's group in the graph.
        deps: tables it reads.
        fields: sections or fields of the recipe that shape its rows.
        templates: kinds of prompt it renders.
        queries: SQL files it runs.
        version: of what else shapes its rows, raised by hand.
        asks_model: whether it needs the supervisor (and its place in the pool).
    """

    def decorate(function: AssetFunction) -> dg.AssetsDefinition:
        maker = "ai" if asks_model else "python"
        of_model = _MODEL_FIELDS if asks_model else ()
        whole = code_version((*fields, *of_model), templates, queries, version)
        return _asset(function, function.__name__, group, deps, maker, whole, asks_model)

    return decorate


def decision_asset(
    name: str,
    *,
    group: str,
    deps: Sequence[str],
    about: str,
    views: Sequence[str] = (),
    candidates: str,
    counted: str = "count(*)",
    figures: str | None = None,
) -> dg.AssetsDefinition:
    """The asset of a decision: the SQL file of its name over the tables it depends on, with the
    recipe's values for its parameters. One that is made once for all rounds reads those that are
    complete by then.

    Args:
        deps: tables it reads; of a decision, its query also finds `<table>_candidates`.
        about: the description, after the grain.
        views: SQL files it reads under their names.
        candidates, counted: see `Session.write_sql`.
        figures: aggregates over the kept rows, shown as metadata under their names.
    """

    def decide(
        context: dg.AssetExecutionContext,
        recipe: dg.ResourceParam[Recipe],
        lake: dg.ResourceParam[Lake],
    ) -> Materialized:
        per_round = TABLES[name].per_round
        of = None if per_round else lake.complete_rounds()
        # A run has a round's key for all its steps, also for those that are of no round.
        with lake.session(context.partition_key if per_round else None) as session:
            for dep in deps:
                session.scan(dep, rounds=of)
                if TABLES[dep].is_decision:
                    session.scan(dep, rounds=of, under=f"{dep}_candidates", candidates=True)
            for view in views:
                session.define(view, sql.load(view))
            written = session.write_sql(
                name,
                sql.load(name),
                sql.parameters(name, recipe),
                candidates=candidates,
                counted=counted,
            )
            shown = _figures(session, name, figures)
            return materialized(context, recipe, session, written, figures=shown)

    decide.__doc__ = about
    version = code_version(tuple(sql.PARAMETERS[name].values()), (), (name, *views))
    return _asset(decide, name, group, deps, "duckdb", version, asks_model=False)


def _figures(session: Session, name: str, figures: str | None) -> dict[str, float | str]:
    if figures is None:
        return {}
    session.scan(name)
    relation = session.con.sql(f"SELECT {figures} FROM {name}")
    return dict(zip(relation.columns, relation.fetchall()[0], strict=True))


def _asset(
    function: AssetFunction,
    name: str,
    group: str,
    deps: Sequence[str],
    maker: str,
    version: str,
    asks_model: bool,
) -> dg.AssetsDefinition:
    table = TABLES[name]
    function = _without_retries(function)
    if asks_model or not table.per_round:
        function = _in_turn(table, function)
    if table.per_round and table.kind != "plan":
        function = _unless_imported(name, function)
    return dg.asset(
        name=name,
        deps=list(deps),
        group_name=group,
        # Dagster shows three kinds: what the table is, what makes it, what it is at rest.
        kinds={table.kind, maker, "parquet"},
        description=_description(table, function),
        code_version=version,
        partitions_def=rounds if table.per_round else None,
        pool=MODEL_POOL if asks_model else None,
        metadata={"dagster/column_schema": column_schema(table)},
        check_specs=[
            dg.AssetCheckSpec(check, asset=name, description=text)
            for check, text in _checks(table).items()
        ],
    )(function)


def _without_retries(function: AssetFunction) -> AssetFunction:
    """The asset's function; where it stops at its budget, or over a setting, doing the same again
    would only end the same way."""

    @functools.wraps(function)  # Dagster asks the signature which resources to hand in
    def materialize(*args: Any, **resources: Any) -> Materialized:
        try:
            return function(*args, **resources)
        except (BudgetError, CallError) as error:
            raise dg.Failure(str(error), allow_retries=False) from error

    return materialize


def _in_turn(table: Table, function: AssetFunction) -> AssetFunction:
    """The asset's function, one process at a time for each file of its table. Of two rounds that
    end together the later writer of a table over all rounds has then seen both."""

    @functools.wraps(function)  # as above
    def materialize(context: dg.AssetExecutionContext, **resources: Any) -> Materialized:
        lake: Lake = resources["lake"]
        stage = f"{table.name}.{context.partition_key}" if table.per_round else table.name
        told = f"{stage}: another run is making it; waiting for its end"
        with lake.home.turn(stage, lambda: context.log.info(told)):
            return function(context, **resources)

    return materialize


def _unless_imported(name: str, function: AssetFunction) -> AssetFunction:
    """The asset's function, but for rounds that have the table from a file."""

    @functools.wraps(function)  # as above
    def materialize(context: dg.AssetExecutionContext, **resources: Any) -> Materialized:
        lake: Lake = resources["lake"]
        with lake.session(context.partition_key) as session:
            origin = origin_of(session)
            if origin is not None and name in origin.tables:
                try:
                    stored = session.published(name)
                except LakeError as error:
                    raise LakeError(
                        f"{name} of {context.partition_key} came from {origin.source} and is gone "
                        f"or damaged; import the file again, as another round ({error})"
                    ) from error
                # What the file says nothing of, and nobody asks for any more, has no rows.
                recipe: Recipe = resources["recipe"]
                shown = from_file(origin)
                return materialized(
                    context, recipe, session, stored, figures=shown, may_be_empty=True
                )
        return function(context, **resources)

    return materialize


def from_file(origin: Origin) -> dict[str, float | str]:
    """What is shown of a table that came from a file."""
    return {"imported_from": origin.source}


def _description(table: Table, function: AssetFunction) -> str:
    more = " ".join((function.__doc__ or "").split())
    return f"{table.grain} {more}".strip()


def _checks(table: Table) -> dict[str, str]:
    if not table.is_decision:
        own = {HAS_ROWS: "The table has at least one row, if the recipe asks for any."}
    else:
        own = {
            HAS_ROWS: "The table has at least one kept row.",
            ACCOUNTED_FOR: "Kept and rejected rows add up to the candidates counted upstream.",
        }
    return own | checks.of_table(table)


@functools.cache
def _recipe() -> Recipe:
    """The recipe that the definitions are loaded with."""
    return load_recipe()


def code_version(
    fields: Sequence[str],
    templates: Sequence[str] = (),
    queries: Sequence[str] = (),
    version: str = "",
) -> str:
    """A hash of the recipe fields, prompt templates and SQL that shape an asset's rows, and of the
    version that was given to what else does."""
    values = values_at(_recipe(), fields)
    return digest(
        *(f"{name}={value!r}" for name, value in sorted(values.items())),
        *(prompts.load(kind).content_hash for kind in templates),
        *(sql.load(name) for name in queries),
        *filter(None, [version]),
    )[:16]


def column_schema(table: Table) -> dg.TableSchema:
    """The table's columns as Dagster shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                column.type,
                description=column.description,
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable, unique=table.key == (column.name,)
                ),
            )
            for column in table.columns
        ]
    )


def materialized(
    context: dg.AssetExecutionContext,
    recipe: Recipe,
    session: Session,
    written: Written,
    *,
    client: LoggedClient | None = None,
    figures: Mapping[str, float | str] | None = None,
    texts: Mapping[str, str] | None = None,
    may_be_empty: bool = False,
) -> Materialized:
    """What an asset returns: one funnel line in the log, the same figures as metadata, pictures,
    checks.

    Args:
        recipe: holds from where on a check warns.
        client: the client that asked for this table, whose counts are shown.
        figures: further numbers of the stage.
        texts: further Markdown, under its names.
        may_be_empty: whether the recipe asks for no rows, as of an option that is off.
    """
    numbers = _numbers(written) | dict(figures or {})
    numbers["recipe"] = f"{recipe_name()} {recipe_hash(recipe)}"
    if client is not None:
        numbers |= {"model": client.fingerprint, **client.pace.figures()}
    context.log.info(
        f"{written.table.name}: "
        + ", ".join(
            f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in numbers.items()
        )
    )
    findings = list(checks.run(session, recipe, written.table))
    for finding in findings:
        if not finding.passed:
            context.log.warning(f"{written.table.name}: {finding.name}: {finding.told}")
    names = checks.figures(written.table)
    numbers |= {names[f.name]: f.share for f in findings if f.name in names and f.share is not None}
    return dg.MaterializeResult(
        metadata=numbers
        | _looks(session, written)
        | {name: dg.MetadataValue.md(text) for name, text in (texts or {}).items()}
        | dict(_pictures(context, recipe, session, written.table)),
        data_version=dg.DataVersion(written.content_hash),
        check_results=[
            *_check_results(written, may_be_empty),
            *(_check_result(written.table, finding) for finding in findings),
        ],
    )


def _pictures(
    context: dg.AssetExecutionContext, recipe: Recipe, session: Session, table: Table
) -> Iterator[tuple[str, dg.MetadataValue[Any]]]:
    for name, draw in pictures.of_table(table):
        try:
            png = draw(session, recipe, table)
        except Exception as error:  # the table stands, whatever is wrong with its picture
            context.log.warning(f"{table.name}: no picture of {name}: {error!r}")
            continue
        if png is not None:
            yield name, dg.MetadataValue.md(plots.inline(name, png))


def _check_result(table: Table, finding: checks.Finding) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {"offending": finding.offending}
    if finding.share is not None:
        metadata["share"] = finding.share
    if finding.threshold is not None:
        metadata["threshold"] = finding.threshold
    if finding.named:
        listed = [f"- `{item}`" for item in finding.named]
        if more := finding.offending - len(listed):
            listed.append(f"- and {more:,} more")
        metadata["offenders"] = dg.MetadataValue.md("\n".join(listed))
    if finding.reasons:
        rows = [(what, f"{a:.1%}", f"{b:.1%}") for what, (a, b) in finding.reasons.items()]
        metadata["reasons"] = dg.MetadataValue.md(
            markdown_table(("of the candidates", "now", "before"), rows)
        )
    return dg.AssetCheckResult(
        check_name=finding.name,
        asset_key=table.name,
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=finding.told,
        metadata=metadata,
    )


def materialization(
    session: Session, written: Written, figures: Mapping[str, float | str]
) -> dg.AssetMaterialization:
    """The event of a table that no run made."""
    return dg.AssetMaterialization(
        asset_key=written.table.name,
        partition=session.round_key,
        metadata=_numbers(written) | dict(figures) | _looks(session, written),
        tags={"dagster/data_version": written.content_hash},
    )


def _numbers(written: Written) -> dict[str, Any]:
    """How many rows there are, and what became of them."""
    table = written.table
    rows = "dagster/partition_row_count" if table.per_round else "dagster/row_count"
    numbers: dict[str, Any] = {rows: written.rows}
    if table.is_decision:
        numbers |= {
            "candidates": written.rows,
            "kept": written.kept,
            "rejected": written.rows - written.kept,
            "yield": written.kept / written.rows if written.rows else 0.0,
        }
    return numbers


def _looks(session: Session, written: Written) -> dict[str, Any]:
    """Where the table is, some of its rows, and why others fell."""
    metadata: dict[str, Any] = {
        "path": dg.MetadataValue.path(str(written.path)),
        "preview": dg.MetadataValue.md(_preview(session, written.table)),
    }
    if session.lake.home.lineage == "simulated":
        metadata["simulated"] = _SIMULATED
    if written.reasons:
        by_count = sorted(written.reasons.items(), key=lambda item: (-item[1], item[0]))
        metadata["rejections"] = dg.MetadataValue.md(
            markdown_table(("reason", "rows"), [(r, str(n)) for r, n in by_count])
        )
    return metadata


def _check_results(written: Written, may_be_empty: bool) -> list[dg.AssetCheckResult]:
    table = written.table
    results = [
        dg.AssetCheckResult(
            check_name=HAS_ROWS,
            asset_key=table.name,
            passed=written.kept > 0 or may_be_empty,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"rows": written.kept},
        )
    ]
    if table.is_decision:
        rejected = sum(written.reasons.values())
        expected = written.rows if written.expected is None else written.expected
        results.append(
            dg.AssetCheckResult(
                check_name=ACCOUNTED_FOR,
                asset_key=table.name,
                passed=written.kept + rejected == written.rows,
                metadata={"candidates": expected, "kept": written.kept, "rejected": rejected},
            )
        )
    return results


def _preview(session: Session, table: Table) -> str:
    session.scan(table.name, under="preview")
    names = [
        c.name
        for c in table.columns
        if c.name not in {"round", "reason", "detail"}
        # An id takes as much room as three lines of text: the row's own is enough to ask for more.
        and (c.name in table.key or not c.name.endswith(("_id", "_ids")))
    ]
    columns = ", ".join(f'"{name}"' for name in names)
    rows = session.con.execute(f"SELECT {columns} FROM preview LIMIT {_PREVIEW_ROWS}").fetchall()
    return markdown_table(names, [tuple("" if v is None else str(v) for v in row) for row in rows])


def markdown_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of clipped cells."""
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    for row in rows:
        cells = (
            clip(cell, _PREVIEW_CHARS).replace("|", "\\|").replace("<", "&lt;") for cell in row
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
