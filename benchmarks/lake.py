"""What the lake promises, under attack, and what the promise costs.

Storm: three writers publish tables without pause, each now its own round and now one round they
all share; other processes scan the views of `autoif.duckdb` and sessions of the lake; a writer is
killed (`kill -9`) at random moments and another takes its place. Every table carries a stamp that
all its rows repeat and that fixes their number, so a reader knows a torn table when it sees one.

DuckDB reads footers when it binds a query and opens files again when it scans. A session's scans
hold on to the files they bound; a query over the views cannot, fails if a table is replaced in
between, and is repeated here as a person would repeat it. It counts as unreadable only if it fails
again and again.

Price: time of a publish (write, check, hash, fsync, rename) over that of writing the same rows to
a bare Parquet file in the same call, medians of interleaved repetitions.

Exits with 1 if anything was torn, missing, unreadable or left over.
"""

import argparse
import collections
import functools
import multiprocessing
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from autoif_dagster.home import open_home
from autoif_dagster.lake import Lake
from autoif_dagster.records import AugmentedInstruction

TABLE = "augmented_instructions"
SHARED_ROUND = "r9999"
ATTEMPTS = 4
KEPT_OF = 4  # every fourth row is kept

# One row per round. A whole table has one stamp, as many rows as the stamp says, each row once,
# and texts that were written with the stamp.
EXAMINE = f"""
SELECT round, count(DISTINCT call_index), min(call_index), count(*), count(DISTINCT position),
    bool_and(starts_with(instruction, call_index || ' ' || position || ' ')),
    count(*) FILTER (reason IS NULL)
FROM {TABLE}_candidates GROUP BY round
"""

Tally = collections.Counter[str]


def rows_of(stamp: int, base: int) -> int:
    return base + stamp % 997


def records(round_key: str, stamp: int, rows: int) -> Iterator[AugmentedInstruction]:
    salt = stamp**7 + 1  # text that compresses about as badly as real text, at no cost
    for position in range(rows):
        yield AugmentedInstruction(
            round=round_key,
            candidate_id=f"can_{stamp:x}_{position}",
            instruction_id=f"ins_{stamp:x}_{position}",
            instruction=f"{stamp} {position} {salt * (position + 1):x}",
            origin="seed",
            template="t",
            seed_ids=["ins_1", "ins_2"],
            example_ids=[],
            call_index=stamp,
            position=position,
            generation_id=None,
            reason=None if position % KEPT_OF == 0 else "near_duplicate",
            detail=None,
        )


def keep_writing(root: Path, own_round: str, base: int, begun: Any, done: Any) -> None:
    """Publish for ever; `begun` and `done` count across kills."""
    lake = Lake(open_home(root, "simulated"), memory_mib=256, threads=1)
    draw = random.SystemRandom()
    while True:
        round_key = draw.choice((own_round, SHARED_ROUND))
        stamp = draw.getrandbits(40)
        with begun.get_lock():
            begun.value += 1
        with lake.session(round_key) as session:
            session.write_rows(TABLE, records(round_key, stamp, rows_of(stamp, base)))
        with done.get_lock():
            done.value += 1


