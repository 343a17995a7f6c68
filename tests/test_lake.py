"""The lake: what it refuses, what it hashes, who may read meanwhile, and what a kill leaves."""

import dataclasses
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoif_dagster.errors import AutoIFError, HomeError, LakeError
from autoif_dagster.home import open_home
from autoif_dagster.lake import Lake, Session, Written
from autoif_dagster.records import (
    TABLES,
    AugmentedInstruction,
    CaseVerdict,
    QualityScore,
    RoundPlan,
    SeedInstruction,
    UserQuery,
)

ROUND = "r0001"
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])  # children start in milliseconds


@pytest.fixture
def lake(home: Path) -> Lake:
    return Lake(open_home(home, "simulated"), memory_mib=512, threads=2)


@pytest.fixture(scope="module")
def shared_lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """For tests that first write what they look at; making a home takes a quarter of a second."""
    return Lake(open_home(tmp_path_factory.mktemp("shared"), "simulated"), threads=1)


def seed(n: int, **other: Any) -> SeedInstruction:
    return dataclasses.replace(SeedInstruction(f"ins_{n}", f"text {n}", "length", n), **other)


def query(line: int, query_id: str = "", reason: str | None = None) -> UserQuery:
    return UserQuery(query_id or f"qry_{line}", f"what is {line}?", line, None, reason, None)


def candidate(n: int, **other: Any) -> AugmentedInstruction:
    row = AugmentedInstruction(
        round=ROUND,
        candidate_id=f"can_{n}",
        instruction_id=f"ins_{n}",
        instruction=f"Use {n} words",
        origin="seed",
        template="Use # words",
        seed_ids=["ins_a", "ins_b"],
        example_ids=[],
        call_index=-1,
        position=n,
        generation_id=None,
        reason=None,
        detail=None,
    )
    return dataclasses.replace(row, **other)


def verdict(function: str = "fun_1", case: str = "cas_1", **other: Any) -> CaseVerdict:
    row = CaseVerdict(ROUND, "ins_1", function, case, "TRUE", "TRUE", None, "sandbox:1")
    return dataclasses.replace(row, **other)


def _value(session: Session, sql: str, parameters: dict[str, object] | None = None) -> object:
    ((value,),) = session.con.execute(sql, parameters or {}).fetchall()
    return value


def contents(lake: Lake, table: str, round_key: str | None = ROUND) -> list[tuple[Any, ...]]:
    with lake.session(round_key) as session:
        session.scan(table, candidates=True)
        return list(session.rows(f"SELECT * FROM {table} ORDER BY ALL"))


