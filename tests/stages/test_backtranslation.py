"""What is read of a back-translation and of an entailment label."""

import pytest
from hypothesis import given

from autoif_dagster.clients import FinishReason
from autoif_dagster.stages.backtranslation import (
    LABELS,
    back_translation,
    entailment_request,
    read_label,
    read_translation,
    translate_request,
)
from tests.stages.replies import DEFAULT, any_text, finish_reasons, reply


@pytest.mark.parametrize(
    ("text", "finish_reason", "words"),
    [
        ("Use no commas.", "stop", "Use no commas."),
        ("\n  Use no commas.  \n\n", "stop", "Use no commas."),
        ("x" * 1_000, "stop", "x" * 1_000),
        ("x" * 1_001, "stop", None),
        ("", "stop", None),
        (" \n ", "stop", None),
        ("Use no commas.\nUse no dashes.", "stop", None),
        ("Sure! Here it is:\n\nUse no commas.", "stop", None),
        ("Use no com", "length", None),
        ("Use no commas.", "content_filter", None),
        ("", "error", None),
    ],
)
def test_a_translation_is_one_line(
    text: str, finish_reason: FinishReason, words: str | None
) -> None:
    assert read_translation(reply(text, finish_reason)) == words


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("ENTAILMENT", "ENTAILMENT"),
        ("They ask for the same.\nENTAILMENT", "ENTAILMENT"),
        ("It cannot be told.\n\nNEUTRAL\n\n", "NEUTRAL"),
        ("One asks for 3, one for 5.\r\nCONTRADICTION\r\n", "CONTRADICTION"),
        ("**CONTRADICTION**", "CONTRADICTION"),
        ("**CONTRADICTION.**", "CONTRADICTION"),
        ("__NEUTRAL__", "NEUTRAL"),
        ("  NEUTRAL.  ", "NEUTRAL"),
        ("Not ENTAILMENT, but\nCONTRADICTION", "CONTRADICTION"),
        ("entailment", None),
        ("Contradiction", None),
        ("Answer: CONTRADICTION", None),
        ("ENTAILMENT or NEUTRAL", None),
        ("NO CONTRADICTION", None),
        ("ENTAILMENT NEUTRAL", None),
        ("CONTRADICTIONS", None),
        ("CONTRADICTION\nThat is because they differ.", None),
        ("The word is `NEUTRAL`", None),
        ("NEUTRAL?", None),
        ("", None),
        ("\n\n", None),
    ],
)
def test_a_label_stands_alone_on_the_last_line_in_capitals(text: str, label: str | None) -> None:
    assert read_label(reply(text)) == label
    assert read_label(reply(text, "length")) is None


@pytest.mark.parametrize("label", LABELS)
def test_a_readable_pair_is_certain(label: str) -> None:
    row = back_translation("r", "fun", "ins", reply("Use no commas."), reply(f"So:\n{label}"))
    certain = dict(zip(LABELS, (row.p_entailment, row.p_neutral, row.p_contradiction), strict=True))
    assert certain == {name: float(name == label) for name in LABELS}
    assert (row.back_translation, row.failure, row.detail) == ("Use no commas.", None, None)
    assert (row.generation_id, row.entailment_generation_id) == ("generation", "generation")


def test_without_words_nothing_is_compared() -> None:
    row = back_translation("r", "fun", "ins", reply("One.\nTwo."), None)
    assert (row.failure, row.detail) == ("unreadable_back_translation", "One. Two.")
    assert (row.back_translation, row.p_contradiction) == (None, None)
    assert row.entailment_generation_id is None


def test_a_label_that_cannot_be_read_is_no_label() -> None:
    row = back_translation("r", "fun", "ins", reply("Use no commas."), reply("Perhaps."))
    assert (row.failure, row.detail) == ("unreadable_entailment", "Perhaps.")
    assert (row.p_entailment, row.p_neutral, row.p_contradiction) == (None, None, None)
    assert row.back_translation == "Use no commas."


@given(any_text, any_text, finish_reasons)
def test_any_replies_give_a_row(words: str, label: str, finish_reason: FinishReason) -> None:
    row = back_translation("r", "f", "i", reply(words, finish_reason), reply(label, finish_reason))
    probabilities = (row.p_entailment, row.p_neutral, row.p_contradiction)
    if row.failure is None:
        assert sorted(str(p) for p in probabilities) == ["0.0", "0.0", "1.0"]
        assert row.back_translation
        assert "\n" not in row.back_translation
    else:
        assert row.failure in {"unreadable_back_translation", "unreadable_entailment"}


def test_the_translator_sees_the_function_alone_and_the_judge_no_function() -> None:
    """Otherwise a translation would repeat the instruction instead of the code."""
    asked = translate_request("fun", "def evaluate(response): ...", DEFAULT, seed=7)
    judged = entailment_request("fun", "Use no commas.", "Use no dashes.", DEFAULT, seed=7)
    assert "def evaluate(response): ..." in asked.messages[0].content
    assert "commas" not in asked.messages[0].content
    assert "First: Use no commas." in judged.messages[0].content
    assert "Second: Use no dashes." in judged.messages[0].content
    assert asked.samples != judged.samples
    assert asked.sampling.temperature == judged.sampling.temperature == 0
