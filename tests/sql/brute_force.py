"""The rules of the preset `default` written a second time, straight from the design's table: loops
over records and exact fractions, sharing nothing with the SQL but the words of the reasons.

Every function returns what becomes of each candidate: its id, and a reason or None if it is kept.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

from .rules import Rules

Reasons = dict[str, str | None]


def exact(number: float) -> Fraction:
    """The decimal fraction that a threshold is written as: 0.55 is 11/20."""
    return Fraction(repr(number))


def verified_cases(candidates: Sequence[Any], verdicts: Sequence[Any], rules: Rules) -> Reasons:
    """Kept: readable, neither contradictory nor repeated, agreeing ÷ compiled functions > 0.5."""
    found: Reasons = {}
    for instruction, rows in _by(candidates, "instruction_id").items():
        replies = _in_order(r for r in rows if r.kind == "case")
        expected_of: defaultdict[str, set[bool]] = defaultdict(set)
        for r in replies:
            if r.failure is None:
                expected_of[r.case_input].add(r.case_expected)
        distinct: dict[str, Any] = {}
        for r in replies:
            if r.failure is not None:
                found[r.candidate_id] = r.failure
            elif len(expected_of[r.case_input]) == 2:
                found[r.candidate_id] = "contradictory_case"
            elif r.case_input in distinct:
                found[r.candidate_id] = "duplicate_case"
            else:
                distinct[r.case_input] = r
        ran = [v for v in verdicts if v.instruction_id == instruction]
        compiled = {v.function_id for v in ran if v.verdict != "INVALID"}
        for r in distinct.values():
            wanted = "TRUE" if r.case_expected else "FALSE"
            agreeing = 0
            for v in ran:
                if v.case_id == r.verifier_id and v.verdict == wanted:
                    agreeing += 1
            if len(distinct) < rules.min_cases:
                reason: str | None = "too_few_cases"
            elif len(compiled) < rules.min_functions:
                reason = "too_few_functions"
            elif Fraction(agreeing, len(compiled)) > exact(rules.case_agreement):
                reason = None
            else:
                reason = "low_agreement"
            found[r.candidate_id] = reason
    return found


def verified_functions(
    candidates: Sequence[Any], verdicts: Sequence[Any], cases: Reasons, rules: Rules
) -> Reasons:
    """Kept: a new source that compiles, right on ≥ 0.8 of the kept cases and on > 0.5 of either
    side, neither constant nor non-deterministic, in enough company."""
    found: Reasons = {}
    for instruction, rows in _by(candidates, "instruction_id").items():
        kept = [r for r in rows if r.kind == "case" and cases[r.candidate_id] is None]
        sides = {r.case_expected for r in kept}
        not_usable = {"contradictory_case", "duplicate_case"}
        usable = [
            r
            for r in rows
            if r.kind == "case" and r.failure is None and cases[r.candidate_id] not in not_usable
        ]
        ran = [v for v in verdicts if v.instruction_id == instruction]
        compiled = {v.function_id for v in ran if v.verdict != "INVALID"}
        sources: set[str] = set()
        for r in _in_order(r for r in rows if r.kind == "function"):
            if r.failure is not None:
                found[r.candidate_id] = r.failure
            elif r.source in sources:
                found[r.candidate_id] = "duplicate_function"
            else:
                sources.add(r.source)
                own = [v for v in ran if v.function_id == r.verifier_id]
                if any(v.verdict == "INVALID" for v in own):
                    reason: str | None = "invalid_function"
                elif len(usable) < rules.min_cases:
                    reason = "too_few_cases"
                elif len(compiled) < rules.min_functions:
                    reason = "too_few_functions"
                elif len(sides) < 2:
                    reason = "one_sided_cases"
                elif any(
                    v.verdict != v.second_verdict
                    and not {v.verdict, v.second_verdict} & {"TIMEOUT", "KILLED"}
                    for v in own
                ):
                    reason = "nondeterministic_function"
                else:
                    reason = _function_on_kept_cases(own, kept, rules)
                found[r.candidate_id] = reason
    return found


def _function_on_kept_cases(own: list[Any], kept: list[Any], rules: Rules) -> str | None:
    said = {v.case_id: v.verdict for v in own}
    right = {True: 0, False: 0}
    of = {True: 0, False: 0}
    for case in kept:
        of[case.case_expected] += 1
        if said[case.verifier_id] == ("TRUE" if case.case_expected else "FALSE"):
            right[case.case_expected] += 1
    if len({said[case.verifier_id] for case in kept}) == 1:
        return "constant_function"
    if Fraction(right[True] + right[False], len(kept)) < exact(rules.function_accuracy):
        return "low_accuracy"
    for side in (True, False):
        if Fraction(right[side], of[side]) <= exact(rules.side_accuracy):
            return "low_accuracy_on_one_side"
    return None


def faithful_functions(translations: Sequence[Any], rules: Rules) -> Reasons:
    """Dropped: p(contradiction) ≥ 0.5, or nothing to tell it from. Ids are of functions."""
    found: Reasons = {}
    for t in translations:
        found[t.function_id] = t.failure
        if t.failure is None and exact(t.p_contradiction) >= exact(rules.max_contradiction):
            found[t.function_id] = "contradicts_instruction"
    return found


def verified_instructions(
    instructions: Iterable[str],
    candidates: Sequence[Any],
    cases: Reasons,
    functions: Reasons,
    faithful: Reasons,
) -> Reasons:
    """Kept: ≥ 1 faithful function, and ≥ 1 kept case on each side."""
    found: Reasons = {}
    for instruction in instructions:
        own = [r for r in candidates if r.instruction_id == instruction]
        standing = [r for r in own if r.kind == "function" and functions[r.candidate_id] is None]
        sides = {r.case_expected for r in own if r.kind == "case" and cases[r.candidate_id] is None}
        if not standing:
            found[instruction] = "no_verified_function"
        elif all(faithful[r.verifier_id] is not None for r in standing):
            found[instruction] = "no_faithful_function"
        else:
            found[instruction] = None if sides == {True, False} else "one_sided_cases"
    return found


def judged_responses(responses: Sequence[Any], verdicts: Sequence[Any], rules: Rules) -> set[str]:
    """Asked about: distinct texts with enough votes that pass, or that every vote refuses."""
    found: set[str] = set()
    for r in _first_of_their_text(responses):
        true, votes, functions = _votes(r, verdicts)
        if votes and Fraction(votes, functions) >= exact(rules.quorum):
            passes = Fraction(true, votes) >= exact(rules.min_accuracy)
            if passes or true == 0:
                found.add(r.response_id)
    return found


def filtered_responses(
    responses: Sequence[Any], verdicts: Sequence[Any], scores: Sequence[Any], rules: Rules
) -> Reasons:
    """Kept: TRUE ÷ votes ≥ 0.8 with votes ≥ max(1, half of the functions), and judge ≥ 8."""
    firsts = {r.response_id for r in _first_of_their_text(responses)}
    score_of = {s.response_id: s.score for s in scores}
    found: Reasons = {}
    for r in responses:
        true, votes, functions = _votes(r, verdicts)
        score = score_of.get(r.response_id)
        if r.failure is not None:
            reason: str | None = r.failure
        elif r.response_id not in firsts:
            reason = "duplicate_response"
        elif votes == 0:
            reason = "no_vote"
        elif Fraction(votes) < max(Fraction(1), exact(rules.quorum) * functions):
            reason = "below_quorum"
        elif Fraction(true, votes) < exact(rules.min_accuracy):
            reason = "low_accuracy"
        elif r.response_id not in score_of:
            reason = "not_judged"
        elif score is None:
            reason = "unreadable_score"
        else:
            reason = None if exact(score) >= exact(rules.min_score) else "low_score"
        found[r.response_id] = reason
    return found


def sft_dataset(responses: Sequence[Any], scores: Sequence[Any], filtered: Reasons) -> Reasons:
    """Kept: the best accepted one of each prompt, by score and then by id."""
    score_of = {s.response_id: s.score for s in scores}
    found: Reasons = {}
    for rows in _by(responses, "prompt_id").values():
        accepted = [r.response_id for r in rows if filtered[r.response_id] is None]
        for n, i in enumerate(sorted(accepted, key=lambda i: (-score_of[i], i))):
            found[i] = "not_best_of_prompt" if n else None
    return found


def pair(level: str, chosen: str, rejected: str | None) -> str:
    """What a pair is called here."""
    return f"{level}: {chosen} > {rejected}"


def prompt_level_pairs(
    responses: Sequence[Any],
    verdicts: Sequence[Any],
    scores: Sequence[Any],
    filtered: Reasons,
    sft: Reasons,
    rules: Rules,
) -> Reasons:
    """Of a prompt with an SFT row: accepted × refused by every vote with quorum and judged ≥ 6;
    closest length first, then highest judged rejected, then ids."""
    score_of = {s.response_id: s.score for s in scores}
    found: Reasons = {}
    for rows in _by(responses, "prompt_id").values():
        chosen = [r for r in rows if filtered[r.response_id] is None]
        best = [r for r in chosen if sft[r.response_id] is None]
        rejected = []
        for r in _first_of_their_text(rows):
            true, votes, functions = _votes(r, verdicts)
            score = score_of.get(r.response_id)
            refused = votes > 0 and true == 0 and Fraction(votes, functions) >= exact(rules.quorum)
            on_topic = score is not None and exact(score) >= exact(rules.rejected_min_score)
            if refused and on_topic and filtered[r.response_id] is not None:
                rejected.append(r)
        if best and not rejected:
            found[pair("prompt", best[0].response_id, None)] = "no_rejected_response"
        pairs = sorted(
            product(chosen, rejected),
            key=lambda p: (
                abs(len(p[0].response) - len(p[1].response)),
                -score_of[p[1].response_id],
                p[0].response_id,
                p[1].response_id,
            ),
        )
        for n, (one, other) in enumerate(pairs):
            name = pair("prompt", one.response_id, other.response_id)
            found[name] = None if n < rules.pairs_per_prompt else "not_closest_in_length"
    return found


def instruction_level_pairs(
    candidates: Sequence[Any],
    verdicts: Sequence[Any],
    cases: Reasons,
    faithful: Reasons,
    instructions: Reasons,
    prompt_pairs: Reasons,
    rules: Rules,
) -> Reasons:
    """Kept cases expected True with share of TRUE > 0.5 × kept cases expected False with share 0;
    chosen of ≥ 5 words, at most 4 an instruction, at most 5 % of all pairs. A rejected case has at
    least one vote: functions that all crash on it refuse nothing."""
    found: Reasons = {}
    in_turn: list[tuple[int, str, str]] = []
    for instruction, reason in instructions.items():
        if reason is not None:
            continue
        rows = [
            r
            for r in candidates
            if r.instruction_id == instruction
            and r.kind == "case"
            and cases[r.candidate_id] is None
        ]
        chosen, rejected = [], []
        for r in rows:
            said = [
                v.verdict
                for v in verdicts
                if v.case_id == r.verifier_id and faithful.get(v.function_id, "fell") is None
            ]
            if r.case_expected:
                if Fraction(said.count("TRUE"), len(said)) > exact(rules.case_agreement):
                    chosen.append(r)
            elif "TRUE" not in said and "FALSE" in said:
                rejected.append(r)
        pairs = sorted(
            product(chosen, rejected),
            key=lambda p: (
                abs(len(p[0].case_input) - len(p[1].case_input)),
                p[0].verifier_id,
                p[1].verifier_id,
            ),
        )
        short = [p for p in pairs if len(p[0].case_input.split()) < rules.chosen_min_words]
        for one, other in short[: rules.pairs_per_instruction]:
            found[pair("instruction", one.verifier_id, other.verifier_id)] = "short_chosen"
        long = [p for p in pairs if p not in short]
        for turn, (one, other) in enumerate(long[: rules.pairs_per_instruction]):
            tie = hashlib.sha256((one.verifier_id + other.verifier_id).encode()).hexdigest()
            name = pair("instruction", one.verifier_id, other.verifier_id)
            in_turn.append((turn, tie, name))
    beside = sum(reason is None for reason in prompt_pairs.values())
    share = exact(rules.instruction_level_share)
    most = math.floor(beside * share / (1 - share))
    for n, (_, _, name) in enumerate(sorted(in_turn)):
        found[name] = None if n < most else "enough_instruction_level_pairs"
    return found


def _votes(response: Any, verdicts: Sequence[Any]) -> tuple[int, int, int]:
    """TRUE verdicts, votes, functions that ran."""
    own = [v.verdict for v in verdicts if v.response_id == response.response_id]
    return own.count("TRUE"), own.count("TRUE") + own.count("FALSE"), len(own)


def _first_of_their_text(responses: Sequence[Any]) -> list[Any]:
    """Usable responses, each text of a prompt once."""
    seen: set[tuple[str, str]] = set()
    firsts = []
    for r in sorted(responses, key=lambda r: int(r.sample_index)):
        if r.failure is None and (r.prompt_id, r.response) not in seen:
            seen.add((r.prompt_id, r.response))
            firsts.append(r)
    return firsts


def _in_order(replies: Iterable[Any]) -> list[Any]:
    return sorted(replies, key=lambda r: (r.sample_index, r.position))


def _by(rows: Sequence[Any], column: str) -> dict[str, list[Any]]:
    groups: defaultdict[str, list[Any]] = defaultdict(list)
    for r in rows:
        groups[getattr(r, column)].append(r)
    return groups