def judge(found: list[tuple[Any, ...]], known: set[str], base: int, tally: Tally) -> None:
    tally["scans"] += 1
    tally["tables seen"] += len(found)
    seen = set()
    for round_key, stamps, stamp, rows, positions, texts, kept in found:
        seen.add(round_key)
        wanted = rows_of(stamp, base)
        whole = stamps == 1 and rows == positions == wanted and texts
        if not whole or kept != -(-wanted // KEPT_OF):
            tally["torn"] += 1
    tally["missing"] += len(known - seen)
    known |= seen


def keep_scanning_views(
    root: Path, base: int, fresh: bool, stop: Event, out: "Queue[tuple[str, Tally]]"
) -> None:
    """Read the home's views, over one connection or a fresh one each time."""
    tally, known = Tally(), set[str]()
    database = root / "autoif.duckdb"
    con = duckdb.connect(database, read_only=True, config={"threads": 1})
    while not stop.is_set():
        if fresh:
            con.close()
            con = duckdb.connect(database, read_only=True, config={"threads": 1})
        for _ in range(ATTEMPTS):
            try:
                found = con.execute(EXAMINE).fetchall()
            except duckdb.Error as error:
                tally["repeated"] += 1
                message = error
            else:
                judge(found, known, base, tally)
                break
        else:
            tally["unreadable"] += 1
            print(f"unreadable {ATTEMPTS} times: {message}", file=sys.stderr)
    con.close()
    out.put((f"views, {'fresh connections' if fresh else 'one connection'}", tally))


def keep_scanning_sessions(
    root: Path, base: int, stop: Event, out: "Queue[tuple[str, Tally]]"
) -> None:
    """Read through a session per scan, as a step does."""
    tally, known = Tally(), set[str]()
    lake = Lake(open_home(root, "simulated"), memory_mib=256, threads=1)
    while not stop.is_set():
        try:
            with lake.session() as session:
                under = f"{TABLE}_candidates"
                session.scan(TABLE, rounds=lake.rounds(TABLE), under=under, candidates=True)
                judge(list(session.rows(EXAMINE)), known, base, tally)
        except Exception as error:
            tally["unreadable"] += 1
            print(f"unreadable: {error}", file=sys.stderr)
    out.put(("sessions", tally))


def storm(root: Path, *, seconds: float, writers: int, base: int, pause_s: float) -> bool:
    """Run writers, readers and killer together; print what was seen; True if nothing was."""
    # Children that import nothing of their own start in milliseconds, so kills hit their work.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["autoif_dagster.lake"])
    open_home(root, "simulated")
    begun, done = context.Value("q", 0), context.Value("q", 0)
    stop, out = context.Event(), context.Queue()

    def start(target: Callable[..., None], *args: object) -> BaseProcess:
        process = context.Process(target=target, args=args, daemon=True)
        process.start()
        return process

    readers = [
        start(keep_scanning_views, root, base, True, stop, out),
        start(keep_scanning_views, root, base, False, stop, out),
        start(keep_scanning_sessions, root, base, stop, out),
    ]
    enlist = functools.partial(start, keep_writing, root)
    ranks = [f"r{n:04d}" for n in range(1, writers + 1)]
    at_work = {rank: enlist(rank, base, begun, done) for rank in ranks}
    kills, fallen = 0, 0
    draw = random.SystemRandom()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(draw.expovariate(1 / pause_s))
        rank = draw.choice(ranks)
        # Alive here, or it fell by itself: nothing else ends a writer.
        fallen += not at_work[rank].is_alive()
        at_work[rank].kill()
        at_work[rank].join()
        kills += 1
        at_work[rank] = enlist(rank, base, begun, done)
    for process in at_work.values():
        process.kill()
        process.join()
    stop.set()
    tallies = sorted(out.get(timeout=60) for _ in readers)
    for process in readers:
        process.join()

    orphans = len(list((root / "scratch").iterdir()))
    with Lake(open_home(root, "simulated")).session():
        left = len(list((root / "scratch").iterdir())) - 1  # its own
    print(f"writers {writers}, {seconds:.0f} s, {base}–{base + 996} rows a table")
    print(f"  publishes begun {begun.value}, finished {done.value}")
    print(f"  writers killed {kills + writers}, ended by themselves {fallen}")
    print(
        f"  scratch folders of killed writers at the end {orphans}, after the next session {left}"
    )
    columns = ("scans", "tables seen", "torn", "missing", "unreadable", "repeated")
    print(f"  {'readers':<26}" + "".join(f"{c:>13}" for c in columns))
    for name, tally in tallies:
        print(f"  {name:<26}" + "".join(f"{tally[c]:>13}" for c in columns))
    bad = sum(t["torn"] + t["missing"] + t["unreadable"] for _, t in tallies)
    return not (bad or left or fallen)


def price(root: Path, *, rows: int, repeats: int) -> None:
    """Print what a publish costs beside a bare write of the same rows."""
    lake = Lake(open_home(root, "simulated"))
    bare = root / "bare.parquet"
    table_of = {rows: list(records("r0001", 1, rows))}
    names = AugmentedInstruction.__slots__
    times: dict[str, list[float]] = collections.defaultdict(list)

    def timed(name: str, work: Callable[[], object]) -> None:
        begin = time.perf_counter()
        work()
        times[name].append(time.perf_counter() - begin)

    def bare_rows() -> None:
        columns = {n: [getattr(row, n) for row in table_of[rows]] for n in names}
        pq.write_table(pa.table(columns), bare, compression="zstd")

    with lake.session("r0001") as session:
        for repeat in range(repeats):
            # Each repetition publishes other content: an equal one would not be replaced.
            sql = (
                "SELECT * REPLACE (instruction || "
                f"' {repeat}' AS instruction) FROM read_parquet('{bare}')"
            )
            timed("rows, bare", bare_rows)
            timed("rows, publish", lambda: session.write_rows(TABLE, iter(table_of[rows])))
            session.con.execute(f"CREATE OR REPLACE TEMP TABLE given AS {sql}")
            copy = f"COPY given TO '{root / 'copy.parquet'}' (FORMAT parquet, COMPRESSION zstd)"
            timed("sql, bare", functools.partial(session.con.execute, copy))
            timed("sql, publish", lambda: session.write_sql(TABLE, "FROM given"))
    for kind in ("rows", "sql"):
        plain, ours = (statistics.median(times[f"{kind}, {w}"]) for w in ("bare", "publish"))
        print(
            f"  {rows:>9,} {kind:<5} bare {plain * 1e3:>8.1f} ms   publish {ours * 1e3:>8.1f} ms"
            f"   ratio {ours / plain:>5.2f}   added {(ours - plain) / rows * 1e6:>6.2f} µs a row"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="how long the storm lasts")
    parser.add_argument("--writers", type=int, default=3)
    parser.add_argument("--rows", type=int, default=2_000, help="rows of a table in the storm")
    parser.add_argument("--pause", type=float, default=0.8, help="mean seconds between kills")
    parser.add_argument("--repeats", type=int, default=7, help="repetitions behind each price")
    parser.add_argument("--prices", type=int, nargs="*", default=[1_000, 20_000, 200_000])
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="autoif-lake-"))
    try:
        calm = storm(
            folder / "storm",
            seconds=given.seconds,
            writers=given.writers,
            base=given.rows,
            pause_s=given.pause,
        )
        print("price of a publish")
        for rows in given.prices:
            price(folder / f"price-{rows}", rows=rows, repeats=given.repeats)
    finally:
        shutil.rmtree(folder)
    return 0 if calm else 1


if __name__ == "__main__":
    sys.exit(main())
