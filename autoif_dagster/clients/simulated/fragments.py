"""What families share: how texts fall apart, and the lines that do so in implementations."""

import re

from autoif_dagster.clients.simulated.drafts import Draft

LINES = 'lines = response.split("\\n")\n'
FULL_LINES = 'lines = [line for line in response.split("\\n") if line.strip()]\n'
ROWS = 'rows = [x for x in response.split("\\n") if x.startswith("|") and x.endswith("|")]\n'
WORDS = 'words = re.findall(r"\\w+", response.lower())\n'
SENTENCES = 'sentences = [s.strip() for s in re.split(r"[.!?]+", response) if s.strip()]\n'
JSON = "try:\n    value = json.loads(response)\nexcept ValueError:\n    return False\n"


def full_lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


def table_rows(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.startswith("|") and line.endswith("|")]


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def sentences(text: str) -> list[str]:
    return [s.strip() for s in re.split(r"[.!?]+", text) if s.strip()]


def table(d: Draft, columns: int, rows: int, *header: str) -> str:
    names = [*header, "Point", "Reason", "Detail", "Note", "Hint", "Step", "Cost", "Time", "Use"]
    grid = [names[:columns], ["---"] * columns, *(d.points(columns) for _ in range(rows))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in grid)
