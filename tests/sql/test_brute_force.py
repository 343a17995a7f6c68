"""The SQL against a second writing of the same rules, on rounds that Hypothesis makes up: no
difference in what is kept, nor in the reason for what is not."""

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sql.brute_force import exact, pair
from tests.sql.made_up_rounds import MadeUp, make_up
from tests.sql.rules import USED
from tests.sql.tables import CANDIDATES, Facts, InMemory, Round, reasons

DECISIONS = tuple(name for name in USED if name != "judged_responses")
KEYS = {
    "verified_cases": "candidate_id",
    "verified_functions": "candidate_id",
    "faithful_functions": "function_id",
    "verified_instructions": "instruction_id",
    "filtered_responses": "response_id",
    "sft_dataset": "response_id",
}

Decided = dict[str, list[Any]]

rounds = st.randoms(use_true_random=False).map(make_up)
quick = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@cache
def memory() -> InMemory:
    return InMemory()


def decide_all(made: MadeUp, facts: Facts) -> Decided:
    """Every decision of a round, each from the facts and from the decisions before it."""
    place = memory()
    for table, rows in facts.items():
        place.given(table, rows)
    decided: Decided = {}
    for name in DECISIONS:
        decided[name] = place.decide(name, made.rules.parameters(name))
        place.given(name, decided[name])
    return decided


def became(name: str, rows: list[Any]) -> Mapping[str, str | None]:
    if name == "dpo_pairs":
        return {pair(r.level, r.chosen_id, r.rejected_id): r.reason for r in rows}
    return reasons(rows, KEYS[name])


@quick
@given(rounds)
def test_sql_and_brute_force_agree(made: MadeUp) -> None:
    decided = decide_all(made, made.facts)
    for name in DECISIONS:
        assert became(name, decided[name]) == made.expected[name], name
        assert len(decided[name]) == len(made.expected[name]), f"{name}: each candidate once"
    parameters = made.rules.parameters("judged_responses")
    assert {r[0] for r in memory().judged(parameters)} == made.judged


@quick
@given(rounds, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(made: MadeUp, chance: Random) -> None:
    """Neither what is kept nor any figure, id or detail."""
    shuffled = {table: chance.sample(rows, len(rows)) for table, rows in made.facts.items()}
    assert decide_all(made, shuffled) == decide_all(made, made.facts)


@quick
@given(rounds)
def test_pairs_are_sound(made: MadeUp) -> None:
    decided = decide_all(made, made.facts)
    verdicts: dict[str, Counter[str]] = {}
    for v in made.facts["response_verdicts"]:
        verdicts.setdefault(v.response_id, Counter())[v.verdict] += 1
    case_votes: dict[str, Counter[str]] = {}
    for v in made.facts["case_verdicts"]:
        case_votes.setdefault(v.case_id, Counter())[v.verdict] += 1
    accepted = {r.response_id for r in decided["filtered_responses"] if r.reason is None}

    kept = [p for p in decided["dpo_pairs"] if p.reason is None]
    for p in kept:
        assert p.chosen != p.rejected
        if p.level == "prompt":
            said = verdicts[p.rejected_id]
            assert p.chosen_id in accepted
            assert p.rejected_id not in accepted
            assert said["FALSE"] > 0, "an abstention makes no negative"
            assert said["TRUE"] == 0
        else:
            assert case_votes[p.rejected_id]["FALSE"] > 0, "an abstention makes no negative"
    for prompt, pairs in Counter(p.prompt_id for p in kept if p.level == "prompt").items():
        assert pairs <= made.rules.pairs_per_prompt, prompt
    of_instructions = Counter(p.instruction_id for p in kept if p.level == "instruction")
    for instruction, pairs in of_instructions.items():
        assert pairs <= made.rules.pairs_per_instruction, instruction
    share = exact(made.rules.instruction_level_share)
    assert of_instructions.total() <= share * len(kept)
    assert not kept or Fraction(of_instructions.total(), len(kept)) <= share


@quick
@given(rounds)
def test_what_only_abstains_is_neither_kept_nor_rejected(made: MadeUp) -> None:
    """Turn every FALSE on responses into a crash: no response is left to be rejected."""
    mute = dict(made.facts)
    mute["response_verdicts"] = [
        type(v)(v.round, v.response_id, v.prompt_id, v.function_id, "ERROR")
        if v.verdict == "FALSE"
        else v
        for v in made.facts["response_verdicts"]
    ]
    decided = decide_all(made, mute)
    assert not [p for p in decided["dpo_pairs"] if p.level == "prompt" and p.rejected is not None]


def test_made_up_rounds_reach_every_reason() -> None:
    """Otherwise the tests above would prove less than they say."""
    found: dict[str, Counter[str | None]] = {name: Counter() for name in DECISIONS}
    judged = 0
    for n in range(1_500):
        made = make_up(Random(n))
        judged += len(made.judged)
        for name in DECISIONS:
            found[name].update(made.expected[name].values())
    assert judged > 100
    assert {name: set(counter) for name, counter in found.items()} == {
        "verified_cases": {
            None, "unreadable_cases", "expected_not_boolean", "case_without_input",
            "contradictory_case", "duplicate_case", "too_few_cases", "too_few_functions",
            "low_agreement",
        },
        "verified_functions": {
            None, "no_function", "duplicate_function", "invalid_function", "too_few_cases",
            "too_few_functions", "one_sided_cases", "nondeterministic_function",
            "constant_function", "low_accuracy", "low_accuracy_on_one_side",
        },
        "faithful_functions": {
            None, "unreadable_back_translation", "unreadable_entailment",
            "contradicts_instruction",
        },
        # A verified function has kept cases on both sides, so one_sided_cases cannot come up here.
        "verified_instructions": {None, "no_verified_function", "no_faithful_function"},
        "filtered_responses": {
            None, "truncated_response", "filtered_response", "empty_response", "failed_request",
            "duplicate_response", "no_vote", "below_quorum", "low_accuracy", "unreadable_score",
            "low_score",
        },
        "sft_dataset": {None, "not_best_of_prompt"},
        "dpo_pairs": {
            None, "no_rejected_response", "not_closest_in_length", "short_chosen",
            "enough_pairs_of_instruction", "enough_instruction_level_pairs",
        },
    }  # fmt: skip


@pytest.mark.parametrize("number", range(3))
def test_a_lake_decides_as_memory_does(fresh: Round, number: int) -> None:
    """The same queries over Parquet, through casts, checks and counts of candidates."""
    made = _rich(number)
    for table, rows in made.facts.items():
        fresh.given(table, rows)
    decided: Decided = {}
    for name in DECISIONS:
        decided[name] = fresh.decide(name, made.rules.parameters(name))
        fresh.given(name, decided[name])
    assert decided == decide_all(made, made.facts)
    assert set(CANDIDATES) == set(KEYS)


def _rich(number: int) -> MadeUp:
    """The n-th made-up round that has kept pairs at both levels."""
    found = 0
    for seed in range(10_000):
        made = make_up(Random(seed))
        kept = {name[:6] for name, r in made.expected["dpo_pairs"].items() if r is None}
        found += kept == {"prompt", "instru"}
        if found > number:
            return made
    raise AssertionError("no such round")
