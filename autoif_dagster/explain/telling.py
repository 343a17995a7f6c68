"""A story written down: a screen of text, or the same facts as JSON."""

import itertools
import json
import unicodedata
from collections.abc import Mapping, Sequence

from autoif_dagster.explain.chapters import KEPT, NOT_MADE, Chapter
from autoif_dagster.explain.reading import Fact, Row
from autoif_dagster.explain.stories import NO_ROW, Story

_WIDTH = 100
_HEADING = 13
_INDENT = "  "
_GAP = "  |  "
_MARK = "►"
_MORE = "…+"
_LEAST_ROOM = 16  # columns below which a text goes to a line of its own
_LINES_OF_TEXT = 2  # of a text in a card, unless all is told
_LINES_OF_SOURCE = 8
_LINES_OF_SIDE = 8
_TEXTS = (
    "instruction", "query", "prompt", "response", "source", "case_input", "back_translation",
    "text", "reasoning", "messages", "sampling", "detail",
)  # fmt: skip
_LABELS = {
    "accuracy_true": "true",
    "accuracy_false": "false",
    "p_entailment": "entails",
    "p_neutral": "neutral",
    "p_contradiction": "contra.",
    "case_expected": "expected",
    "sample_index": "sample",
    "sample_indexes": "samples",
    "rewrite_generation_id": "reworded by",
    "check_generation_id": "checked by",
}
_NAMELESS = (
    "instruction_id", "candidate_id", "generation_id", "function_id", "case_id", "query_id",
    "prompt_id", "response_id", "pair_id", "id", "role",
)  # fmt: skip


def as_json(story: Story) -> str:
    """One JSON object; see docs/explain.md for its keys."""
    told = {
        "id": story.id,
        "kind": story.kind,
        "home": story.home,
        "lineage": story.lineage,
        "round": story.round,
        "imported_from": story.imported_from,
        "ending": story.ending,
        "chapters": {chapter.name: _chapter(chapter) for chapter in story.chapters},
        "decisions": story.decisions,
        "other_rounds": _chapter(story.rounds),
    }
    return json.dumps(told, indent=1)


def _chapter(chapter: Chapter) -> dict[str, object]:
    return {
        "made": chapter.made,
        "counts": chapter.counts,
        "rows": chapter.rows,
        "left_out": chapter.left_out,
    }