def views(lake: Lake, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(lake.home.database, read_only=True) as con:
        return con.execute(sql).fetchall()


R = TypeVar("R")


def in_a_process(work: Callable[..., R], *arguments: object) -> R:
    """What `work` returns in a process of its own, whose limits and peaks are its own."""
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_report, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        result: R = ours.recv()
    finally:
        ours.close()
        process.join()
    return result


def _report(answer: Connection, work: Callable[..., object], arguments: tuple[object, ...]) -> None:
    answer.send(work(*arguments))


def scratch_of(root: Path) -> list[str]:
    folder = root / "scratch"
    return names_in(folder) if folder.exists() else []


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


MANY = (
    "SELECT md5((n * 7)::VARCHAR) AS instruction_id, md5(n::VARCHAR) || md5((n + 1)::VARCHAR) AS "
    "instruction, 'k' AS kind, n AS line FROM range(200_000) AS r(n)"
)


# Writing


def test_a_written_table_reads_back_as_it_was(lake: Lake) -> None:
    rows = [
        candidate(1, instruction="naïve 🙂\n\t\"quoted\" 'single' \x00 \\", seed_ids=[]),
        candidate(2, generation_id="gen_1", reason="unreadable", detail=""),
        candidate(3, call_index=2**63 - 1, position=-(2**63)),
    ]
    with lake.session(ROUND) as session:
        written = session.write_rows("augmented_instructions", iter(rows), candidates=3)
    assert (written.rows, written.kept, written.reasons) == (3, 2, {"unreadable": 1})
    assert written.changed
    assert contents(lake, "augmented_instructions") == [dataclasses.astuple(row) for row in rows]


def test_a_table_without_rows_is_a_table(lake: Lake) -> None:
    with lake.session(ROUND) as session:
        by_rows = session.write_rows("augmented_instructions", [])
        by_sql = session.write_sql(
            "case_verdicts",
            "SELECT NULL AS round, NULL AS instruction_id, NULL AS function_id, NULL AS case_id, "
            "NULL AS verdict, NULL AS second_verdict, NULL AS detail, NULL AS sandbox WHERE false",
        )
    assert (by_rows.rows, by_sql.rows) == (0, 0)
    assert contents(lake, "augmented_instructions") == []
    assert contents(lake, "case_verdicts") == []


def test_tables_are_stored_in_the_order_of_their_columns(lake: Lake) -> None:
    with lake.session() as session:
        written = session.write_sql(
            "seed_instructions",
            "SELECT 'k' AS kind, n AS line, 'text ' || n AS instruction, 'ins_' || (9 - n) AS "
            "instruction_id FROM range(9) AS r(n) -- a remark at the end",
        )
    table = pq.read_table(written.path)
    assert table.column_names == [c.name for c in TABLES["seed_instructions"].columns]
    assert sorted(table["instruction_id"].to_pylist()) == [f"ins_{n}" for n in range(1, 10)]


def test_queries_take_parameters(lake: Lake) -> None:
    with lake.session() as session:
        session.write_sql(
            "seed_instructions",
            "SELECT 'ins_' || n AS instruction_id, $text AS instruction, 'k' AS kind, n AS line "
            "FROM range($rows) AS r(n)",
            {"text": "it's; --", "rows": 3},
        )
        session.scan("seed_instructions")
        assert session.count("SELECT count(*) FROM seed_instructions") == 3
        assert _value(
            session,
            "SELECT count(*) FROM seed_instructions WHERE instruction = $text AND line >= $line",
            {"text": "it's; --", "line": 1},
        ) == 2  # fmt: skip
        found = session.rows("SELECT line FROM seed_instructions WHERE line > $line", {"line": 1})
        assert list(found) == [(2,)]


def test_a_session_without_a_round_writes_no_rounds_table(lake: Lake) -> None:
    with pytest.raises(LakeError, match="made per round"), lake.session() as session:
        session.write_rows("augmented_instructions", [])


@pytest.mark.parametrize("key", ["schema", "", "../r1", "a/b", "r*", "r'1", "r[1]", " "])
def test_a_round_is_not_named_like_something_else(shared_lake: Lake, key: str) -> None:
    with pytest.raises(LakeError, match="cannot be a round's key"):
        shared_lake.path("augmented_instructions", key)


def memory_of_a_long_write(root: Path, rows: int) -> tuple[int, int]:
    """Bytes that writing added to the peak of this process, and bytes of text written."""
    lake = Lake(open_home(root, "simulated"), memory_mib=256, threads=1)
    filler = "x" * 700
    with lake.session() as session:
        session.write_rows("seed_instructions", [seed(1)])  # what the first write loads anyway
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        stream = (SeedInstruction(f"ins_{n}", f"{n} {filler}", "k", n) for n in range(rows))
        assert session.write_rows("seed_instructions", stream, candidates=rows).rows == rows
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (after - before) * 1024, rows * len(filler)


def test_rows_are_streamed(home: Path) -> None:
    added, written = in_a_process(memory_of_a_long_write, home, 500_000)
    assert written > 300 << 20
    assert added < 200 << 20, f"{added >> 20} MiB more for {written >> 20} MiB of text"


# Invariants

Break = Callable[[Session], Written]


def _dangling(session: Session) -> Written:
    session.write_rows("augmented_instructions", [candidate(1), candidate(2, reason="duplicate")])
    return session.write_rows(
        "case_verdicts", [verdict(), verdict("fun_2", instruction_id="ins_2")]
    )


BROKEN: dict[str, tuple[str, Break, str]] = {
    "a key twice": (
        "seed_instructions",
        lambda s: s.write_rows("seed_instructions", [seed(1), seed(2), seed(1, line=3)]),
        r"instruction_id twice \(ins_1",
    ),
    "a key of two columns twice": (
        "case_verdicts",
        lambda s: s.write_rows("case_verdicts", [verdict(), verdict(verdict="FALSE")]),
        r"function_id and case_id twice \(fun_1",
    ),
    "a kept key twice": (
        "user_queries",
        lambda s: s.write_rows("user_queries", [query(1, "qry_x"), query(2, "qry_x")]),
        r"query_id twice \(qry_x",
    ),
    "nothing in a required column": (
        "seed_instructions",
        lambda s: s.write_rows("seed_instructions", [seed(1), seed(2, kind=None)]),
        r"nothing in a required column \(ins_2",
    ),
    "nothing in a required column, by SQL": (
        "seed_instructions",
        lambda s: s.write_sql(
            "seed_instructions",
            "SELECT 'ins_1' AS instruction_id, NULL AS instruction, 'k' AS kind, 1 AS line",
        ),
        r"nothing in a required column \(ins_1",
    ),
    "a reference to a row that fell": (
        "case_verdicts", _dangling, r"instruction_id that is not in augmented_instr.* \(ins_2"
    ),
    "fewer rows than candidates": (
        "user_queries",
        lambda s: s.write_rows("user_queries", [query(1), query(2, reason="short")], candidates=3),
        "2 rows for 3 candidates",
    ),
    "more rows than candidates": (
        "seed_instructions",
        lambda s: s.write_sql(
            "seed_instructions",
            "SELECT 'ins_' || n AS instruction_id, 'a' AS instruction, 'k' AS kind, n AS line "
            "FROM range(3) AS r(n)",
            candidates="SELECT 2",
        ),
        "3 rows for 2 candidates",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("table", "break_it", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_table_is_refused_and_the_old_one_stays(
    shared_lake: Lake, table: str, break_it: Break, message: str
) -> None:
    with shared_lake.session(ROUND) as session:
        session.write_rows("augmented_instructions", [candidate(1)])
        old = session.write_rows(table, [_any_row(table)]).path
    before = (old.read_bytes(), old.stat().st_mtime_ns, old.stat().st_ino)
    with pytest.raises(LakeError, match=message) as error, shared_lake.session(ROUND) as session:
        break_it(session)
    assert str(error.value).startswith(f"{table}: ")
    assert len(str(error.value).splitlines()) == 1
    assert (old.read_bytes(), old.stat().st_mtime_ns, old.stat().st_ino) == before
    assert scratch_of(shared_lake.home.root) == []


def _any_row(table: str) -> object:
    rows = {"seed_instructions": seed(7), "user_queries": query(7), "case_verdicts": verdict()}
    return rows[table]


def test_fallen_rows_may_repeat_what_kept_rows_may_not(lake: Lake) -> None:
    rows = [query(1, "qry_x"), query(2, "qry_x", "duplicate"), query(3, "qry_x", "duplicate")]
    with lake.session() as session:
        written = session.write_rows("user_queries", rows)
    assert (written.kept, written.reasons) == (1, {"duplicate": 2})


def test_a_table_whose_parent_is_missing_is_refused(lake: Lake) -> None:
    missing = pytest.raises(LakeError, match="augmented_instructions has no r0001 yet")
    with missing, lake.session(ROUND) as session:
        session.write_rows("case_verdicts", [verdict()])
    assert not lake.path("case_verdicts", ROUND).exists()


def test_every_reference_names_a_column_of_both_tables() -> None:
    for table in TABLES.values():
        names = {c.name for c in table.columns}
        assert names.issuperset(table.key + table.kept_key)
        for column, parent in table.references:
            assert column in names, table.name
            assert column in {c.name for c in TABLES[parent].columns}, (table.name, parent)


def test_a_row_generator_that_fails_publishes_nothing(lake: Lake) -> None:
    def rows() -> Iterator[SeedInstruction]:
        yield from (seed(n) for n in range(20_000))  # more than one row group is out already
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), lake.session() as session:
        session.write_rows("seed_instructions", rows())
    assert not lake.path("seed_instructions", None).exists()
    assert scratch_of(lake.home.root) == []


# Content hash

texts = st.text(st.characters(codec="utf-8"), max_size=12)
seeds = st.tuples(texts, texts, texts, st.integers(-(2**63), 2**63 - 1)).map(
    lambda values: SeedInstruction(*values)
)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(seeds, min_size=1, max_size=8, unique_by=lambda row: row.instruction_id),
    draw=st.randoms(use_true_random=False),
)
def test_the_hash_is_of_the_set_of_rows(
    shared_lake: Lake, rows: list[SeedInstruction], draw: random.Random
) -> None:
    shuffled = draw.sample(rows, len(rows))
    victim = draw.randrange(len(rows))
    changed = [*rows]
    changed[victim] = dataclasses.replace(rows[victim], kind=rows[victim].kind + "!")
    with shared_lake.session() as session:
        first = session.write_rows("seed_instructions", rows)
        again = session.write_rows("seed_instructions", shuffled)
        session.scan("seed_instructions", under="given")
        by_sql = session.write_sql("seed_instructions", "FROM given ORDER BY line DESC")
        other = session.write_rows("seed_instructions", changed)
        fewer = session.write_rows("seed_instructions", rows[1:])
    assert first.content_hash == again.content_hash == by_sql.content_hash
    assert not again.changed
    assert not by_sql.changed
    assert len({first.content_hash, other.content_hash, fewer.content_hash}) == 3


def test_the_hash_sees_every_column_and_nothing_from_null(lake: Lake) -> None:
    base = candidate(1)
    others: dict[str, Any] = {
        "round": "r0002",
        "candidate_id": "can_9",
        "instruction_id": "ins_9",
        "instruction": "",
        "origin": "self_instruct",
        "template": "Use # word",
        "seed_ids": ["ins_b", "ins_a"],
        "example_ids": ["ins_a"],
        "call_index": 0,
        "position": 2,
        "generation_id": "",
        "reason": "",
        "detail": "",
    }
    rows = [base, *(dataclasses.replace(base, **{name: others[name]}) for name in others)]
    assert len(rows) == 1 + len(TABLES["augmented_instructions"].columns)
    with lake.session(ROUND) as session:
        hashes = [session.write_rows("augmented_instructions", [r]).content_hash for r in rows]
    assert len(set(hashes)) == len(rows)


def test_the_hash_sees_the_last_bit_of_a_number(lake: Lake) -> None:
    def hash_of(session: Session, score: float | None) -> str:
        row = QualityScore(ROUND, "rsp_1", "prm_1", 0, score, 1, None, None)
        return session.write_rows("quality_scores", [row]).content_hash

    # The one response that the score is of; the rest of its row does not matter here.
    parent = lake.path("responses", ROUND)
    duckdb.execute(f"COPY (SELECT 'rsp_1' AS response_id) TO '{parent}'")
    with lake.session(ROUND) as session:
        scores = [0.1 + 0.2, 0.3, 8.0, 8.000000000000002, 1e300, None]
        assert len({hash_of(session, score) for score in scores}) == len(scores)


def test_the_hash_is_the_same_for_ever(lake: Lake) -> None:
    """Pinned: a new engine that hashed otherwise would make every stored table look changed."""
    with lake.session(ROUND) as session:
        written = session.write_rows("augmented_instructions", [candidate(1), candidate(2)])
    assert written.content_hash == "2-7a4b5fef2896f372577df3e97e749cfc"


def test_unchanged_content_keeps_its_file(lake: Lake) -> None:
    with lake.session() as session:
        first = session.write_rows("seed_instructions", [seed(1), seed(2)])
        stamp = first.path.stat()
        time.sleep(0.01)
        again = session.write_rows("seed_instructions", [seed(2), seed(1)])
        kept = first.path.stat()
        other = session.write_rows("seed_instructions", [seed(1)])
    assert (first.changed, again.changed, other.changed) == (True, False, True)
    assert (kept.st_mtime_ns, kept.st_ino) == (stamp.st_mtime_ns, stamp.st_ino)
    assert first.path.stat().st_ino != stamp.st_ino


@pytest.mark.parametrize("damage", [b"", b"not a table, but long enough to be one", "cut"])
def test_a_damaged_file_is_named_and_mended_by_writing_again(
    shared_lake: Lake, damage: bytes | str
) -> None:
    with shared_lake.session() as session:
        path = session.write_rows("seed_instructions", [seed(1)]).path
    path.write_bytes(path.read_bytes()[:-9] if isinstance(damage, str) else damage)
    with pytest.raises(LakeError) as error, shared_lake.session() as session:
        session.scan("seed_instructions")
    assert str(path) in str(error.value)
    assert "materialize seed_instructions again" in str(error.value)
    with shared_lake.session() as session:
        assert session.write_rows("seed_instructions", [seed(1)]).changed
    assert len(contents(shared_lake, "seed_instructions", None)) == 1


def test_of_many_rounds_the_one_with_a_damaged_page_is_named(lake: Lake) -> None:
    """Its footer is whole, so that it can be scanned; only reading it shows."""
    for key in ("r0001", "r0002", "r0003"):
        with lake.session(key) as session:
            rows = [candidate(n, round=key) for n in range(500)]
            session.write_rows("augmented_instructions", rows)
    path = lake.path("augmented_instructions", "r0002")
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(396) + whole[400:])

    def read_all() -> None:
        with lake.session("r0003") as session:
            session.scan("augmented_instructions", rounds=["r0001", "r0002", "r0003"])
            list(session.rows("SELECT * FROM augmented_instructions"))

    with pytest.raises(LakeError) as error:
        read_all()
    assert str(path) in str(error.value)


def test_a_copy_that_somebody_left_is_no_round(lake: Lake) -> None:
    with lake.session("r0001") as session:
        path = session.write_rows("augmented_instructions", [candidate(1, round="r0001")]).path
    path.with_name("r0001 copy.parquet").write_bytes(path.read_bytes())
    assert lake.rounds("augmented_instructions") == ["r0001"]


# Reading


def test_a_scan_reads_the_rounds_it_is_told(lake: Lake) -> None:
    for key, count in (("r0001", 1), ("r0002", 2), ("r0003", 4)):
        with lake.session(key) as session:
            rows = [candidate(n, round=key) for n in range(count)]
            session.write_rows("augmented_instructions", rows)
    with lake.session("r0002") as session:
        session.scan("augmented_instructions")
        session.scan("augmented_instructions", rounds=["r0001", "r0003"], under="others")
        session.scan("augmented_instructions", rounds=[], under="none")
        assert session.count("SELECT count(*) FROM augmented_instructions") == 2
        assert list(
            session.rows("SELECT round, count(*) FROM others GROUP BY round ORDER BY round")
        ) == [("r0001", 1), ("r0003", 4)]
        assert list(session.rows("FROM none")) == []
    assert lake.rounds("augmented_instructions") == ["r0001", "r0002", "r0003"]
    assert lake.rounds("responses") == []


def test_a_scan_of_a_decision_shows_what_was_kept_unless_asked(lake: Lake) -> None:
    with lake.session() as session:
        session.write_rows("user_queries", [query(1), query(2, reason="short"), query(3)])
        session.scan("user_queries")
        session.scan("user_queries", under="everything", candidates=True)
        assert list(session.rows("SELECT line FROM user_queries ORDER BY line")) == [(1,), (3,)]
        assert list(
            session.rows("SELECT line, reason FROM everything ORDER BY line")
        ) == [(1, None), (2, "short"), (3, None)]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "rounds", "message"),
    [
        ("seed_instructions", None, "table seed_instructions has no rows yet: materialize seed"),
        ("responses", None, "table responses has no r0001 yet: materialize responses first"),
        ("responses", ["r0001", "r0007"], "table responses has no r0001 yet"),
    ],
)
def test_a_missing_table_says_what_to_do(
    lake: Lake, table: str, rounds: list[str] | None, message: str
) -> None:
    with pytest.raises(LakeError, match=message), lake.session(ROUND) as session:
        session.scan(table, rounds=rounds)


