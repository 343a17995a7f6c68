"""Files that trainers read, below `exports/` of a home.

Every file is made whole aside before the first one is put into its place, so that a full disk
replaces none; the manifest goes last. A file whose bytes did not change is not touched, and one
that the manifest has from the same rows is not made at all.

Lines stand in the order of their rounds and, within one, of their ids: equal rows give equal bytes
on any machine, a round that comes last only appends, and a round's lines are as good as shuffled,
since ids are hashes. DuckDB cannot sort rows of this width in less memory than they take (2.0:
200,000 rows of 5 kB end a connection that may use 512 MiB), so a round's lines are dealt to files
by the first digits of their ids and sorted one file at a time.
"""

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO

import orjson

from autoif_dagster.errors import LakeError
from autoif_dagster.home import Home
from autoif_dagster.lake import Session, publish_file
from autoif_dagster.recipe import Recipe, recipe_hash, recipe_name
from autoif_dagster.records import ExportedFile
from autoif_dagster.stages.exports import EXPORTS, LINES_VERSION, Export, to_line

MANIFEST = "manifest.json"

_SORTED_AT_ONCE = 4_096  # lines
_MOST_DEALT = 512  # files open at once
_DIGITS = 6  # of an id, that deal it
_LINEAGE = {
    "simulated": "SIMULATED DATA, planted to show how the pipeline works: train nothing on it.",
    "real": "Written by the models that the rounds were made with.",
}

_REMEDIES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EXDEV: "bring the folder to the disk of its home",
}


def write_exports(session: Session, recipe: Recipe) -> list[ExportedFile]:
    """Write every file and the manifest, from the tables that the session has scanned.

    Raises:
        LakeError: a file cannot be written; none was replaced.
    """
    home = session.lake.home
    standing = _standing(home)
    made: list[tuple[Path, Path, str]] = []
    files: dict[str, ExportedFile] = {}  # by what they were made from
    with home.scratch() as scratch:
        for export in EXPORTS:
            made_from = _made_from(session, export)
            if made_from in standing:
                files[made_from] = standing[made_from]
                continue
            path, new = home.exports / export.file, scratch / export.file.replace("/", "-")
            with _telling(path):
                files[made_from] = _write(session, export, new, scratch)
            made.append((path, new, files[made_from].sha256))
        path, new = home.exports / MANIFEST, scratch / MANIFEST
        manifest = _manifest(home, recipe, files)
        with _telling(path), new.open("wb") as out:
            out.write(manifest)
            _sync(out)
        made.append((path, new, hashlib.sha256(manifest).hexdigest()))
        for path, _, _ in made:
            with _telling(path):
                path.parent.mkdir(parents=True, exist_ok=True)
        for path, new, sha256 in made:
            with _telling(path):
                if not _holds(path, new.stat().st_size, sha256):
                    publish_file(new, path)
    return list(files.values())


def _made_from(session: Session, export: Export) -> str:
    """What gives the same file: the rows of its source, written down in the same way."""
    rows = session.published(export.source).content_hash
    return f"{export.file} {LINES_VERSION} {rows}"


def _standing(home: Home) -> dict[str, ExportedFile]:
    """The files of the manifest that are there in their size, by what they were made from."""
    try:
        told = orjson.loads((home.exports / MANIFEST).read_bytes())
        files = {file.pop("made_from"): ExportedFile(**file) for file in told["files"]}
        return {
            made_from: file
            for made_from, file in files.items()
            if (home.exports / file.file).stat().st_size == file.bytes
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}  # none yet, or somebody's own: everything is made


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        help_ = _REMEDIES.get(error.errno or 0, "put that right")
        raise LakeError(
            f"{path} cannot be written: {error.strerror or error}; {help_} and materialize exports "
            "again"
        ) from error


def _write(session: Session, export: Export, new: Path, scratch: Path) -> ExportedFile:
    """Write a file aside, durably."""
    sha256, size, rows = hashlib.sha256(), 0, 0
    counts = dict(
        session.rows(f"SELECT round, count(*) FROM {export.source} GROUP BY 1 ORDER BY 1")
    )
    with new.open("wb") as out:
        for round_key, count in counts.items():
            for line in _lines(session, export, round_key, count, scratch):
                out.write(line)
                sha256.update(line)
                size += len(line)
                rows += 1
        _sync(out)
    return ExportedFile(
        export.file, export.format, export.source, list(counts), rows, size, sha256.hexdigest()
    )


def _lines(
    session: Session, export: Export, round_key: str, count: int, scratch: Path
) -> Iterator[bytes]:
    """The lines of a round, in the order of their ids."""
    shares = min(count // _SORTED_AT_ONCE + 1, _MOST_DEALT)
    dealt = [scratch / f"{place}.dealt" for place in range(shares)]
    rows = session.rows(
        f"SELECT {export.key}, {', '.join(export.columns)} FROM {export.source} "
        "WHERE round = $round",
        {"round": round_key},
        block=1_024,
    )
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in dealt]
        for row_id, *values in rows:
            place = int(row_id.partition("_")[2][:_DIGITS], 16) * len(files) >> 4 * _DIGITS
            files[place].write(b"%b %b\n" % (row_id.encode(), to_line(export, values)))
    for path in dealt:
        with path.open("rb") as file:
            for entry in sorted(file):
                yield entry.partition(b" ")[2]
        path.unlink()


def _manifest(home: Home, recipe: Recipe, files: Mapping[str, ExportedFile]) -> bytes:
    """What the files hold and where it is from. `recipe` is the one they were written under; a
    round may have been made under another."""
    told = {
        "lineage": home.lineage,
        "note": _LINEAGE[home.lineage],
        "recipe": {"name": recipe_name(), "hash": recipe_hash(recipe)},
        "rounds": sorted({key for file in files.values() for key in file.rounds}),
        "files": [{**asdict(f), "made_from": made_from} for made_from, f in files.items()],
    }
    return orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _holds(path: Path, size: int, sha256: str) -> bool:
    """Whether a file stands already as it would be put there."""
    if not path.is_file() or path.stat().st_size != size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _sync(file: IO[bytes]) -> None:
    """Make room known to be there before anything is replaced."""
    file.flush()
    os.fsync(file.fileno())
