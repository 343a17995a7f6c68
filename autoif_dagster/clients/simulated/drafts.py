"""On-topic text: short answers composed of sentence frames around a question's content words.

A judge who sees only texts must be able to tell whether an answer belongs to a question, so drafts
name the question's own words and no word of a frame counts as one. Frames hold no digits, quotes
or signs other than commas and the final stop, so that constraints on those start from nothing.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from random import Random


def _texts(block: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in block.strip().splitlines())


_FRAMES = _texts(
    """
    A good way to begin with {a} is to look at {b} first.
    Most people who work with {a} find that {b} helps more than they expect.
    It is easy to overlook {b}, although it often decides how {a} turns out.
    Start small, keep {a} in view, and let {b} follow from there.
    There is more than one path to {a}, but each of them passes through {b}.
    When {a} seems hard, going back to {b} makes the next step clear.
    Think of {a} as a habit rather than a single act.
    What matters most about {a} is how it connects to {b}.
    Many find it useful to write down what they know about {a} before they move on.
    A calm look at {b} shows why {a} is worth the effort.
    The usual mistake with {a} is to hurry.
    Both {a} and {b} reward patience, and neither needs special tools.
    In practice, {b} comes up again and again once {a} is under way.
    Someone new to {a} should ask what {b} is meant to do.
    Over time, {a} becomes simpler because {b} grows familiar.
    Good notes about {b} save a lot of trouble with {a} later.
    If only one thing can be done today, let it be {a}.
    Others have solved {a} by taking {b} apart and putting it together in a better order.
    None of this works without {b}, and that is why {a} should not be rushed.
    A short list of what {a} needs will show where {b} fits in.
    With {b} out of the way, {a} asks for little more than care.
    The best advice on {a} is to test it early and to adjust it often.
    For daily use, {a} and {b} can be treated as two sides of one thing.
    Ask a friend to look at {a}, since a fresh pair of eyes sees what {b} hides.
    Once the basics of {a} are in place, {b} can be improved bit by bit.
    Some prefer to leave {b} until the end, which also works for {a}.
    Books about {a} tend to open with {b}, and for good reason.
    Nobody masters {a} in a day, so plan for slow progress with {b}.
    Compare {a} with {b} before spending money on either.
    """
)
_POINTS = _texts(
    """
    a first look at {a}
    the basics of {a}
    how {a} fits with {b}
    what {a} needs
    common trouble with {a}
    a plan for {a}
    time set aside for {b}
    notes on {a} and {b}
    the next step after {b}
    ways to improve {a}
    questions about {b}
    """
)
_SUBJECTS = tuple(
    tuple(line.split())
    for line in _texts(
        """
    tomatoes watering sunlight
    bicycle brakes chain
    guitar chords rhythm
    bread flour oven
    chess openings endgame
    budget savings rent
    marathon training shoes
    astronomy telescope planets
    pottery clay glaze
    camping tent weather
    vocabulary grammar flashcards
    photography lens shadows
    beekeeping hives honey
    sleep bedroom routine
    coffee grinder beans
    painting canvas brushes
    kayak paddle currents
    fossils museum limestone
    violin bow scales
    compost leaves kitchen
    interview handshake posture
    origami paper folds
    spreadsheet formulas charts
    orchids humidity roots
    """
    )
)
_STOP_WORDS = frozenset(
    """
    about above after again against also always another answer anything around because been
    before being below between both cannot come comes could does doing done down during each
    else even ever every everything example explain find first following from give gives going
    have having help here hers herself himself into itself just keep know last less like list
    made make makes many might more most much must myself need needs never only other others
    ourselves over please question same shall should show some something such sure take tell
    than thank thanks that their theirs them themselves then there these they thing things
    think this those through under until upon used using very want wants well were what when
    where which while whom whose will with within without would write your yours yourself
    yourselves
    """.split()
)
_TOKEN = re.compile(r"[^\W\d_]+")
_LONGEST_TOKEN = 20  # characters; languages without spaces give a whole clause as one token
_FRAME_WORDS = frozenset(
    word for frame in _FRAMES + _POINTS for word in _TOKEN.findall(frame.lower())
)


@lru_cache(maxsize=65_536)
def content_words(query: str) -> tuple[str, ...]:
    """Up to six words that say what a query is about, in lower case and in its own order."""
    found: dict[str, None] = {}
    for token in _TOKEN.findall(query.lower()):
        long_enough = len(token) > 3 or (len(token) > 1 and not token.isascii())
        if long_enough and token not in _STOP_WORDS and token not in _FRAME_WORDS:
            found[token[:_LONGEST_TOKEN]] = None
    return tuple(found)[:6]


def mentions(text: str, words: Iterable[str]) -> bool:
    """Whether a text names one of a query's content words."""
    tokens = {token[:_LONGEST_TOKEN] for token in _TOKEN.findall(text.lower())}
    return not tokens.isdisjoint(words)


def another_subject(query: str, rng: Random) -> tuple[str, ...]:
    """Words of a subject that a query does not mention."""
    text = query.lower()
    start = rng.randrange(len(_SUBJECTS))
    for subject in _SUBJECTS[start:] + _SUBJECTS[:start]:
        if not any(word in text for word in subject):
            return subject
    return ("umbrellas", "parade")


class Draft:
    """An endless supply of sentences and short points about a few words, in an order of its own."""

    def __init__(self, subject: Sequence[str], rng: Random, length: int) -> None:
        self.rng = rng
        self._subject = tuple(subject) or ("that",)
        self._length = length  # sentences of `prose`
        self._supply = self._compose(_FRAMES)
        self._point_supply = self._compose(_POINTS)

    @classmethod
    def answer(cls, query: str, rng: Random) -> "Draft":
        return cls(content_words(query), rng, rng.randint(4, 7))

    @classmethod
    def elsewhere(cls, query: str, rng: Random) -> "Draft":
        return cls(another_subject(query, rng), rng, rng.randint(4, 7))

    @classmethod
    def example(cls, rng: Random) -> "Draft":
        """About anything, and as short as a test case."""
        return cls(rng.choice(_SUBJECTS), rng, rng.randint(1, 3))

    def _compose(self, frames: tuple[str, ...]) -> Iterator[str]:
        """Frames by a random stride, filled with neighbours among the subject's words. Both
        numbers of frames are prime, so that every stride visits all; shuffling costs four times
        as much as composing."""
        random, subject = self.rng.random, self._subject
        place = int(random() * len(frames))
        stride = 1 + int(random() * (len(frames) - 1))
        while True:
            at = int(random() * len(subject))
            b = subject[at - 1] if len(subject) > 1 else "it"
            yield frames[place].format(a=subject[at], b=b)
            place = (place + stride) % len(frames)

    def sentences(self, count: int) -> list[str]:
        return [s[0].upper() + s[1:] for s in (next(self._supply) for _ in range(count))]

    def prose(self) -> str:
        return " ".join(self.sentences(self._length))

    def block(self) -> str:
        """A short paragraph."""
        return " ".join(self.sentences(self.rng.randint(1, 2)))

    def words(self, count: int) -> str:
        """Exactly this many words, white space apart."""
        words: list[str] = []
        while len(words) < count:
            words += self.sentences(1)[0].split()
        del words[count:]
        if words:
            words[-1] = words[-1].rstrip(",.") + "."
        return " ".join(words)

    def points(self, count: int) -> list[str]:
        """Short items of lower-case words: no signs at all."""
        return [next(self._point_supply) for _ in range(count)]

    def point(self) -> str:
        return self.points(1)[0]
