"""The SQL against a second writing of the same rules, on rounds that Hypothesis makes up: no
difference in what is kept, nor in the reason for what is not."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoif_dagster import sql
from autoif_dagster.records import TABLES
from tests.sql.brute_force import pair
from tests.sql.made_up_rounds import MadeUp, make_up
from tests.sql.rules import COLUMNS, USED, Rules, exact, rules_of_preset
from tests.sql.tables import Facts, InMemory, Round, Tables, reasons

# Of one round; `test_releases` has those over all rounds.
DECISIONS = tuple(name for name in USED if name in TABLES and TABLES[name].per_round)
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


def bounded(max_examples: int) -> settings:
    """A round's decisions take about a tenth of a second, whatever their size."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=max_examples, deadline=None, suppress_health_check=slow)


def decide_all(place: Tables, facts: Facts, rules: Rules) -> Decided:
    """Every decision of a round, each from the facts and from the decisions before it."""
    for table, rows in facts.items():
        place.given(table, rows)
    decided: Decided = {}
    for name in DECISIONS:
        decided[name] = place.decide(name, rules.parameters(name))
        place.given(name, decided[name])
    return decided


def became(name: str, rows: list[Any]) -> Mapping[str, str | None]:
    if name == "dpo_pairs":
        return {pair(r.level, r.chosen_id, r.rejected_id, r.prompt_id): r.reason for r in rows}
    return reasons(rows, KEYS[name])


@pytest.mark.parametrize("preset", COLUMNS)
def test_a_preset_is_its_column(preset: str) -> None:
    assert rules_of_preset(preset) == COLUMNS[preset]


def test_a_parameter_has_the_name_of_its_field() -> None:
    """Two flags with equal values in every preset could be swapped, and no column would show it."""
    for name, parameters in sql.PARAMETERS.items():
        for parameter, field in parameters.items():
            if (name, parameter) != ("judged_responses", "min_accuracy"):
                assert field.split(".")[-1] == parameter, f"{name}: {parameter} is {field}"


@pytest.mark.parametrize("preset", ["default", "paper", "reference"])
@bounded(25)
@given(draw=st.randoms(use_true_random=False))
def test_each_preset_decides_as_its_column_says(
    memory: InMemory, preset: str, draw: Random
) -> None:
    _check_against_brute_force(memory, make_up(draw, COLUMNS[preset]))


@bounded(40)
@given(rounds)
def test_any_rules_decide_as_brute_force_does(memory: InMemory, made: MadeUp) -> None:
    _check_against_brute_force(memory, made)


def _check_against_brute_force(memory: InMemory, made: MadeUp) -> None:
    decided = decide_all(memory, made.facts, made.rules)
    for name in DECISIONS:
        assert became(name, decided[name]) == made.expected[name], name
        assert len(decided[name]) == len(made.expected[name]), f"{name}: each candidate once"
    parameters = made.rules.parameters("judged_responses")
    assert {r[0] for r in memory.judged(parameters)} == made.judged
    _check_pairs(made, decided)


def _check_pairs(made: MadeUp, decided: Decided) -> None:
    """What must hold of kept pairs, however the rules are written."""
    said: dict[str, Counter[str]] = {}
    for v in made.facts["response_verdicts"]:
        said.setdefault(v.response_id, Counter())[v.verdict] += 1
    for v in made.facts["case_verdicts"]:
        said.setdefault(v.case_id, Counter())[v.verdict] += 1
    kept = [p for p in decided["dpo_pairs"] if p.reason is None]
    for p in kept:
        assert p.chosen != p.rejected
        assert said[p.rejected_id]["FALSE"] > 0, "an abstention makes no negative"
        if p.level == "prompt":
            assert said[p.rejected_id]["TRUE"] == 0
            assert said[p.chosen_id]["TRUE"] + said[p.chosen_id]["FALSE"] > 0
    of_prompts = Counter(p.prompt_id for p in kept if p.level == "prompt")
    of_instructions = Counter(p.instruction_id for p in kept if p.level == "instruction")
    rules = made.rules
    most = rules.pairs_per_prompt if rules.pairing == "closest" else rules.per_side**2
    assert max(of_prompts.values(), default=0) <= most
    assert max(of_instructions.values(), default=0) <= made.rules.pairs_per_instruction
    assert of_instructions.total() <= exact(made.rules.instruction_level_share) * len(kept)


