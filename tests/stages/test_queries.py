"""How verified instructions meet queries."""

from collections import Counter
from random import Random
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoif_dagster import ids
from autoif_dagster.recipe import Queries
from autoif_dagster.records import ReconstructedQuery, RoundPlan
from autoif_dagster.stages.queries import MIXED, draw, join_parts
from tests.stages.replies import OTHER_PLAN, PLAN

Layout = Literal["mixed", "instruction_first", "query_first", "reference"]


def drawn(
    instructions: int,
    queries: int,
    *,
    per_instruction: int = 16,
    max_uses: int = 4,
    plan: RoundPlan = PLAN,
    order: Random | None = None,
    layout: Layout = "mixed",
    past_uses: dict[str, int] | None = None,
) -> list[ReconstructedQuery]:
    names = [f"q{n:03}" for n in range(queries)]
    if order:
        order.shuffle(names)
    return list(
        draw(
            plan,
            [(f"i{n:03}", f"Instruction {n}.") for n in range(instructions)],
            {name: f"Query {name}?" for name in names},
            Queries(per_instruction=per_instruction, max_uses=max_uses, layout=layout),
            past_uses,
        )
    )


sizes = {
    "instructions": st.integers(0, 12),
    "queries": st.integers(0, 12),
    "per_instruction": st.integers(1, 5),
    "max_uses": st.integers(0, 4),
}


@settings(deadline=None)
@given(**sizes)
def test_the_draw_keeps_its_promises(
    instructions: int, queries: int, per_instruction: int, max_uses: int
) -> None:
    rows = drawn(instructions, queries, per_instruction=per_instruction, max_uses=max_uses)
    assert len(rows) == instructions * per_instruction
    assert len({r.prompt_id for r in rows}) == len(rows)
    filled = [r for r in rows if r.reason is None]
    uses = Counter(r.query_id for r in filled)
    assert max(uses.values(), default=0) <= (max_uses or instructions)
    for instruction in {r.instruction_id for r in rows}:
        own = [r for r in rows if r.instruction_id == instruction]
        assert [r.slot for r in own] == list(range(per_instruction))
        asked = [r.query_id for r in own if r.reason is None]
        assert len(set(asked)) == len(asked)
        # Unfilled slots come last, and only when what is left has been drawn already.
        assert [r.reason for r in own[len(asked) :]] == ["no_query_left"] * (
            per_instruction - len(asked)
        )
    # Nothing is left unused while a slot of the last instruction goes empty.
    if rows and rows[-1].reason is not None:
        last = {r.query_id for r in filled if r.instruction_id == rows[-1].instruction_id}
        full = {q for q, n in uses.items() if n == max_uses}  # none where there is no cap
        assert {f"q{n:03}" for n in range(queries)} == last | full


@settings(deadline=None)
@given(order=st.randoms(use_true_random=False), **sizes)
def test_the_draw_depends_on_the_sets_alone(
    order: Random, instructions: int, queries: int, per_instruction: int, max_uses: int
) -> None:
    one = drawn(instructions, queries, per_instruction=per_instruction, max_uses=max_uses)
    other = drawn(
        instructions, queries, per_instruction=per_instruction, max_uses=max_uses, order=order
    )
    assert one == other


def test_another_round_draws_others() -> None:
    other = OTHER_PLAN
    assert drawn(3, 100) != drawn(3, 100, plan=other)
    assert drawn(1, 100)[0].query_id in {f"q{n:03}" for n in range(100)}


def test_an_unfilled_slot_is_a_row_with_a_reason() -> None:
    rows = drawn(1, 1, per_instruction=2, max_uses=3)
    assert [r.reason for r in rows] == [None, "no_query_left"]
    empty = rows[1]
    assert (empty.query_id, empty.query, empty.prompt, empty.layout) == (None,) * 4
    assert (empty.slot, empty.instruction_id) == (1, "i000")
    assert empty.detail == "usable queries: 1; none serves an instruction twice"
    shared = drawn(2, 2, per_instruction=2, max_uses=1)
    assert [r.reason for r in shared] == [None, None, "no_query_left", "no_query_left"]
    assert shared[-1].detail == "each query serves at most 1 instructions a round"


def test_without_a_cap_every_query_serves_every_instruction() -> None:
    rows = drawn(50, 3, per_instruction=3, max_uses=0)
    assert [r.reason for r in rows] == [None] * 150
    assert set(Counter(r.query_id for r in rows).values()) == {50}


