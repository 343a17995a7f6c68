"""One SQL file per decision, with named parameters; upstream tables stand under their own names."""

from functools import cache
from importlib.resources import files


@cache
def load(name: str) -> str:
    """The query of `<name>.sql`."""
    return files(__package__).joinpath(f"{name}.sql").read_text("utf-8")
