"""The Dagster instance of a home: where it lies, and its settings."""

import os
from importlib.resources import files
from pathlib import Path

from autoif_dagster.errors import HomeError
from autoif_dagster.home import home_path


def prepare_instance() -> Path:
    """Make `$AUTOIF_HOME/dagster` with its settings unless it is there, and point `DAGSTER_HOME` at
    it unless it points somewhere already.

    Raises:
        HomeError: the folder cannot be written.
    """
    if chosen := os.environ.get("DAGSTER_HOME"):
        return Path(chosen)
    folder = home_path() / "dagster"
    settings = folder / "dagster.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not settings.exists():
            text = files("autoif_dagster").joinpath("dagster.yaml").read_text("utf-8")
            settings.write_text(text, "utf-8")
    except OSError as error:
        raise HomeError(
            f"AUTOIF_HOME {home_path()} cannot be used: {error.strerror or error}; "
            "set AUTOIF_HOME to a folder you can write to, with room on its disk"
        ) from error
    os.environ["DAGSTER_HOME"] = str(folder)
    return folder