def test_a_round_is_complete_once_both_data_sets_stand(lake: Lake) -> None:
    assert lake.complete_rounds() == []
    for table, key in (("sft_dataset", "r0001"), ("sft_dataset", "r0002"), ("dpo_pairs", "r0002")):
        path = lake.path(table, key)
        path.write_bytes((path.parent / "schema.parquet").read_bytes())
    assert lake.complete_rounds() == ["r0002"]


def test_rows_stream_while_other_queries_run(lake: Lake) -> None:
    with lake.session() as session:
        session.write_rows("seed_instructions", (seed(n) for n in range(1_000)))
        session.scan("seed_instructions")
        seen = []
        for (line,) in session.rows("SELECT line FROM seed_instructions ORDER BY line", block=64):
            seen.append(line)
            if line % 100 == 0:
                inner = "SELECT line FROM seed_instructions WHERE line > $line ORDER BY line"
                assert next(session.rows(inner, {"line": line})) == (line + 1,)
                assert session.count("SELECT count(*) FROM seed_instructions") == 1_000
        assert seen == list(range(1_000))


def test_rows_can_feed_a_write_of_the_same_session(lake: Lake) -> None:
    with lake.session() as session:
        session.write_rows("seed_instructions", (seed(n) for n in range(40_000)))
        session.scan("seed_instructions")
        stream = (
            UserQuery(f"qry_{line}", text, line, None, None, None)
            for line, text in session.rows("SELECT line, instruction FROM seed_instructions")
        )
        assert session.write_rows("user_queries", stream, candidates=40_000).rows == 40_000


