"""The kind of an instruction: a seed's own, that of the seeds it sounds like, or `other`."""

import random

import pytest

from autoif_dagster.clients.simulated.grammar import phrase
from autoif_dagster.clients.simulated.planting import GRAMMAR
from autoif_dagster.recipe import load_recipe
from autoif_dagster.stages.duplicates import template
from autoif_dagster.stages.kinds import OTHER, Kinds
from autoif_dagster.stages.seeds import read_seeds

SEEDS = read_seeds(load_recipe("default", {}).seeds.path)
KINDS = Kinds((seed.instruction, seed.kind) for seed in SEEDS)


def test_a_seed_is_of_its_own_kind() -> None:
    assert list(KINDS.of([seed.instruction for seed in SEEDS])) == [seed.kind for seed in SEEDS]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Use at most 12 words.", "length"),
        ("The answer has to be a valid JSON object.", "json"),
        ("Start every sentence with the letter B.", "letters"),
        ("Зимой и летом одним цветом", OTHER),
        ("", OTHER),
    ],
)
def test_others_are_of_the_kind_that_they_sound_like(text: str, kind: str) -> None:
    assert list(KINDS.of([text])) == [kind]


def test_parameters_do_not_matter() -> None:
    texts = [f'Use the word "{word}" exactly {n} times.' for word, n in (("cat", 2), ("of", 9))]
    assert len(set(KINDS.of(texts))) == 1


def test_without_seeds_all_are_other() -> None:
    assert list(Kinds([]).of(["Use at most 12 words.", ""])) == [OTHER, OTHER]


def test_the_rule_is_right_as_often_as_its_words_say() -> None:
    """Of the wordings of all families, and of those that no seed has."""
    drawn, known = random.Random(1), {template(seed.instruction) for seed in SEEDS}
    wordings = [
        (phrase(words, family.draw(drawn)), family.kind)
        for family in GRAMMAR.families.values()
        for words in family.phrasings
        for _ in range(5)
    ]
    unheard = [(text, kind) for text, kind in wordings if template(text) not in known]
    assert len(unheard) > 100
    for given, least in ((wordings, 0.8), (unheard, 0.68)):
        found = KINDS.of([text for text, _ in given])
        right = sum(kind == truth for kind, (_, truth) in zip(found, given, strict=True))
        assert right / len(given) > least
