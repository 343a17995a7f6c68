"""A story written down: a screen of text, or the same facts as JSON."""

import itertools
import json
import unicodedata
from collections.abc import Mapping, Sequence

from autoif_dagster.explain.chapters import KEPT, NOT_MADE
from autoif_dagster.explain.reading import Fact, Row
from autoif_dagster.explain.stories import NO_ROW, Story, Told

_WIDTH = 100
_INDENT = "  "
_MARGIN = " " * 14  # of what stands beside a heading
_BETWEEN = "  |  "  # the two sides of a pair
_MARK = "►"
_MORE = "…+"
_LEAST_ROOM = 16  # columns below which a text goes to a line of its own
_LINES = {"card": 2, "sides": 8, "source": 8}  # of a text, unless all is told
_TEXTS = (
    "instruction", "query", "prompt", "response", "source", "case_input", "back_translation",
    "asked", "text", "reasoning", "messages", "sampling", "detail",
)  # fmt: skip
_LABELS = {
    "accuracy_true": "true",
    "accuracy_false": "false",
    "p_entailment": "entails",
    "p_neutral": "neutral",
    "p_contradiction": "contradicts",
    "case_expected": "expected",
    "sample_index": "sample",
    "rewrite_generation_id": "reworded by",
    "check_generation_id": "checked by",
} | dict.fromkeys(
    # These say by themselves what they are.
    "instruction_id candidate_id generation_id function_id case_id query_id prompt_id response_id "
    "id role".split(),
    "",
)
_COLOURS = {KEPT: "1;32", NOT_MADE: "1;33"}
_FELL = "1;31"


def as_json(story: Story) -> str:
    """One JSON object; see docs/explain.md for its keys."""
    named = ("id", "kind", "home", "lineage", "round", "imported_from", "ending", "decisions")
    told = {name: getattr(story, name) for name in named}
    told["chapters"] = {chapter.chapter.name: _json(chapter) for chapter in story.chapters}
    told["other_rounds"] = _json(story.rounds)
    return json.dumps(told, indent=1)


def _json(told: Told) -> dict[str, object]:
    facts: Mapping[str, object] = {"made": told.made, "counts": told.counts, "rows": told.rows}
    return {**facts, "left_out": told.left_out}