def test_a_session_keeps_reading_the_files_it_found(lake: Lake) -> None:
    """DuckDB opens a file again after it read its footer; a replaced one would be garbage."""
    rows = 40_000
    with lake.session() as writer:
        writer.write_rows("seed_instructions", (seed(n) for n in range(rows)))
    with lake.session() as reader:
        reader.scan("seed_instructions")
        half = reader.rows("SELECT line FROM seed_instructions", block=1_000)
        assert next(half)
        with lake.session() as writer:
            replaced = writer.write_rows("seed_instructions", [seed(1, kind="new")])
        assert replaced.changed
        assert sum(1 for _ in half) == rows - 1
        assert reader.count("SELECT count(*) FROM seed_instructions") == rows
    assert len(contents(lake, "seed_instructions", None)) == 1


def test_a_session_reads_what_it_wrote_itself(lake: Lake) -> None:
    with lake.session() as session:
        for kind in ("old", "new"):
            session.write_rows("seed_instructions", [seed(1, kind=kind)])
            session.scan("seed_instructions")
            assert _value(session, "SELECT kind FROM seed_instructions") == kind


def test_an_open_view_reads_on_while_its_file_is_replaced(lake: Lake) -> None:
    with lake.session() as writer:
        writer.write_rows("seed_instructions", (seed(n) for n in range(40_000)))
    with duckdb.connect(lake.home.database, read_only=True) as con, con.cursor() as other:
        stream = other.sql("SELECT line FROM seed_instructions").to_arrow_reader(1_000)
        first = stream.read_next_batch()
        with lake.session() as writer:
            writer.write_rows("seed_instructions", [seed(1, kind="new")])
        # Same size, same second, same connection: no cache may answer for the old file.
        assert con.execute("SELECT kind FROM seed_instructions").fetchall() == [("new",)]
        with lake.session() as writer:
            writer.write_rows("seed_instructions", [seed(1, kind="odd")])
        assert con.execute("SELECT kind FROM seed_instructions").fetchall() == [("odd",)]
    assert first["line"].to_pylist() == list(range(1_000))


