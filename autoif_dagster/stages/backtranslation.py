"""Back-translation: what does a function say in words, and does that contradict its instruction
(paper, section 3.2)?

Each function is translated in a call of its own, so a wrong one cannot hide among right ones, and
its instruction is compared with the translation as premise and hypothesis. Here the supervisor is
the judge of that; its label is read strictly from the last line.
"""

import re

from autoif_dagster.clients import ChatRequest, Completion, Sampling
from autoif_dagster.recipe import Recipe
from autoif_dagster.records import BackTranslation
from autoif_dagster.stages import chat_request, clip

TRANSLATE = "back_translations.translate"
ENTAIL = "back_translations.entailment"

LABELS = ("ENTAILMENT", "NEUTRAL", "CONTRADICTION")
_LABEL_LINE = re.compile(r"[*_\s]*(ENTAILMENT|NEUTRAL|CONTRADICTION)[*_.\s]*")
_MAX_CHARS = 1_000


def _sampling(recipe: Recipe) -> Sampling:
    settings = recipe.back_translation
    return Sampling(settings.temperature, recipe.supervisor.top_p, settings.max_tokens)


def translate_request(function_id: str, source: str, recipe: Recipe, *, seed: int) -> ChatRequest:
    """Asks for the words of one function."""
    return chat_request(
        TRANSLATE,
        function_id,
        _sampling(recipe),
        seed=seed,
        samples=range(1),
        prompt="back_translate",
        source=source,
    )


def read_translation(completion: Completion) -> str | None:
    """The single line of the reply; None if there is none, several, or one far too long."""
    lines = [line.strip() for line in completion.text.splitlines() if line.strip()]
    whole = completion.finish_reason == "stop" and len(lines) == 1 and len(lines[0]) <= _MAX_CHARS
    return lines[0] if whole else None


def entailment_request(
    function_id: str, instruction: str, back_translation: str, recipe: Recipe, *, seed: int
) -> ChatRequest:
    """Asks whether the instruction (premise) entails the back-translation (hypothesis)."""
    return chat_request(
        ENTAIL,
        function_id,
        _sampling(recipe),
        seed=seed,
        samples=range(1),
        prompt="entailment",
        premise=instruction,
        hypothesis=back_translation,
    )


def read_label(completion: Completion) -> str | None:
    """One of `LABELS` if it stands alone on the last line, in capitals; else None."""
    lines = [line for line in completion.text.splitlines() if line.strip()]
    found = _LABEL_LINE.fullmatch(lines[-1]) if lines else None
    return found[1] if found and completion.finish_reason == "stop" else None


def back_translation(
    round_key: str,
    function_id: str,
    instruction_id: str,
    translated: Completion,
    labelled: Completion | None,
) -> BackTranslation:
    """The row of one function. A judge's label counts as certain: its probability is 1."""
    words = read_translation(translated)
    label = read_label(labelled) if labelled is not None else None
    failure = unread = None
    if words is None:
        failure, unread = "unreadable_back_translation", translated
    elif label is None:
        failure, unread = "unreadable_entailment", labelled
    entailment, neutral, contradiction = (
        float(label == name) if label is not None else None for name in LABELS
    )
    return BackTranslation(
        round=round_key,
        function_id=function_id,
        instruction_id=instruction_id,
        back_translation=words,
        p_entailment=entailment,
        p_neutral=neutral,
        p_contradiction=contradiction,
        generation_id=translated.generation_id,
        entailment_generation_id=labelled.generation_id if labelled is not None else None,
        failure=failure,
        detail=clip(unread.text) if unread is not None else None,
    )
