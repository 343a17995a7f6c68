"""How long a story takes in a large home, beside reading one table of it from end to end.

The home is a real one with a round in it (`--home`, by default what `make demo` left in `data/`);
each row of it is repeated under other ids until there are `--responses`, written by the tables' own
writers into a home of its own. Every story is told by a process's first call, as the command does:
find the id in all rounds, read what belongs to it, write the text. The scan reads every column of
`responses` once, which is what asking without an index or a sorted file comes down to.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from autoif_dagster.explain.finding import find
from autoif_dagster.explain.stories import Stories
from autoif_dagster.explain.telling import Pen
from autoif_dagster.home import existing_home, open_home
from autoif_dagster.lake import Lake, Session
from autoif_dagster.records import PARTS, TABLES, Table

ROUND = "r0001"
PER_KIND = 5
SHARED = ("query_id", "source_id")  # of all copies
ID = "^[a-z]{3}_[0-9a-f]{24}$"
ASKED = {
    "instruction": "SELECT instruction_id FROM verified_instructions",
    "function": "SELECT function_id FROM faithful_functions",
    "case": "SELECT case_id FROM verified_cases",
    "prompt": "SELECT prompt_id FROM reconstructed_queries",
    "response": "SELECT response_id FROM responses",
    "pair": "SELECT pair_id FROM dpo_pairs",
    "generation": "SELECT generation_id FROM responses",
}


def enlarge(small: Path, lake: Lake, copies: int) -> None:
    """Write every table of the small home's round `copies` times, each copy under its own ids."""
    with lake.session(ROUND) as session:
        for table in TABLES.values():
            stem = ROUND if table.per_round else "all"
            source = small / "lake" / table.name / f"{stem}.parquet"
            if not source.exists():
                continue
            times = copies if table.per_round and table.kind != "plan" else 1
            session.write_sql(table.name, _repeated(table, source, times))
        for table in PARTS.values():
            target = lake.home.lake / table.name / "enlarged.parquet"
            source = small / "lake" / table.name / "*.parquet"
            session.con.execute(
                f"COPY ({_repeated(table, source, copies)}) TO '{target}' "
                "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 16384)"
            )


def _repeated(table: Table, source: Path, copies: int) -> str:
    """The rows of a file, repeated; queries and seeds are shared by all copies."""
    columns = []
    for column in table.columns:
        said = f'"{column.name}"'
        if copies > 1 and column.name.endswith("_id") and column.name not in SHARED:
            said = (
                f"CASE WHEN nth > 0 AND regexp_full_match({said}, '{ID}') "
                f"THEN {said}[:22] || printf('%06x', nth) ELSE {said} END"
            )
        columns.append(f'{said} AS "{column.name}"')
    return (
        f"SELECT {', '.join(columns)} FROM read_parquet('{source}', union_by_name = true), "
        f"range({copies}) AS copy (nth)"
    )


def timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def tell(lake: Lake, item: str) -> None:
    with Stories(lake) as stories:
        Pen(full=False, colour=False).tell(stories.tell(find(lake, item)))


def scan(lake: Lake) -> None:
    with lake.session() as session:
        _scanned(session, lake)
        session.con.execute("SELECT max(COLUMNS(*)) FROM responses").fetchall()


def _scanned(session: Session, lake: Lake) -> None:
    for name in (table.name for table in TABLES.values() if table.per_round):
        session.scan(name, rounds=lake.rounds(name), candidates=True)


def asked(lake: Lake) -> Iterator[tuple[str, list[str]]]:
    """A few ids of each kind, the same ones at every call."""
    with lake.session() as session:
        _scanned(session, lake)
        for kind, sql in ASKED.items():
            rows = session.rows(
                f"SELECT * FROM ({sql}) AS t (id) ORDER BY md5(id) LIMIT {PER_KIND}"
            )
            yield kind, [item for (item,) in rows]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--home", type=Path, default=Path("data"), help="home with a round to grow")
    parser.add_argument("--responses", type=int, default=100_000)
    given = parser.parse_args()
    small = existing_home(given.home.absolute())
    with Lake(small).session(ROUND) as session:
        session.scan("responses")
        rows = session.count("SELECT count(*) FROM responses")
    folder = Path(tempfile.mkdtemp(prefix="autoif-explain-"))
    try:
        lake = Lake(open_home(folder / "home", small.lineage))
        copies = -(-given.responses // rows)
        enlarge(small.root, lake, copies)
        print(f"{rows * copies:,} responses in one round")
        ids = dict(asked(lake))
        scans = [timed(lambda: scan(lake))]
        for kind, items in ids.items():
            times = [timed(lambda item=item: tell(lake, item)) for item in items]
            scans.append(timed(lambda: scan(lake)))
            told, plain = statistics.median(times), statistics.median(scans)
            print(
                f"  {kind:<12} told in {told * 1e3:>6.0f} ms   reading responses "
                f"{plain * 1e3:>6.0f} ms   ratio {told / plain:>5.2f}"
            )
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