def test_a_session_has_the_settings_of_its_lake(home: Path) -> None:
    lake = Lake(open_home(home, "simulated"), memory_mib=300, threads=3)
    with lake.session() as session:
        setting = "SELECT current_setting($name)"
        assert _value(session, setting, {"name": "threads"}) == 3
        assert _value(session, setting, {"name": "memory_limit"}) == "300.0 MiB"
        assert _value(session, setting, {"name": "autoinstall_known_extensions"}) is False
        spill = Path(str(_value(session, setting, {"name": "temp_directory"})))
        assert spill.parent == home / "scratch"
        assert spill.is_dir()
    assert not spill.exists()


def test_beyond_its_memory_a_session_spills_to_its_scratch(home: Path) -> None:
    lake = Lake(open_home(home, "simulated"), memory_mib=128, threads=1)
    much = MANY.replace("md5(n::VARCHAR) ||", "repeat(md5(n::VARCHAR), 4) ||")
    much = f"SELECT * FROM ({much.replace('200_000', '400_000')}) ORDER BY instruction"

    def write(session: Session, room: str) -> int:
        session.con.execute(f"SET max_temp_directory_size = '{room}'")
        return session.write_sql("seed_instructions", much).rows

    with pytest.raises(LakeError, match="Out of Memory"), lake.session() as session:
        write(session, "0KiB")
    with lake.session() as session:
        assert write(session, "1GiB") == 400_000
    assert scratch_of(home) == []