class Pen:
    """Writes a story as text: at most 100 columns, long texts clipped unless `full`, the decision
    that it came down to marked, and bold or coloured only if `colour`."""

    def __init__(self, *, full: bool, colour: bool) -> None:
        self._full = full
        self._colour = colour
        self._clipped = False

    def tell(self, story: Story) -> str:
        where = f"round {story.round}" if story.round else "in no round yet"
        lines = [self._bold(f"{story.kind} {story.id}") + f", {where}"]
        lines += fold(f"{story.lineage} home {story.home}", _WIDTH)
        if story.imported_from:
            lines += fold(f"round of the file {story.imported_from}", _WIDTH)
        lines += self._ending(story)
        for chapter in story.chapters:
            lines += self._chapter(chapter)
        if story.decisions:
            lines += self._decisions(story)
        if story.rounds.rows:
            lines += self._chapter(story.rounds)
        if can_verify(story):
            lines.append(f"run its verdicts again: autoif explain {story.id} --verify")
        if self._clipped:
            lines.append(f"{_MORE}n: n more characters or rows, which --full tells")
        return "\n".join(line.rstrip() for line in lines) + "\n"

    def _ending(self, story: Story) -> list[str]:
        end = story.ending
        if end is None:
            what = "a completion" if story.kind == "generation" else "nothing is decided on it here"
            return [f"{_MARK} {what}; what came of it stands below"]
        outcome, table = str(end["outcome"]), str(end["table"])
        if outcome == KEPT:
            return [f"{_MARK} {self._good('kept')} in {table}"]
        if outcome == NOT_MADE:
            return [f"{_MARK} {table} is {self._bad(outcome)}"]
        if outcome == NO_ROW:
            return [
                f"{_MARK} {table} has {self._bad(outcome)} of it: made before it, or without it"
            ]
        line = f"{_MARK} fell at {table}: {self._bad(outcome)}"
        if not end["detail"]:
            return [line]
        why = f"({plain(str(end['detail']))})"
        if columns(f"{_MARK} fell at {table}: {outcome} {why}") <= _WIDTH:
            return [f"{line} {why}"]
        return [line, *(_INDENT + part for part in fold(why, _WIDTH - len(_INDENT)))]

    def _chapter(self, chapter: Chapter) -> list[str]:
        heading = chapter.name.replace("_", " ")
        if not chapter.made:
            return [f"{self._bold(heading.ljust(_HEADING))} {NOT_MADE}"]
        match chapter.form:
            case "card":
                return self._card(heading, chapter)
            case "sides":
                return [self._bold(heading), *self._sides(chapter.rows)]
        margin = " " * (_HEADING + 1)
        counts = fold(_counts(chapter.counts), _WIDTH - max(len(margin), len(heading) + 1))
        lines = [f"{self._bold(heading.ljust(_HEADING))} {counts[0]}"]
        lines += [margin + line for line in counts[1:]]
        lines += self._table(chapter.rows)
        if chapter.left_out and chapter.rows:
            lines.append(f"{_INDENT}{self._more(chapter.left_out)}")
        return lines

    def _card(self, heading: str, chapter: Chapter) -> list[str]:
        (row,) = chapter.rows or ({},)
        margin = " " * (_HEADING + 1)
        facts = [_named(name, fact) for name, fact in row.items() if _is_short(name, fact)]
        facts += [_named(name, count) for name, count in chapter.counts.items()]
        told = fold(" · ".join(facts) or "nothing is known of it", _WIDTH - len(margin))
        lines = [f"{self._bold(heading.ljust(_HEADING))} {told[0]}"]
        lines += [margin + line for line in told[1:]]
        for name, fact in row.items():
            if fact is not None and name in _TEXTS:
                lines += [margin + line for line in self._text(name, str(fact), margin)]
        return lines

    def _text(self, name: str, text: str, margin: str) -> list[str]:
        """A text of a card, on lines of its own."""
        width = _WIDTH - len(margin)
        if name == "source" or self._full:
            lines = [
                part for line in text.rstrip().split("\n") for part in fold(plain(line), width)
            ]
            if self._full or len(lines) <= _LINES_OF_SOURCE:
                return lines
            shown = lines[: _LINES_OF_SOURCE - 1]
            return [*shown, self._more(len(text) - sum(len(line) + 1 for line in shown))]
        return fold(self._quote(text, _LINES_OF_TEXT * width - 20), width)

    def _sides(self, rows: Sequence[Row]) -> list[str]:
        """Two cards side by side."""
        width = (_WIDTH - len(_INDENT) - len(_GAP)) // 2
        columns = [self._side(row, width) for row in rows]
        return [
            _INDENT + _GAP.join(pad(part, width) for part in parts)
            for parts in itertools.zip_longest(*columns, fillvalue="")
        ]

    def _side(self, row: Row, width: int) -> list[str]:
        facts = [_named(name, fact) for name, fact in row.items() if _is_short(name, fact)]
        lines = fold(" · ".join(facts), width)
        text = str(row["text"])
        if self._full:
            return lines + own_lines(text, width)
        return lines + fold(self._quote(text, _LINES_OF_SIDE * width - 20), width)

    def _table(self, rows: Sequence[Row]) -> list[str]:
        """A line for each row; a text goes last, into what room there is."""
        if not rows:
            return []
        names = [name for name in rows[0] if any(row[name] is not None for row in rows)]
        short = [name for name in names if name not in _TEXTS]
        cells = [[_label(name) for name in short]]
        cells += [[_cell(row[name]) for name in short] for row in rows]
        widths = [max(len(line[i]) for line in cells) for i in range(len(short))]
        numbers = [isinstance(rows[0][name], int | float) for name in short]
        lines = [
            _INDENT
            + "  ".join(
                cell.rjust(w) if n else cell.ljust(w)
                for cell, w, n in zip(line, widths, numbers, strict=True)
            )
            for line in cells
        ]
        room = _WIDTH - columns(lines[0]) - len(_INDENT)
        beside = room >= _LEAST_ROOM and not self._full
        head, *told = lines
        written = []
        texts = [name for name in names if name in _TEXTS]
        for text in texts:
            head += f"  {_label(text)}" if beside else ""
        for line, row in zip(told, rows, strict=True):
            written.append(line)
            for text in texts:
                if row[text] is None:
                    continue
                if beside:
                    written[-1] += f"  {self._quote(str(row[text]), room)}"
                else:
                    margin = 3 * _INDENT
                    lines = self._text(text, str(row[text]), margin)
                    written += [margin + line for line in lines]
        return [self._dim(head.rstrip()), *written]

    def _quote(self, text: str, room: int) -> str:
        """A text on one line of at most `room` columns."""
        if columns(plain(text)) + 2 <= room:
            return f'"{plain(text)}"'
        told, left = clip(plain(text), room - 4 - len(f"{len(text):,}"))
        return f'"{told}"{self._more(left)}'

    def _decisions(self, story: Story) -> list[str]:
        rows = [
            {name: decision[name] for name in ("table", "item_id", "outcome", "detail")}
            for decision in story.decisions
        ]
        lines = self._table(rows)
        for place, decision in enumerate(story.decisions, start=1):
            if decision is story.ending:
                lines[place] = self._bold((_MARK + lines[place][1:]).rstrip())
        return [self._bold("decisions"), *lines]

    def _more(self, count: int) -> str:
        self._clipped = True
        return f"{_MORE}{count:,}"

    def _bold(self, text: str) -> str:
        return self._styled(text, "1")

    def _dim(self, text: str) -> str:
        return self._styled(text, "2")

    def _good(self, text: str) -> str:
        return self._styled(text, "1;32")

    def _bad(self, text: str) -> str:
        return self._styled(text, "1;31")

    def _styled(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text


def can_verify(story: Story) -> bool:
    """Whether the story tells verdicts of its thing, and not yet what they are now."""
    named = {chapter.name for chapter in story.chapters}
    return "verified_again" not in named and any(
        row.get(column) is not None
        for chapter in story.chapters
        if chapter.name in ("functions", "case_verdicts")
        for row in chapter.rows
        for column in ("verdict", "chosen", "rejected")
    )


def _is_short(name: str, fact: Fact) -> bool:
    return fact is not None and name not in _TEXTS


def _label(name: str) -> str:
    return _LABELS.get(name, name.replace("_", " "))


def _named(name: str, fact: Fact) -> str:
    """A fact of a card; an id says by itself what it is of, unless it is one of several."""
    return _cell(fact) if name in _NAMELESS else f"{_label(name)} {_cell(fact)}"


def _cell(fact: Fact) -> str:
    if fact is None:
        return "–"
    if isinstance(fact, list):
        return ", ".join(map(_cell, fact))
    return plain(fact) if isinstance(fact, str) else figure(fact)


def figure(number: float) -> str:
    """A number as it is told: whole ones with their thousands apart, others with three digits."""
    if isinstance(number, bool):
        return str(number)
    return f"{number:,}" if isinstance(number, int) else f"{number:.3g}"


def _counts(counts: Mapping[str, int]) -> str:
    every, *outcomes = (f"{name} {figure(count)}" for name, count in counts.items())
    return every.removeprefix("all ") + (f": {', '.join(outcomes)}" if outcomes else "")


def plain(text: str) -> str:
    """The text on one line, without anything that a terminal would obey."""
    return "".join(
        c if c.isprintable() else "↵" if c == "\n" else c.encode("unicode_escape").decode()
        for c in text
    )


def clip(text: str, room: int) -> tuple[str, int]:
    """As much of a text as fits into `room` columns, and how many of its characters do not."""
    if columns(text) <= room:
        return text, 0
    kept = 0
    for kept, c in enumerate(text):  # noqa: B007
        room -= columns(c)
        if room < 0:
            break
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


def own_lines(text: str, width: int) -> list[str]:
    """A text with its own lines, which are broken only where they are too long."""
    return [part for line in text.rstrip().split("\n") for part in fold(plain(line), width)]


def pad(text: str, width: int) -> str:
    return text + " " * (width - columns(text))


def columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text
    )
