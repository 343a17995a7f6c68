"""Self-instruct: seeds and examples in, new instructions out (paper, section 3.1).

Each call shows its own draw of examples (default: six seeds, two verified instructions of earlier
rounds) instead of all seeds every time, and asks for many lines; calls go on until the target.

Two instructions are duplicates if their words are close by ROUGE-L *and* their parameters are the
same: "under 20 words" and "under 50 words" are two instructions, and a similarity threshold alone
would throw away exactly that variety. What keeps one template from flooding a round is a cap on its
parameter values instead.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz.distance import Indel

from autoif_dagster import ids
from autoif_dagster.clients import ChatRequest, Completion, Sampling
from autoif_dagster.recipe import Augmentation, Recipe
from autoif_dagster.records import AugmentedInstruction, RoundPlan, SeedInstruction
from autoif_dagster.stages import chat_request, clip

STAGE = "augmented_instructions"

_BULLET = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,3}[.):])\s+")
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|‘[^’]*’|`[^`]*`|(?<!\w)'[^']+'(?!\w)")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_NEGATED = re.compile(r"n['’]t\b|(?<=can)not\b", re.IGNORECASE)  # don't, can't, cannot
_NUMBER_WORDS = frozenset(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety "
    "hundred thousand once twice first second third fourth fifth last single double".split()
)
_TURNING_WORDS = frozenset(
    "no not never none nothing without avoid except unless only every all any each both always "
    "least most more less fewer longer shorter larger smaller bigger higher lower greater under "
    "over above below exactly maximum minimum before after between inside outside upper uppercase "
    "lowercase capital even odd start begin open end finish close ascending descending".split()
)
"""Words that turn a constraint into another one: comparatives, negations, directions."""


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of an instruction, and its words with the parameters masked."""

    parameters: tuple[str, ...]
    template: str
    words: tuple[str, ...]


@lru_cache(maxsize=4_096)
def signature(text: str) -> Signature:
    """What tells an instruction from its near neighbours."""
    quoted = _QUOTED.findall(text)
    bare = _QUOTED.sub(" “…” ", text)
    numbers = _NUMBER.findall(bare)
    bare = _NUMBER.sub(" # ", bare)
    bare = _NEGATED.sub(" not ", bare)
    words = [word.lower() for word in _WORD.findall(bare)]
    letters = [w for w in words if len(w) == 1 and w != "a"]
    counted = [w for w in words if w in _NUMBER_WORDS]
    turning = sorted(w for w in words if w in _TURNING_WORDS)
    masked = re.sub(
        _WORD,
        lambda m: "#" if m[0].lower() in _NUMBER_WORDS or m[0].lower() in letters else m[0].lower(),
        bare,
    )
    parameters = (*(q[1:-1] for q in quoted), *numbers, *letters, *counted, *turning)
    return Signature(parameters, " ".join(masked.split()), tuple(words))


class DuplicateFilter:
    """Decides, in order, which candidate instructions are new to a round and its past.

    Only instructions with equal parameters can be near-duplicates, so each candidate is compared
    with its namesakes alone. `Indel.normalized_similarity` over one code point per word is ROUGE-L
    F1 exactly.
    """

    def __init__(self, settings: Augmentation) -> None:
        self._settings = settings
        self._exact: dict[str, str] = {}
        self._alike: defaultdict[tuple[str, ...], list[tuple[str, str]]] = defaultdict(list)
        self._templates: Counter[str] = Counter()
        self._letters: dict[str, str] = {}

    def remember(self, text: str, origin: str) -> None:
        """An instruction that stands already; `origin` goes into the detail of what repeats it."""
        self._keep(text, signature(text), origin)

    def judge(self, text: str) -> tuple[str, str | None] | None:
        """None if the instruction is new, in which case it stands from now on; else reason and
        detail."""
        if len(text) > self._settings.max_chars:
            return "too_long", f"{len(text)} > {self._settings.max_chars} characters"
        if text in self._exact:
            return "duplicate", self._exact[text]
        found = signature(text)
        if self._templates[found.template] >= self._settings.per_template:
            return "template_full", f"{self._settings.per_template} of: {clip(found.template)}"
        encoded = self._encode(found.words)
        for other, origin in self._alike[found.parameters]:
            if similarity := Indel.normalized_similarity(
                encoded, other, score_cutoff=self._settings.near_duplicate
            ):
                return "near_duplicate", f"ROUGE-L {similarity:.2f} with {origin}"
        self._templates[found.template] += 1
        self._keep(text, found, ids.instruction_id(text))
        return None

    def _keep(self, text: str, found: Signature, origin: str) -> None:
        self._exact[text] = origin
        self._alike[found.parameters].append((self._encode(found.words), origin))

    def _encode(self, words: Iterable[str]) -> str:
        # From U+10000 on there are no surrogates in the way of a vocabulary of a million words.
        table = self._letters
        return "".join(table.setdefault(word, chr(0x10000 + len(table))) for word in words)