# Views


def test_the_views_show_kept_fallen_and_rejected_rows(lake: Lake) -> None:
    with lake.session(ROUND) as session:
        session.write_rows("user_queries", [query(1), query(2, "qry_x", "short")])
        session.write_rows(
            "augmented_instructions",
            [
                candidate(1),
                candidate(2, reason="near_duplicate", detail="0.9", generation_id="gen_1"),
            ],
        )
    assert views(lake, "SELECT line FROM user_queries") == [(1,)]
    assert views(lake, "SELECT instruction_id FROM augmented_instructions") == [("ins_1",)]
    assert views(lake, "SELECT count(*) FROM augmented_instructions_candidates") == [(2,)]
    assert views(lake, "FROM rejections ORDER BY stage") == [
        ("augmented_instructions", ROUND, "can_2", "gen_1", "near_duplicate", "0.9"),
        ("user_queries", None, "qry_x", None, "short", None),
    ]


def test_kept_and_rejected_make_the_candidates_of_every_decision(lake: Lake) -> None:
    """One kept and two fallen rows in each decision, whatever its columns, reach all its views."""
    decisions = [table for table in TABLES.values() if table.is_decision]
    assert len(decisions) > 8
    for table in decisions:
        columns = ", ".join(
            f"CASE WHEN n > 0 THEN 'fell' END AS {c.name}" if c.name == "reason"
            else f"NULL::{c.type} AS {c.name}" if c.type != "VARCHAR"
            else f"'{c.name} ' || n AS {c.name}"
            for c in table.columns
        )  # fmt: skip
        path = lake.path(table.name, ROUND)
        duckdb.execute(f"COPY (SELECT {columns} FROM range(3) AS r(n)) TO '{path}'")
    with duckdb.connect(lake.home.database, read_only=True) as con:
        for table in decisions:
            counts = f"SELECT count(*), (SELECT count(*) FROM {table.name}_candidates)"
            assert con.execute(f"{counts} FROM {table.name}").fetchall() == [(1, 3)]
        rejected = con.execute("FROM rejections ORDER BY ALL").fetchall()
    assert rejected == sorted(
        (
            table.name,
            f"round {n}" if table.has_round else None,
            f"{table.item} {n}",
            f"{table.parent} {n}" if table.parent else None,
            "fell",
            f"detail {n}",
        )
        for table in decisions
        for n in (1, 2)
    )