def test_a_filled_slot_is_a_prompt() -> None:
    (row,) = drawn(1, 1, per_instruction=1)
    assert (row.query_id, row.query, row.slot) == ("q000", "Query q000?", 0)
    assert row.prompt_id == ids.prompt_id("i000", "q000")
    assert row.layout in MIXED
    assert row.prompt == join_parts("Instruction 0.", "Query q000?", row.layout)


def test_layouts_are_mixed_and_follow_from_the_pair() -> None:
    rows = drawn(100, 400, per_instruction=4)
    layouts = Counter(r.layout for r in rows)
    assert min(layouts[name] for name in MIXED) > 150
    other = drawn(100, 400, per_instruction=4, plan=OTHER_PLAN)
    layout_of = {r.prompt_id: r.layout for r in rows}
    common = [r for r in other if r.prompt_id in layout_of]
    assert common
    assert all(layout_of[r.prompt_id] == r.layout for r in common)


@pytest.mark.parametrize("layout", ["instruction_first", "query_first", "reference"])
def test_one_layout_for_all(layout: Layout) -> None:
    rows, mixed = drawn(10, 50, layout=layout), drawn(10, 50)
    assert {r.layout for r in rows} == {layout}
    for row, other in zip(rows, mixed, strict=True):  # the layout changes nothing but the prompt
        assert (row.prompt_id, row.query_id) == (other.prompt_id, other.query_id)
        instruction = f"Instruction {int(row.instruction_id[1:])}."
        assert row.prompt == join_parts(instruction, str(row.query), layout)


@pytest.mark.parametrize(
    ("instruction", "query", "layout", "prompt"),
    [
        ("Use no commas.", "Why?", "instruction_first", "Use no commas. Why?"),
        ("Use no commas", "Why?", "instruction_first", "Use no commas. Why?"),
        ("Use no commas.", "Why?", "query_first", "Why? Use no commas."),
        ("Use no commas", "Why?", "query_first", "Why? Use no commas."),
        ("Use no commas", "Name a fish", "query_first", "Name a fish. Use no commas."),
        ("Use no commas", "Name a fish", "instruction_first", "Use no commas. Name a fish"),
        ("Answer so:", "Why?", "instruction_first", "Answer so: Why?"),
        ("Be quick!", "为什么？", "query_first", "为什么？ Be quick!"),
        ("Use $5 {x} \\1", "Why", "query_first", "Why. Use $5 {x} \\1."),
        ("Use no commas", "Name a fish", "reference", "Name a fish Use no commas."),
        ("Use no commas.", "Why?", "reference", "Why? Use no commas."),
        ("Be quick!", "Why?", "reference", "Why? Be quick!."),
        ("End with ...", "Why?", "reference", "Why? End with ..."),
    ],
)
def test_parts_are_plainly_joined(instruction: str, query: str, layout: str, prompt: str) -> None:
    """With a full stop where a part that needs one has none, and nothing else."""
    assert join_parts(instruction, query, layout) == prompt


def test_fresh_queries_come_first_then_the_least_used() -> None:
    past = {"q000": 2, "q001": 1, "q002": 1, "q003": 5}  # q004 and q005 are fresh
    rows = drawn(3, 6, per_instruction=2, max_uses=1, past_uses=past)
    asked = [[r.query_id for r in rows if r.instruction_id == f"i{n:03}"] for n in range(3)]
    assert [set(each) for each in asked] == [{"q004", "q005"}, {"q001", "q002"}, {"q000", "q003"}]


def test_a_fresh_query_serves_its_share_before_a_used_one_does() -> None:
    rows = drawn(4, 2, per_instruction=1, max_uses=3, past_uses={"q000": 1})
    assert [r.query_id for r in rows] == ["q001", "q001", "q001", "q000"]


@settings(deadline=None)
@given(**sizes)
def test_a_past_that_used_all_alike_changes_nothing(
    instructions: int, queries: int, per_instruction: int, max_uses: int
) -> None:
    plain = drawn(instructions, queries, per_instruction=per_instruction, max_uses=max_uses)
    alike = {f"q{n:03}": 3 for n in range(queries)}
    again = drawn(
        instructions,
        queries,
        per_instruction=per_instruction,
        max_uses=max_uses,
        past_uses=alike,
    )
    assert again == plain
