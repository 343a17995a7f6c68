"""Publishing the generation log: its new rows become one immutable Parquet part.

DuckDB cannot attach SQLite without a download, so the views `generations` and `simulated_truth` are
over parts. A part is claimed in the log before it is written, and keeps its name and its rows for
good: whoever publishes next also writes what a killed run claimed and did not finish. Two that
publish at once may both write such a part, with the same rows under the same name; so every
generation is in exactly one part, and nobody waits for anybody.
"""

import uuid
from collections.abc import Generator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from autoif_dagster.clients.generation_log import GenerationLog
from autoif_dagster.errors import LakeError
from autoif_dagster.home import Home
from autoif_dagster.lake import publish_file, write_parquet
from autoif_dagster.records import PARTS


def publish(home: Home) -> int:
    """Publish whatever the log of a home holds and no part does yet.

    Returns:
        The number of generations in the parts that were written; 0 if nothing was new.

    Raises:
        LakeError: the log cannot be read or a part not be written; the next call completes it.
    """
    log = GenerationLog(home.generation_log)
    log.claim(f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}")
    written = 0
    try:
        with home.scratch() as scratch:
            for part in log.claimed_parts():
                if _path(home, "generations", part).exists():
                    continue
                # The generations last: where they stand, the part is whole.
                _publish_table(home, scratch, "simulated_truth", part, log.truths(part))
                written += _publish_table(home, scratch, "generations", part, log.rows(part))
    except (OSError, pa.ArrowException) as error:
        raise LakeError(f"{home.root}: generations could not be published: {error}") from error
    return written


def _publish_table(
    home: Home, scratch: Path, table: str, part: str, rows: Generator[object, None, None]
) -> int:
    """Write one table of a part, unless it has no rows; their number."""
    new = scratch / f"{table}.parquet"
    with closing(rows):
        write_parquet(PARTS[table], new, rows)
    written: int = pq.read_metadata(new).num_rows
    if written:
        publish_file(new, _path(home, table, part))
    return written


def _path(home: Home, table: str, part: str) -> Path:
    return home.lake / table / f"{part}.parquet"