# Disks that do not take it


def _write_much_by_rows(session: Session) -> None:
    draw = random.Random(1)
    rows = (seed(n, instruction=draw.randbytes(64).hex()) for n in range(100_000))
    session.write_rows("seed_instructions", rows)


def _write_much_by_sql(session: Session) -> None:
    session.write_sql("seed_instructions", MANY)


def _spill_much(session: Session) -> None:
    session.con.execute("SET memory_limit = '32MiB'")
    session.con.execute("SET threads = 1")
    session.write_sql("seed_instructions", MANY.replace("200_000", "1_000_000"))


MUCH = [_write_much_by_rows, _write_much_by_sql, _spill_much]


def outcome(work: Callable[[], object]) -> str:
    """The project's error that `work` ends with, as text; any other error is not caught."""
    try:
        work()
    except AutoIFError as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def limit_files(size: int) -> None:
    """From here on no file of this process may grow beyond `size` bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def write_under_a_limit(root: Path, write: Callable[[Session], None], size: int | None) -> str:
    lake = Lake(open_home(root, "simulated"))
    if size is not None:
        limit_files(size)

    def work() -> None:
        with lake.session() as session:
            write(session)

    return outcome(work)


def open_under_a_limit(root: Path, size: int) -> str:
    limit_files(size)
    return outcome(lambda: open_home(root, "simulated"))


@pytest.mark.parametrize("write", MUCH)
def test_a_file_that_cannot_grow_replaces_nothing(
    lake: Lake, write: Callable[[Session], None]
) -> None:
    root = lake.home.root
    with lake.session() as session:
        old = session.write_rows("seed_instructions", [seed(1)]).path
    before = old.read_bytes()
    said = in_a_process(write_under_a_limit, root, write, 200_000)
    assert said.startswith(f"LakeError: {root}: ")
    assert "File too large" in said
    assert len(said.splitlines()) == 1
    assert old.read_bytes() == before
    assert scratch_of(root) == []
    assert names_in(old.parent) == ["all.parquet", "schema.parquet"]


@pytest.mark.parametrize("size", [100, 900, 20_000])
def test_a_home_that_does_not_fit_is_whole_after_the_next_try(home: Path, size: int) -> None:
    said = in_a_process(open_under_a_limit, home, size)
    assert said.startswith(f"HomeError: AUTOIF_HOME {home}")
    assert len(said.splitlines()) == 1
    lake = Lake(open_home(home, "simulated"))
    assert views(lake, "SELECT count(*) FROM rejections") == [(0,)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "autoif-test", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small disk takes rights that this process does not have")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("write", MUCH)
def test_a_full_disk_replaces_nothing(small_disk: Path, write: Callable[[Session], None]) -> None:
    root = small_disk / "home"
    lake = Lake(open_home(root, "simulated"))
    with lake.session() as session:
        old = session.write_rows("seed_instructions", [seed(1)]).path
    before = old.read_bytes()
    said = in_a_process(write_under_a_limit, root, write, None)
    assert said.startswith(f"LakeError: {root}: ")
    assert len(said.splitlines()) == 1
    assert old.read_bytes() == before
    assert scratch_of(root) == []
    with lake.session() as session:  # there is room again
        assert session.write_rows("seed_instructions", [seed(1), seed(2)]).rows == 2


def test_a_home_on_a_full_disk_is_refused(small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(b"x" * (3 << 20))
    with pytest.raises(HomeError, match="No space left on device") as error:
        open_home(small_disk / "home", "simulated")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("in_the_way", ["lake/seed_instructions", "scratch"])
def test_a_folder_that_cannot_be_written_is_an_error_of_one_line(
    lake: Lake, in_the_way: str
) -> None:
    """A file where a folder belongs stops even root, whom permissions do not."""
    folder = lake.home.root / in_the_way
    if folder.exists():
        (folder / "schema.parquet").unlink()
        folder.rmdir()
    folder.write_text("")
    with pytest.raises(LakeError) as error, lake.session() as session:
        session.write_rows("seed_instructions", [seed(1)])
    assert in_the_way in str(error.value)
    assert len(str(error.value).splitlines()) == 1


# Kills and crowds


def rewrite_for_ever(root: Path, published: Connection) -> None:
    """Publish a table again and again; all its rows carry one stamp, which is also their number."""
    lake = Lake(open_home(root, "simulated"), memory_mib=256, threads=1)
    for stamp in range(1_000 + os.getpid() % 1_000, 9_000):
        with lake.session(ROUND) as session:
            rows = (candidate(n, call_index=stamp) for n in range(stamp))
            session.write_rows("augmented_instructions", rows)
        published.send(stamp)


def test_kills_tear_nothing_and_leave_nothing(lake: Lake) -> None:
    draw = random.Random(20_240_613)
    root = lake.home.root
    orphans = 0
    for _ in range(8):
        ours, theirs = CONTEXT.Pipe(duplex=False)
        writer = CONTEXT.Process(target=rewrite_for_ever, args=(root, theirs), daemon=True)
        writer.start()
        theirs.close()
        with ours:
            ours.recv()
            begin = time.monotonic()
            last: int = ours.recv()
            time.sleep(draw.uniform(0.0, time.monotonic() - begin))  # somewhere in the next one
            assert writer.is_alive()
            writer.kill()
            writer.join()
        orphans += len(scratch_of(root))
        table = contents(lake, "augmented_instructions")  # a session: sweeps, too
        assert scratch_of(root) == []
        (stamp,) = {row[8] for row in table}
        assert stamp >= last
        assert len(table) == len({row[1] for row in table}) == stamp
    assert orphans, "no writer was killed at work"
    assert names_in(lake.home.lake / "augmented_instructions") == [
        "r0001.parquet",
        "schema.parquet",
    ]


def open_and_close(root: Path, times: int) -> int:
    lake = Lake(open_home(root, "simulated"), memory_mib=256, threads=1)
    for _ in range(times):
        with lake.home.scratch() as folder:
            assert (folder / "owner").exists()
    return times


def test_sessions_that_come_and_go_at_once_leave_each_other_alone(home: Path) -> None:
    with CONTEXT.Pool(4) as pool:
        done = pool.starmap(open_and_close, [(home, 150)] * 4)
    assert done == [150] * 4
    assert scratch_of(home) == []


def write_the_round(root: Path, stamp: int) -> int:
    lake = Lake(open_home(root, "simulated"), memory_mib=256, threads=1)
    with lake.session(ROUND) as session:
        rows = [candidate(n, call_index=stamp) for n in range(2_000)]
        return session.write_rows("augmented_instructions", rows).rows


def test_writers_of_one_round_at_once_leave_the_table_of_one(home: Path) -> None:
    with CONTEXT.Pool(4) as pool:
        assert pool.starmap(write_the_round, [(home, n) for n in range(8)]) == [2_000] * 8
    lake = Lake(open_home(home, "simulated"))
    table = contents(lake, "augmented_instructions")
    assert len(table) == 2_000
    assert len({row[8] for row in table}) == 1


def test_a_round_made_aside_appears_at_once(lake: Lake) -> None:
    aside = lake.home.root / "aside"
    with lake.session(ROUND, aside=aside) as session:
        session.write_rows("augmented_instructions", [candidate(1)])
        session.write_rows("case_verdicts", [verdict()])  # its instruction is found aside
        with pytest.raises(LakeError, match="not in augmented_instructions"):
            session.write_rows("case_verdicts", [verdict(instruction_id="ins_2")])
        session.scan("augmented_instructions")
        assert _value(session, "SELECT count(*) FROM augmented_instructions") == 1
    assert lake.rounds("augmented_instructions") == lake.rounds("case_verdicts") == []
    lake.home.commit_import(aside, ROUND)
    assert lake.rounds("augmented_instructions") == lake.rounds("case_verdicts") == [ROUND]
    assert lake.home.unreported_imports() == [ROUND]
    lake.home.forget_import(ROUND)
    assert lake.home.unreported_imports() == []


def test_a_planned_round_is_not_imported_over(lake: Lake) -> None:
    plan = RoundPlan(ROUND, 1, [], [], [], [], None)
    aside = lake.home.root / "aside"
    for folder in (None, aside):
        with lake.session(ROUND, aside=folder) as session:
            session.write_rows("round_plan", [plan])
    with pytest.raises(HomeError, match="started meanwhile"):
        lake.home.commit_import(aside, ROUND)
    assert lake.home.unreported_imports() == []


def test_foreign_parents_are_not_looked_for(lake: Lake) -> None:
    with lake.session(ROUND, foreign={"augmented_instructions"}) as session:
        assert session.write_rows("case_verdicts", [verdict()]).rows == 1


def test_what_is_published_can_be_told_again(lake: Lake) -> None:
    rows = [candidate(1), candidate(2, reason="duplicate", detail="of 1")]
    with lake.session(ROUND) as session:
        written = session.write_rows("augmented_instructions", rows)
        assert session.published("augmented_instructions") == dataclasses.replace(
            written, changed=False
        )
        with pytest.raises(LakeError, match="materialize case_verdicts"):
            session.published("case_verdicts")