class Pen:
    """Writes a story as text: at most 100 columns, long texts clipped unless `full`, the decision
    that it came down to marked, and bold or coloured only if `colour`."""

    def __init__(self, *, full: bool, colour: bool) -> None:
        self._full = full
        self._colour = colour
        self._clipped = False

    def tell(self, story: Story) -> str:
        where = f"round {story.round}" if story.round else "in no round yet"
        lines = [self._styled(f"{story.kind} {story.id}") + f", {where}"]
        lines += fold(f"{story.lineage} home {story.home}", _WIDTH)
        if story.imported_from:
            lines += fold(f"round of the file {story.imported_from}", _WIDTH)
        lines += self._ending(story.ending)
        for told in story.chapters:
            lines += self._chapter(told)
        shown = [_without(decision, "own") for decision in story.decisions]
        ends = _without(story.ending, "own") if story.ending else None
        lines += [self._styled("decisions"), *self._table(shown, ends)] if shown else []
        if story.rounds.rows:
            lines += self._chapter(story.rounds)
        rows = (row for told in story.chapters for row in told.rows)
        said = any(row.get(name) for row in rows for name in ("verdict", "chosen", "rejected"))
        if said and story.kind != "candidate":
            lines.append(f"run its verdicts again: autoif explain {story.id} --verify")
        if self._clipped:
            lines.append(f"{_MORE}n: n more characters or rows, which --full tells")
        return "\n".join(line.rstrip() for line in lines) + "\n"

    def _ending(self, end: Row | None) -> list[str]:
        if end is None:
            return [f"{_MARK} nothing is decided on it; what came of it stands below"]
        table, outcome = end["table"], str(end["outcome"])
        why = f" ({plain(str(end['detail']))})" if end["detail"] else ""
        said = {
            KEPT: f"kept in {table}",
            NOT_MADE: f"{table}: {NOT_MADE}",
            NO_ROW: f"{table}: {NO_ROW}",
        }.get(outcome, f"fell at {table}: {outcome}{why}")
        lines = fold(f"{_MARK} {said}", _WIDTH)
        return [self._styled(line, _COLOURS.get(outcome, _FELL)) for line in lines]

    def _chapter(self, told: Told) -> list[str]:
        heading = told.chapter.name.replace("_", " ").ljust(len(_MARGIN) - 1)
        form = told.chapter.form
        beside = [NOT_MADE]
        if told.made and form == "table":
            more = f" {self._more(told.left_out)}" if told.left_out and told.rows else ""
            room = _WIDTH - max(len(_MARGIN), len(heading) + 1)
            beside = fold(_counts(told.counts) + more, room)
        elif told.made:
            cards = [{**row, **told.counts} for row in told.rows]
            beside = [""] if form == "sides" else self._card(cards, _WIDTH - len(_MARGIN))
        lines = [f"{self._styled(heading)} {beside[0]}", *(_MARGIN + line for line in beside[1:])]
        if form == "table":
            lines += self._table(told.rows)
        elif form == "sides":
            width = (_WIDTH - len(_INDENT) - len(_BETWEEN)) // 2
            sides = [self._card([row], width, "sides") for row in told.rows]
            for parts in itertools.zip_longest(*sides, fillvalue=""):
                padded = (part + " " * (width - columns(part)) for part in parts)
                lines.append(_INDENT + _BETWEEN.join(padded))
        return lines

    def _card(self, rows: Sequence[Row], width: int, form: str = "card") -> list[str]:
        """One row in full: its short facts run in, its texts on lines of their own."""
        known = {name: fact for row in rows for name, fact in row.items() if fact is not None}
        facts = [f"{_label(n)} {_cell(f)}".strip() for n, f in known.items() if n not in _TEXTS]
        lines = fold(" · ".join(facts) or "nothing is known of it", width)
        for name in [name for name in known if name in _TEXTS]:
            text = str(known[name]).rstrip()
            if self._full or name == "source":
                own = [part for line in text.split("\n") for part in fold(plain(line), width)]
                most = len(own) if self._full else _LINES["source"]
                left = [self._more(sum(map(len, own[most:])))] if own[most:] else []
                lines += [*own[:most], *left]
            else:
                lines += fold(self._quote(text, _LINES[form] * width - 20), width)
        return lines

    def _table(self, rows: Sequence[Row], marked: Row | None = None) -> list[str]:
        """A heading, and a line for each row; texts go last, into what room there is."""
        if not rows:
            return []
        names = [name for name in rows[0] if any(row[name] is not None for row in rows)]
        short = [name for name in names if name not in _TEXTS]
        cells = [[_LABELS.get(name) or name.replace("_", " ") for name in short]]
        cells += [[_cell(row[name]) for name in short] for row in rows]
        widths = [max(len(line[at]) for line in cells) for at in range(len(short))]
        head, *told = [
            _INDENT
            + "  ".join(
                cell.rjust(width) if isinstance(rows[0][name], int | float) else cell.ljust(width)
                for cell, width, name in zip(line, widths, short, strict=True)
            )
            for line in cells
        ]
        room = _WIDTH - columns(head) - len(_INDENT)
        lines = [self._styled(head.rstrip(), "2")]
        for line, row in zip(told, rows, strict=True):
            at = len(lines)
            lines.append(line if row != marked else _MARK + line[1:])
            for name in (name for name in names if name in _TEXTS and row[name] is not None):
                if room >= _LEAST_ROOM and not self._full:
                    lines[-1] += _INDENT + self._quote(str(row[name]), room)
                else:
                    margin = 3 * _INDENT
                    text = self._card([{name: row[name]}], _WIDTH - len(margin))[1:]
                    lines += [margin + part for part in text]
            if row == marked:
                lines[at] = self._styled(lines[at].rstrip())
        return lines

    def _quote(self, text: str, room: int) -> str:
        """A text on one line of at most `room` columns."""
        if columns(plain(text)) + 2 <= room:
            return f'"{plain(text)}"'
        told, left = clip(plain(text), room - 4 - len(f"{len(text):,}"))
        return f'"{told}"{self._more(left)}'

    def _more(self, count: int) -> str:
        self._clipped = True
        return f"{_MORE}{count:,}"

    def _styled(self, text: str, code: str = "1") -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text


def _without(row: Row, column: str) -> Row:
    return {name: fact for name, fact in row.items() if name != column}


def _label(name: str) -> str:
    return _LABELS.get(name, name.replace("_", " "))


def _cell(fact: Fact) -> str:
    if isinstance(fact, list):
        return ", ".join(map(_cell, fact))
    return "–" if fact is None else plain(fact) if isinstance(fact, str) else figure(fact)


def figure(number: float) -> str:
    """A number as it is told: whole ones with their thousands apart, others with three digits."""
    if isinstance(number, bool):
        return str(number)
    return f"{number:,}" if isinstance(number, int) else f"{number:.3g}"


def _counts(counts: Mapping[str, int]) -> str:
    outcomes = ", ".join(f"{name} {figure(n)}" for name, n in counts.items() if name != "all")
    return figure(counts["all"]) + (f": {outcomes}" if outcomes else "")


def plain(text: str) -> str:
    """The text on one line, without anything that a terminal would obey."""
    return "".join(
        c if c.isprintable() else "↵" if c == "\n" else c.encode("unicode_escape").decode()
        for c in text
    )


def clip(text: str, room: int) -> tuple[str, int]:
    """As much of a text as fits into `room` columns, and how many of its characters do not."""
    ends = itertools.accumulate(map(columns, text))
    kept = sum(1 for _ in itertools.takewhile(lambda end: end <= room, ends))
    return text[:kept], len(text) - kept


def fold(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, broken between words where there are any."""
    lines = []
    while columns(text) > width:
        line = clip(text, width)[0]
        at = line.rfind(" ") + 1
        line = line[: at if at > width // 2 else None]
        lines.append(line.rstrip())
        text = text[len(line) :]
    return [*lines, text]


def columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text
    )
