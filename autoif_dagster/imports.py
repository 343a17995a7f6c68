"""`autoif import`: a file of the reference becomes a round of its own.

The tables are written aside, checked there as every table is, and then put into the lake together;
Dagster is told last. An import that is killed leaves nothing, or is finished by whoever opens the
home next; that Dagster hears of it is then up to the next import, and the same call finds the round
that it had made already.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pyarrow as pa

from autoif_dagster import ids
from autoif_dagster.errors import AutoIFError, CallError, LakeError
from autoif_dagster.home import Home
from autoif_dagster.imported import model_name, origin_of, replies_path
from autoif_dagster.importers import Source, rows
from autoif_dagster.importers.shapes import FOREIGN
from autoif_dagster.instance import open_instance
from autoif_dagster.lake import Lake, TableFile, Written, publish_file
from autoif_dagster.partitions import NAME, NO_KEY_LEFT, next_round, taken_rounds
from autoif_dagster.plain_errors import plain_errors
from autoif_dagster.progress import Reporter, console_if
from autoif_dagster.recipe import Recipe
from autoif_dagster.records import PARTS, TABLES, RoundPlan
from autoif_dagster.showing import from_file, materialization

_REPLIES = "generations"


@dataclass(frozen=True, slots=True)
class Imported:
    """A round made of a file, and what its tables hold."""

    home: Home
    round_key: str
    source: str
    tables: tuple[Written, ...]

    def told(self) -> str:
        """What was made and what to do next, for a terminal."""
        names = [written.table.name for written in self.tables]
        wide = max(map(len, names))
        order = list(TABLES)
        made = order[max(map(order.index, names)) + 1 :]
        lines = [
            f"Round {self.round_key} of {self.home.root} ({self.home.lineage}) is "
            f"{model_name(self.source)}:"
        ]
        lines += [f"  {w.table.name.ljust(wide)}  {w.rows:>9,} {_fallen(w)}" for w in self.tables]
        lines += [
            f"Next: .venv/bin/autoif demo --round {self.round_key}",
            f"      makes what follows ({made[0]}, …, {made[-1]}) and keeps these as they are;",
            "      or `make ui`, where the tables above are materialized already.",
        ]
        return "\n".join(line.rstrip() for line in lines)


def _fallen(written: Written) -> str:
    fallen = written.rows - written.kept
    return f"rows, {fallen:,} of them fallen" if fallen else "rows"


def import_file(source: Source, round_key: str | None, recipe: Recipe, home: Home) -> Imported:
    """Make a round of a file: every table that the file implies, in the lake and in Dagster.

    Args:
        round_key: the round to make; by default the one after all there are.

    Raises:
        CallError: the round exists, or a line of the file cannot be used; nothing was written.
        AutoIFError: the disk, the lake or Dagster's instance failed; calling again goes on.
    """
    lake = Lake(home, memory_mib=recipe.engine.memory_mib, threads=recipe.engine.threads)
    with home.importing(), plain_errors(home), open_instance() as instance:
        for key in home.unreported_imports():
            done = _report(instance, lake, key)
            if done is not None and _is_wanted(done, source, round_key):
                return done
        key = _free_round(instance, lake, round_key)
        if round_key is None:
            _refuse_again(lake, source)
        try:
            _make(source, key, recipe, lake)
        except (OSError, pa.ArrowException) as error:
            raise LakeError(f"{home.root}: the import could not be written: {error}") from error
        done = _report(instance, lake, key)
        if done is None:
            raise AutoIFError(f"round {key} vanished while it was imported")
        return done


def _is_wanted(done: Imported, source: Source, round_key: str | None) -> bool:
    same = done.source == source.imported_from
    whole = {w.table.name for w in done.tables} == {"round_plan", *source.shape.tables}
    return same and whole and round_key in (None, done.round_key)


def _refuse_again(lake: Lake, source: Source) -> None:
    """The same rows in two rounds are trained on twice; who wants that has to name the round."""
    with lake.session() as session:
        session.scan("round_plan", rounds=lake.rounds("round_plan"), under="plans")
        for key, found, names in session.rows(
            "SELECT round, imported_from, imported FROM plans ORDER BY round"
        ):
            name, _, sha256 = source.imported_from.rpartition("@")
            same = found is not None and found.endswith(f"@{sha256}")
            if same and set(names) == set(source.shape.tables):
                raise CallError(
                    f"{name} is round {key} already; to import it once more, name the new round "
                    "with --round"
                )


def _free_round(instance: dg.DagsterInstance, lake: Lake, wanted: str | None) -> str:
    taken = taken_rounds(instance, lake)
    if wanted in taken:
        raise CallError(f"round {wanted} exists already; choose another, or leave --round out")
    key = wanted or next_round(taken)
    if key is None:
        raise CallError(f"{NO_KEY_LEFT}; name a free one yourself, with --round")
    return key


def _make(source: Source, key: str, recipe: Recipe, lake: Lake) -> None:
    """Write every table aside, then put them into the lake at once."""
    names = [name for name in TABLES if name in source.shape.tables]
    with lake.home.scratch() as scratch:
        files = _read(source, key, recipe, [*names, _REPLIES], scratch)
        aside = scratch / "lake"
        with lake.session(key, aside=aside, foreign=FOREIGN) as session:
            for name in names:
                session.write_file(name, files[name])
            session.write_rows("round_plan", [_plan(source, key, recipe, lake, names)])
        replies = replies_path(lake.home, key).relative_to(lake.home.lake)
        publish_file(files[_REPLIES], aside / replies)
        lake.home.commit_import(aside, key)


def _read(
    source: Source, key: str, recipe: Recipe, names: list[str], folder: Path
) -> dict[str, Path]:
    """One pass over the file, all tables at once; where each of them was written."""
    paths = {name: folder / f"{name}.parquet" for name in names}
    read = Reporter(console_if(watched=True)).track(
        rows(source, key, recipe), "import", "rows", log=lambda _: None
    )
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(TableFile((TABLES | PARTS)[name], path))
            for name, path in paths.items()
        }
        for name, row in read:
            files[name].append(row)
    return paths


def _plan(source: Source, key: str, recipe: Recipe, lake: Lake, names: list[str]) -> RoundPlan:
    return RoundPlan(
        round=key,
        random_seed=ids.stable_seed(recipe.seed, "round", key),
        past_rounds=[past for past in lake.complete_rounds() if past < key],
        example_ids=[],  # they are for asking for instructions, which this round does not
        examples=[],
        imported=names,
        imported_from=source.imported_from,
    )


def _report(instance: dg.DagsterInstance, lake: Lake, key: str) -> Imported | None:
    """Tell Dagster of a round that stands in the lake; None if somebody removed it meanwhile."""
    with lake.session(key) as session:
        origin = origin_of(session)
        if origin is None:
            lake.home.forget_import(key)
            return None
        instance.add_dynamic_partitions(NAME, [key])
        names = [name for name in TABLES if name == "round_plan" or name in origin.tables]
        tables = tuple(session.published(name) for name in names)
        for written in tables:
            event = materialization(session, written, from_file(origin))
            instance.report_runless_asset_event(event)
    lake.home.forget_import(key)
    return Imported(lake.home, key, origin.source, tables)