@bounded(8)
@given(rounds, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(memory: InMemory, made: MadeUp, draw: Random) -> None:
    """Neither what is kept nor any figure, id or detail."""
    shuffled = {table: draw.sample(rows, len(rows)) for table, rows in made.facts.items()}
    as_made = decide_all(memory, made.facts, made.rules)
    assert decide_all(memory, shuffled, made.rules) == as_made


@bounded(8)
@given(rounds)
def test_what_only_abstains_is_never_rejected(memory: InMemory, made: MadeUp) -> None:
    """Turn every FALSE into a crash: neither a prompt nor an instruction has a negative left."""
    mute = made.facts | {
        table: [
            dataclasses.replace(v, verdict="ERROR") if v.verdict == "FALSE" else v
            for v in made.facts[table]
        ]
        for table in ("response_verdicts", "case_verdicts")
    }
    pairs = decide_all(memory, mute, made.rules)["dpo_pairs"]
    assert not [p for p in pairs if p.rejected is not None]


def test_made_up_rounds_reach_every_reason() -> None:
    """Otherwise the tests above would prove less than they say."""
    found: dict[str, Counter[str | None]] = {name: Counter() for name in DECISIONS}
    judged = 0
    for n in range(400):
        made = make_up(Random(n))
        judged += len(made.judged)
        for name in DECISIONS:
            found[name].update(made.expected[name].values())
    assert judged > 100
    assert {name: set(counter) for name, counter in found.items()} == {
        "verified_cases": {
            None, "unreadable_cases", "expected_not_boolean", "case_without_input",
            "contradictory_case", "duplicate_case", "too_few_cases", "too_few_functions",
            "expected_as_text", "low_agreement",
        },
        "verified_functions": {
            None, "no_function", "duplicate_function", "invalid_function", "too_few_cases",
            "too_few_functions", "one_sided_cases", "nondeterministic_function",
            "constant_function", "low_accuracy", "low_accuracy_on_one_side",
        },
        "faithful_functions": {
            None, "unreadable_back_translation", "unreadable_entailment",
            "contradicts_instruction", "not_translated", "instruction_dropped",
        },
        # Under both_sides a verified function has kept cases on both, so one_sided_cases cannot
        # come up here.
        "verified_instructions": {
            None, "no_verified_function", "no_faithful_function", "no_verified_case",
        },
        "filtered_responses": {
            None, "truncated_response", "filtered_response", "empty_response", "failed_request",
            "duplicate_response", "no_vote", "below_quorum", "low_accuracy", "not_judged",
            "unreadable_score", "low_score",
        },
        "sft_dataset": {None, "not_best_of_prompt"},
        "dpo_pairs": {
            None, "no_sft_row", "no_chosen_response", "no_rejected_response",
            "not_closest_in_length", "not_drawn", "short_chosen", "enough_instruction_level_pairs",
        },
    }  # fmt: skip


def test_a_lake_decides_as_memory_does(memory: InMemory, fresh: Round) -> None:
    """The same queries over Parquet, through casts, checks and counts of candidates."""
    made = _with_pairs_at_both_levels()
    in_lake = decide_all(fresh, made.facts, made.rules)
    assert in_lake == decide_all(memory, made.facts, made.rules)


def _with_pairs_at_both_levels() -> MadeUp:
    for seed in range(1_000):
        made = make_up(Random(seed))
        kept = [name for name, reason in made.expected["dpo_pairs"].items() if reason is None]
        if {name.split(":")[0] for name in kept} == {"prompt", "instruction"}:
            return made
    raise AssertionError("no made-up round has kept pairs at both levels")
