"""The files that a user brings, as Dagster knows them: two external assets above the tables that
are read from them, whose data version is the hash of their bytes.

Two things report them: the sensor `watch_inputs`, if it is on, and the asset that reads the file,
always. The asset also writes into its own provenance which bytes it read, since Dagster would note
the version that was known when the step began. So a table is *Unsynced* only if its file really is
another one now, and switching the sensor on late shows nothing that is not so.
"""

import hashlib
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import dagster as dg

from autoif_dagster.errors import InputError
from autoif_dagster.showing import Materialized

T = TypeVar("T")

SEED_FILE = "seed_file"
QUERY_FILE = "query_file"

_VERSION = "dagster/data_version"
_INPUT_VERSION = "dagster/input_data_version/"
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells without reading a file that it is not the same as before."""

    path: str
    size: int
    modified_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """Raises `InputError` where there is no such file."""
        try:
            found = path.stat()
        except OSError as error:
            raise _unreadable(path, error) from error
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{path}: is no file that can be read twice")
        return cls(str(path), found.st_size, found.st_mtime_ns, found.st_ino)


@dataclass(frozen=True, slots=True)
class InputFile:
    """One state of an input file. `version` is the SHA-256 of its bytes, in hexadecimal."""

    asset: str
    stamp: Stamp
    version: str

    @classmethod
    def read(cls, asset: str, path: Path) -> "InputFile":
        """Hash a file; a gigabyte takes a second or two.

        Raises:
            InputError: it cannot be read, or changes meanwhile.
        """
        stamp = Stamp.of(path)
        hashed = hashlib.sha256()
        try:
            with path.open("rb") as file:
                while block := file.read(_BLOCK_BYTES):
                    hashed.update(block)
        except OSError as error:
            raise _unreadable(path, error) from error
        found = cls(asset, stamp, hashed.hexdigest())
        found.require_unchanged()
        return found

    def require_unchanged(self) -> None:
        """Raises `InputError` if the file is not the same any more."""
        path = Path(self.stamp.path)
        if Stamp.of(path) != self.stamp:
            raise InputError(f"{path}: was changed while it was read; materialize again")

    def unchanged_behind(self, rows: Iterable[T]) -> Iterator[T]:
        """The rows that were read from the file, if it is still the same after the last one.

        Raises:
            InputError: it is not.
        """
        yield from rows
        self.require_unchanged()

    def seen(self) -> dg.AssetMaterialization:
        """The event that tells Dagster of this state. Not an observation: those of assets that are
        not observable count for nothing in Dagster 1.13's staleness, and every table that names the
        version it read would be Unsynced for ever (measured).
        """
        return dg.AssetMaterialization(
            asset_key=self.asset,
            metadata={
                "path": dg.MetadataValue.path(self.stamp.path),
                "bytes": self.stamp.size,
                "modified": dg.MetadataValue.timestamp(self.stamp.modified_ns / 1e9),
            },
            tags={_VERSION: self.version},
        )

    def made(self, context: dg.AssetExecutionContext, result: Materialized) -> Materialized:
        """The result of the asset that read this state, which it reports and names as its input.

        Tags of a result win over those that Dagster sets itself (1.13, measured).
        """
        context.log_event(self.seen())
        return dg.MaterializeResult(
            metadata=result.metadata,
            data_version=result.data_version,
            check_results=result.check_results,
            tags={**(result.tags or {}), _INPUT_VERSION + self.asset: self.version},
        )


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot be read: {error.strerror or error}")


def recorded_version(instance: dg.DagsterInstance, asset: str) -> str | None:
    """The version of an input file that Dagster was last told of."""
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    if event is None or event.asset_materialization is None:
        return None
    return (event.asset_materialization.tags or {}).get(_VERSION)