def seed_rows(plan: RoundPlan, seeds: Sequence[SeedInstruction]) -> list[AugmentedInstruction]:
    """The seeds themselves, as a round's first candidates."""
    return [
        AugmentedInstruction(
            round=plan.round,
            candidate_id=ids.content_id("cnd", plan.round, "seed", seed.instruction_id),
            instruction_id=seed.instruction_id,
            instruction=seed.instruction,
            origin="seed",
            template=signature(seed.instruction).template,
            seed_ids=[seed.instruction_id],
            example_ids=[],
            call_index=-1,
            position=seed.line,
            generation_id=None,
            reason=None,
            detail=None,
        )
        for seed in seeds
    ]


@dataclass(frozen=True, slots=True)
class Call:
    """One self-instruct call: which seeds and earlier instructions its prompt shows."""

    index: int
    seed_ids: tuple[str, ...]
    example_ids: tuple[str, ...]


def draw_call(plan: RoundPlan, index: int, seed_ids: Sequence[str], settings: Augmentation) -> Call:
    """The examples of call `index`; depends on the plan and the index alone."""
    draw = ids.rng(plan.random_seed, STAGE, index)
    seeds = draw.sample(sorted(seed_ids), min(settings.seed_examples, len(seed_ids)))
    examples = draw.sample(
        sorted(plan.example_ids), min(settings.verified_examples, len(plan.example_ids))
    )
    return Call(index, tuple(seeds), tuple(examples))


def request(call: Call, plan: RoundPlan, texts: dict[str, str], recipe: Recipe) -> ChatRequest:
    """The chat request of one call; `texts` maps the ids of seeds and examples to their words."""
    shown = [texts[i] for i in (*call.seed_ids, *call.example_ids)]
    settings = recipe.augmentation
    return chat_request(
        STAGE,
        f"{plan.round}/{call.index}",
        Sampling(settings.temperature, recipe.supervisor.top_p, settings.max_tokens),
        seed=plan.random_seed,
        samples=range(1),
        prompt="self_instruct",
        examples="\n".join(shown),
        count=str(settings.per_reply),
    )


def read_reply(call: Call, plan: RoundPlan, completion: Completion) -> list[AugmentedInstruction]:
    """One candidate per line of the reply; a reply without a line is one candidate that fell."""
    lines = [_BULLET.sub("", line).strip() for line in completion.text.splitlines()]
    lines = [line for line in lines if line]
    if completion.finish_reason == "length" and lines:
        lines.pop()  # cut in mid-line
    fallen = None if lines else "unreadable_reply"
    return [
        AugmentedInstruction(
            round=plan.round,
            candidate_id=ids.content_id("cnd", plan.round, call.index, position),
            instruction_id=ids.instruction_id(text),
            instruction=text,
            origin="self_instruct",
            template=signature(text).template,
            seed_ids=list(call.seed_ids),
            example_ids=list(call.example_ids),
            call_index=call.index,
            position=position,
            generation_id=completion.generation_id,
            reason=fallen,
            detail=completion.finish_reason if fallen else None,
        )
        for position, text in enumerate(lines or [""])
    ]
