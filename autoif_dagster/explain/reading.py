"""Rows of one round's tables, as they stood when they were first asked for."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from autoif_dagster.errors import LakeError
from autoif_dagster.lake import Session
from autoif_dagster.records import PARTS, TABLES

Fact = str | int | float | bool | list[str] | list[int] | None
Row = dict[str, Fact]

_NAMES = re.compile(r"\$(\w+)")
_READS = re.compile(r"\b(?:FROM|JOIN) (\w+)")


class Tables:
    """The tables of a session's round. Every table can be asked: one that is not made yet has no
    rows. Decisions show all their candidates."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._files: dict[str, list[Path]] = {}  # of each table that is readable already

    def made(self, name: str) -> bool:
        """Whether the table stands, for this round or, if it has no rounds, at all."""
        if name in PARTS:
            return True
        if TABLES[name].per_round and self.session.round_key is None:
            return False
        return self.session.lake.path(name, self.session.round_key).exists()

    def rows(self, sql: str, **values: object) -> list[Row]:
        """The rows of a query over tables under their own names; `$name` stands for a value.

        Raises:
            LakeError: a file that it reads is damaged; names the file.
        """
        named = [name for name in _READS.findall(sql) if name in TABLES or name in PARTS]
        for name in named:
            if name not in self._files:
                self._files[name] = self._scan(name)
        files = [path for name in named for path in self._files[name]]
        return fetch(self.session, sql, values, files)

    def row(self, sql: str, **values: object) -> Row | None:
        """The first row of a query, as `rows`."""
        return next(iter(self.rows(sql, **values)), None)

    def _scan(self, name: str) -> list[Path]:
        folder = self.session.lake.home.lake / name
        if name not in PARTS and self.made(name):
            self.session.scan(name, candidates=True)
            return [self.session.lake.path(name, self.session.round_key)]
        files = sorted(folder.glob("*.parquet")) if name in PARTS else [folder / "schema.parquet"]
        define(self.session, name, files)
        return files


def define(session: Session, name: str, files: Sequence[Path]) -> None:
    """Make files that belong to no round readable under a name.

    Raises:
        LakeError: one of them is damaged; names it.
    """
    listed = ", ".join(map(_literal, files))
    with _naming_damaged(session, files):
        session.define(
            name,
            f"SELECT * FROM read_parquet([{listed}], union_by_name = true, "
            "hive_partitioning = false)",
        )


def fetch(
    session: Session, sql: str, values: Mapping[str, object], files: Sequence[Path]
) -> list[Row]:
    """The rows of a query that reads these files; values that it does not name are left aside.

    Raises:
        LakeError: one of them is damaged in a place that only reading it shows; names it.
    """
    with _naming_damaged(session, files):
        named = {name: values[name] for name in _NAMES.findall(sql)}
        found = session.con.execute(sql, named or None)
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@contextmanager
def _naming_damaged(session: Session, files: Sequence[Path]) -> Iterator[None]:
    """Where a query fails, read each of its files whole, to say which one is damaged."""
    try:
        yield
    except duckdb.Error:
        for path in files:
            read = f"SELECT md5(row_to_json(r)) FROM read_parquet({_literal(path)}) AS r"
            try:
                session.con.execute(read)
            except duckdb.Error as error:
                raise LakeError(
                    f"{path} is damaged: materialize {path.parent.name} again "
                    f"({str(error).splitlines()[0]})"
                ) from error
        raise


def _literal(path: Path) -> str:
    quoted = str(path).replace("'", "''")
    return f"'{quoted}'"
