"""Which chapters a thing's story has, and the decisions that it went through.

The story is of one round: the latest that kept the thing, or else the latest that it stands in. In
other rounds only its end is told.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from autoif_dagster.errors import CallError
from autoif_dagster.explain import chapters
from autoif_dagster.explain.chapters import FEW, KEPT, MANY, NOT_MADE, SOME, Chapter, counted
from autoif_dagster.explain.finding import Found
from autoif_dagster.explain.reading import Row, Tables
from autoif_dagster.lake import Lake
from autoif_dagster.records import TABLES

RELEASES = {"sft_dataset": "released_responses", "dpo_pairs": "released_pairs"}
NO_ROW = "no row"  # the table stands, and was made before what it should hold, or without it


@dataclass(frozen=True, slots=True)
class Story:
    """Everything told of one thing. `decisions` are in the order in which they are made; those on
    the thing itself say so (`own`), and the last of them is how the story ends. `rounds` says how
    it ended in the other rounds that it stands in."""

    id: str
    kind: str
    home: str
    lineage: str
    round: str | None
    imported_from: str | None
    chapters: tuple[Chapter, ...]
    decisions: tuple[Row, ...]
    rounds: Chapter

    @property
    def ending(self) -> Row | None:
        """The last decision on the thing itself; None of a completion, on which there is none."""
        own = [decision for decision in self.decisions if decision["own"]]
        return own[-1] if own else None


class Stories:
    """The stories of a lake, as it was when each round's tables were first asked for; a context
    manager. With `full`, all rows of every chapter are told."""

    def __init__(self, lake: Lake, *, full: bool = False) -> None:
        self.lake = lake
        self._full = full
        self._rounds: dict[str | None, Tables] = {}
        self._sessions = ExitStack()

    def __enter__(self) -> "Stories":
        return self

    def __exit__(self, *error: object) -> None:
        self._sessions.close()

    def tell(self, found: Found, round_key: str | None = None) -> Story:
        """The story of a thing, in a round of its own or, if none is named, the one that fits.

        Raises:
            CallError: it does not stand in the round that was named.
            LakeError: a table is damaged.
        """
        if round_key is not None and round_key not in found.rounds:
            rounds = ", ".join(found.rounds) or "none"
            raise CallError(f"{found.id} is not in round {round_key}; its rounds: {rounds}")
        subjects = {
            key: _Subject(self.tables(key), found, self._full) for key in found.rounds or (None,)
        }
        endings = {key: _ending(key, subjects[key]) for key in found.rounds}
        kept = [key for key, ending in endings.items() if ending["outcome"] == KEPT]
        told = round_key or next(reversed(kept or found.rounds), None)
        others = [ending for key, ending in endings.items() if key != told]
        tables = self.tables(told)
        plan = tables.row("SELECT imported_from FROM round_plan") or {}
        subject = subjects[told]
        return Story(
            found.id,
            found.kind,
            str(self.lake.home.root),
            self.lake.home.lineage,
            told,
            _text(plan, "imported_from"),
            tuple(subject.chapters()),
            subject.decisions,
            chapters.listed("other_rounds", others[::-1], None if self._full else FEW),
        )

    def tables(self, round_key: str | None) -> Tables:
        """The tables of a round; of None, those that have no rounds."""
        if round_key not in self._rounds:
            session = self._sessions.enter_context(self.lake.session(round_key))
            self._rounds[round_key] = Tables(session)
        return self._rounds[round_key]


def _ending(round_key: str, subject: "_Subject") -> Row:
    """How a thing ended in a round; nothing is decided there on completions and queries."""
    end: Row = {"table": None, "outcome": "read", "detail": None}
    if subject.kind == "query":
        end |= {"table": "reconstructed_queries", "outcome": "drawn"}
    elif own := [decision for decision in subject.decisions if decision["own"]]:
        end = own[-1]
    return {"round": round_key} | {name: end[name] for name in ("table", "outcome", "detail")}


@dataclass(frozen=True, slots=True)
class _Ids:
    """What a thing belongs to, as far as it does."""

    instruction: str | None = None
    query: str | None = None
    prompt: str | None = None


class _Subject:
    """One thing in one round."""

    def __init__(self, tables: Tables, found: Found, full: bool) -> None:
        self._tables = tables
        self._id = found.id
        self._full = full
        self.kind = found.kind
        self._written: Row | None = None
        if found.kind == "candidate":
            self.kind = self._kind_of_candidate()
        self._of = self._parents()
        self.decisions = tuple(self._decided())

    def chapters(self) -> Iterator[Chapter]:
        tables, item = self._tables, self._id
        match self.kind:
            case "instruction":
                yield from self._instruction(FEW)
                if self._of.instruction is not None:
                    yield from self._below_instruction()
            case "function":
                yield from self._instruction(FEW)
                yield chapters.function(tables, item)
                function_id = self._verifier_id()
                if function_id is not None:
                    yield chapters.case_verdicts(tables, function_id, self._most(MANY))
                    yield chapters.response_verdicts(tables, function_id)
                yield from self._data()
            case "case":
                yield from self._instruction(FEW)
                told = chapters.case(tables, item)
                yield told
                case_id = self._verifier_id()
                if case_id is not None:
                    expected = told.rows[0]["case_expected"] if told.rows else None
                    yield chapters.function_verdicts(tables, case_id, expected, self._most(MANY))
                    yield chapters.pairs_with(tables, case_id, self._most(SOME))
            case "query":
                yield chapters.query(tables, item)
                if tables.session.round_key is not None:
                    yield chapters.prompts_of_query(tables, item, self._most(MANY))
            case "prompt":
                yield from self._instruction(FEW)
                yield from self._verifiers({})
                yield from self._prompt()
                yield chapters.responses(tables, item, self._most(MANY))
                yield chapters.pairs_of_prompt(tables, item, self._most(FEW))
            case "response":
                yield from self._instruction(FEW)
                yield from self._verifiers({"verdict": item})
                yield from self._prompt()
                yield chapters.response(tables, item)
                yield chapters.scores(tables, item, self._most(FEW))
                yield chapters.pairs_with(tables, item, self._most(FEW))
                yield from chapters.exports(tables, RELEASES["sft_dataset"], item)
            case "pair":
                yield from self._instruction(FEW)
                row = chapters.pair(tables, item)
                ids = {side: _text(row, f"{side}_id") for side in ("chosen", "rejected")}
                yield from self._verifiers(ids)
                yield from self._prompt()
                if row["chosen_id"] is not None:
                    yield chapters.sides(tables, row)
                elif self._of.prompt is not None:
                    yield chapters.responses(tables, self._of.prompt, self._most(MANY))
                yield from chapters.exports(tables, RELEASES["dpo_pairs"], item)
            case "generation":
                yield chapters.generation(tables, item)
                yield chapters.read_from(tables, item, self._most(3 * MANY))

    def _decided(self) -> Iterator[Row]:
        """The decisions on what the thing belongs to, each, and then those on itself until the
        first that it fell at."""
        for table, column, item in self._upstream():
            yield self._decision(table, column, item, own=False)
        for table, column, item in self._own():
            decision = self._decision(table, column, item, own=True)
            if decision["outcome"] in (NO_ROW, NOT_MADE) and table in RELEASES.values():
                return  # releases are of complete rounds, and made after them
            yield decision
            if decision["outcome"] != KEPT:
                return

    def _decision(self, table: str, column: str, item: str, *, own: bool) -> Row:
        known: Row = {"table": table, "item_id": item, "own": own}
        if not self._tables.made(table):
            return known | {"outcome": NOT_MADE, "detail": None}
        of_round = "AND round = $round" if table in RELEASES.values() else ""
        row = self._tables.row(
            f"SELECT {TABLES[table].item} AS item_id, coalesce(reason, '{KEPT}') AS outcome, "
            f"detail FROM {table} WHERE {column} = $item {of_round} ORDER BY reason IS NOT NULL",
            item=item,
            **({"round": self._tables.session.round_key} if of_round else {}),
        )
        return known | (row or {"outcome": NO_ROW, "detail": None})

    def _upstream(self) -> Iterator[tuple[str, str, str]]:
        of = self._of
        if of.instruction is not None and self.kind != "instruction":
            yield "augmented_instructions", "instruction_id", of.instruction
            if self.kind not in ("function", "case"):
                yield "verified_instructions", "instruction_id", of.instruction
        if of.query is not None and self._tables.made("user_queries"):
            yield "user_queries", "query_id", of.query
        if of.prompt is not None:
            yield "reconstructed_queries", "prompt_id", of.prompt

    def _own(self) -> Iterator[tuple[str, str, str]]:
        """Decisions on the thing itself: table, the column that names it, its id there."""
        by_candidate = self._id.startswith("cnd_")
        match self.kind:
            case "instruction":
                column = "candidate_id" if by_candidate else "instruction_id"
                yield "augmented_instructions", column, self._id
                if self._of.instruction is not None:
                    yield "verified_instructions", "instruction_id", self._of.instruction
            case "function":
                column = "candidate_id" if by_candidate else "function_id"
                yield "verified_functions", column, self._id
                if function_id := self._verifier_id():
                    yield "faithful_functions", "function_id", function_id
            case "case":
                yield "verified_cases", "candidate_id" if by_candidate else "case_id", self._id
            case "query":
                if self._tables.made("user_queries"):
                    yield "user_queries", "query_id", self._id
            case "prompt":
                yield "reconstructed_queries", "prompt_id", self._id
            case "response":
                for table in ("filtered_responses", "sft_dataset", RELEASES["sft_dataset"]):
                    yield table, "response_id", self._id
            case "pair":
                for table in ("dpo_pairs", RELEASES["dpo_pairs"]):
                    yield table, "pair_id", self._id

    def _parents(self) -> _Ids:
        row = self._tables.row
        match self.kind:
            case "instruction":  # below one that fell at once there is nothing
                column = "candidate_id" if self._id.startswith("cnd_") else "instruction_id"
                found = row(
                    "SELECT instruction_id FROM augmented_instructions "
                    f"WHERE {column} = $id AND reason IS NULL",
                    id=self._id,
                )
                return _Ids(_text(found, "instruction_id"))
            case "function" | "case":
                return _Ids(_text(self._candidate(), "instruction_id"))
            case "prompt":
                found = row(
                    "SELECT instruction_id, query_id FROM reconstructed_queries "
                    "WHERE prompt_id = $id",
                    id=self._id,
                )
                return _Ids(_text(found, "instruction_id"), _text(found, "query_id"))
            case "response":
                found = row(
                    "SELECT instruction_id, query_id, prompt_id FROM responses "
                    "JOIN reconstructed_queries USING (prompt_id, instruction_id) "
                    "WHERE response_id = $id",
                    id=self._id,
                )
            case "pair":
                found = chapters.pair(self._tables, self._id)
            case _:
                return _Ids()
        return _Ids(
            _text(found, "instruction_id"), _text(found, "query_id"), _text(found, "prompt_id")
        )

    def _kind_of_candidate(self) -> str:
        candidate = self._candidate()
        return "instruction" if candidate is None else str(candidate["kind"])

    def _candidate(self) -> Row | None:
        """The row of a function or case in the supervisor's replies, the first of its copies."""
        if self._written is None:
            column = "candidate_id" if self._id.startswith("cnd_") else "verifier_id"
            self._written = self._tables.row(
                "SELECT kind, instruction_id, verifier_id FROM verifier_candidates "
                f"WHERE {column} = $id",
                id=self._id,
            )
        return self._written

    def _verifier_id(self) -> str | None:
        return _text(self._candidate(), "verifier_id")

    def _most(self, most: int) -> int | None:
        return None if self._full else most

    def _instruction(self, most: int) -> Iterator[Chapter]:
        own = self.kind == "instruction"
        item = self._id if own else self._of.instruction
        if item is not None:
            yield from chapters.instruction(self._tables, item, self._most(most))

    def _below_instruction(self) -> Iterator[Chapter]:
        item = self._of.instruction or ""
        yield from chapters.functions(self._tables, item, self._most(MANY))
        yield chapters.cases(self._tables, item, self._most(FEW))
        yield chapters.prompts_of_instruction(self._tables, item, self._most(FEW))
        yield from self._data()

    def _data(self) -> Iterator[Chapter]:
        """What became of an instruction, as counts."""
        if self._of.instruction is not None:
            for name in ("filtered_responses", "sft_dataset", "dpo_pairs"):
                yield counted(self._tables, name, "instruction_id = $id", id=self._of.instruction)

    def _verifiers(self, texts: dict[str, str | None]) -> Iterator[Chapter]:
        if self._of.instruction is not None:
            yield chapters.voting(self._tables, self._of.instruction, texts, self._most(MANY))
            yield chapters.cases(self._tables, self._of.instruction, self._most(0))

    def _prompt(self) -> Iterator[Chapter]:
        prompt = self._id if self.kind == "prompt" else self._of.prompt
        if prompt is not None:
            yield chapters.query(self._tables, self._of.query)
            yield chapters.prompt(self._tables, prompt)


def _text(row: Row | None, column: str) -> str | None:
    found = row.get(column) if row is not None else None
    return None if found is None else str(found)
