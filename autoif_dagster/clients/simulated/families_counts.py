"""Families that count something: so many words, so many bullets, a letter that never occurs.

A family here is a `_Unit` (what is counted, and the ways of counting it rightly and wrongly) under
a `_Relation` (at most, exactly, never). The instruction, its border and its implementations follow
from the two.
"""

import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle

from autoif_dagster.clients.simulated.drafts import Draft
from autoif_dagster.clients.simulated.grammar import Family, Label, Misreading, Params, Value

Disguise = Callable[[Params, str], str]


@dataclass(frozen=True, slots=True)
class _Relation:
    """A bound on a count. `test` and `slips` are conditions on `count`; a slip says another
    relation, and `entailed` tells whether obeying this one obeys the slip."""

    test: str
    holds: Callable[[int, int], bool]
    phrasings: tuple[str, ...]  # {amount} of things
    occurrences: tuple[str, ...]  # {subject} occurs
    near: tuple[int, ...]  # counts around n that are worth a case
    slips: tuple[tuple[str, str, bool], ...] = ()
    upper: bool = False  # an undercount is lenient


_MOST = ("Use at most «n» {noun}{note}.", "{subject} must appear at most «n» times.")
_LEAST = ("Use at least «n» {noun}{note}.", "{subject} must appear at least «n» times.")
_FEWER = ("Use fewer than «n» {noun}{note}.", "{subject} must appear fewer than «n» times.")
_MORE = ("Use more than «n» {noun}{note}.", "{subject} must appear more than «n» times.")
_SAID = {"at_most": _MOST, "at_least": _LEAST, "fewer": _FEWER, "more": _MORE}

_RELATIONS = {
    "at_most": _Relation(
        "count <= «n»",
        lambda count, n: count <= n,
        (
            _MOST[0],
            "Keep the whole answer to «n» {noun} or fewer{note}.",
            "Do not write more than «n» {noun}{note}.",
        ),
        (_MOST[1],),
        (0, 0, 1),
        (("count < «n»", "fewer", False),),
        upper=True,
    ),
    "at_least": _Relation(
        "count >= «n»",
        lambda count, n: count >= n,
        (
            _LEAST[0],
            "Write no fewer than «n» {noun}{note}.",
            "Let the answer have «n» or more {noun}{note}.",
        ),
        (_LEAST[1], "{subject} has to occur «n» times or more."),
        (-1, -1, 0),
        (("count > «n»", "more", False),),
    ),
    "exactly": _Relation(
        "count == «n»",
        lambda count, n: count == n,
        (
            "Use exactly «n» {noun}{note}.",
            "Write «n» {noun}, no more and no fewer{note}.",
            "The answer has to have exactly «n» {noun}{note}.",
        ),
        (
            "{subject} must appear exactly «n» times.",
            "{subject} has to occur «n» times, no more and no less.",
        ),
        (-1, 0, 0, 1),
        (("count >= «n»", "at_least", True), ("count <= «n»", "at_most", True)),
    ),
    "never": _Relation(
        "count == 0",
        lambda count, _: count == 0,
        (),
        ("{subject} must not appear anywhere.",),
        (0, 1),
        upper=True,
    ),
    "once": _Relation(
        "count > 0",
        lambda count, _: count > 0,
        (),
        ("{subject} must appear at least once.",),
        (0, 1, 1),
    ),
}


@dataclass(frozen=True, slots=True)
class _Slip:
    """A wrong way of counting. `drift` is the sign of its error, 0 where it errs both ways; `noun`
    and `subject` word what it really counts, empty where it means the right thing."""

    body: str
    drift: int
    noun: str = ""
    note: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is counted. Things have a `noun` and a `note`, occurrences a `subject`. `build` writes
    a text with exactly so many; `disguises` move a text by what wrong counters stumble over."""

    name: str
    count: Callable[[Params, str], int]
    build: Callable[[Params, Draft, int], str]
    disguises: tuple[Disguise, ...]
    right: tuple[str, ...]
    wrong: tuple[_Slip, ...]
    noun: str = ""
    note: str = ""
    subject: str = ""


def _family(
    unit: _Unit,
    relation_name: str,
    kind: str,
    draws: dict[str, Sequence[Value]],
    extra: tuple[str, ...] = (),
) -> Family:
    """`extra` are wordings that only this combination has."""
    relation = _RELATIONS[relation_name]

    def words(templates: tuple[str, ...], noun: str, note: str, subject: str) -> tuple[str, ...]:
        return tuple(t.format(noun=noun, note=note, subject=subject) for t in templates)

    def check(p: Params, text: str) -> bool:
        return relation.holds(unit.count(p, text), p.n)

    def obey(p: Params, d: Draft) -> str:
        if relation_name == "at_most":
            return unit.build(p, d, d.rng.randint(max(1, p.n // 2), p.n) if p.n < 100 else p.n)
        surplus = d.rng.randint(0, 2 + p.n // 10) if relation_name in ("at_least", "once") else 0
        return unit.build(p, d, p.n + surplus + (relation_name == "once"))

    def edges(p: Params, d: Draft) -> tuple[str, ...]:
        text = unit.build(p, d, max(0, p.n + d.rng.choice(relation.near)))
        return text, *(disguise(p, text) for disguise in unit.disguises)

    def misread(slip: _Slip) -> Misreading:
        body = f"{slip.body}\nreturn {relation.test}"
        if not (slip.noun or slip.subject):
            return Misreading(body)
        templates = relation.phrasings if slip.noun else relation.occurrences
        lenient = relation_name != "exactly" and slip.drift == (-1 if relation.upper else 1)
        label: Label = "ENTAILMENT" if lenient else "CONTRADICTION"
        said = words(templates[:1], slip.noun, slip.note, slip.subject)[0]
        return Misreading(body, said, label)

    templates = relation.phrasings if unit.noun else relation.occurrences
    counters = cycle(unit.right)
    bound_slips = tuple(
        Misreading(
            f"{next(counters)}\nreturn {test}",
            words(_SAID[said], unit.noun, unit.note, unit.subject)[0 if unit.noun else 1],
            "ENTAILMENT" if entailed else "CONTRADICTION",
        )
        for test, said, entailed in relation.slips
    )
    return Family(
        name=f"{unit.name}_{relation_name}",
        kind=kind,
        phrasings=extra + words(templates, unit.noun, unit.note, unit.subject),
        draws=draws,
        check=check,
        obey=obey,
        edges=edges,
        right=tuple(
            f"{counter}\n{_ANSWERS[i % len(_ANSWERS)].format(test=relation.test)}"
            for i, counter in enumerate(unit.right)
        ),
        wrong=bound_slips + tuple(misread(slip) for slip in unit.wrong),
    )


_ANSWERS = (
    "return {test}",
    "if {test}:\n    return True\nreturn False",
    "obeyed = {test}\nreturn obeyed",
)


def _empty(_: Params, __: str) -> str:
    return ""


def _append(tail: str) -> Disguise:
    return lambda _, text: text + tail


def _swap(old: str, new: str, count: int = -1) -> Disguise:
    return lambda _, text: text.replace(old, new, count)


def _halves(text: str, infix: str) -> str:
    """The text with something put between its middle words."""
    words = text.split(" ")
    middle = max(1, len(words) // 2)
    return " ".join(words[:middle]) + infix + " ".join(words[middle:])


# --- words, sentences, characters, lines, paragraphs, digits -------------------------------------

_WORDS = _Unit(
    "words",
    noun="words",
    count=lambda _, text: len(text.split()),
    build=lambda _, d, k: d.words(k),
    disguises=(
        lambda _, text: _halves(text, "  "),
        lambda _, text: _halves(text, "\n"),
        lambda _, text: _halves(text, " – "),
        lambda _, text: _halves(text, "-"),
        _append(" "),
        _empty,
    ),
    right=(
        "count = len(response.split())",
        'count = len(re.findall(r"\\S+", response))',
        'count = sum(1 for chunk in re.split(r"\\s+", response) if chunk)',
    ),
    wrong=(
        _Slip('count = len(response.split(" "))', 1),
        _Slip('count = len(re.findall(r"\\b\\w+\\b", response))', 1),
    ),
)

_SENTENCES = _Unit(
    "sentences",
    noun="sentences",
    note=' (a full stop, "!" or "?" ends a sentence)',
    count=lambda _, text: sum(1 for part in re.split(r"[.!?]+", text) if part.strip()),
    build=lambda _, d, k: " ".join(d.sentences(k)),
    disguises=(
        lambda _, text: text.removesuffix("."),
        lambda _, text: text.removesuffix(".") + "!",
        lambda _, text: text.replace(".", "?", 1),
        _swap(". ", ".", 1),
        _append(".."),
        _empty,
    ),
    right=(
        'count = len([part for part in re.split(r"[.!?]+", response) if part.strip()])',
        'count = len(re.findall(r"[^.!?\\s][^.!?]*", response))',
        'text = response.replace("!", ".").replace("?", ".")\n'
        'count = sum(1 for part in text.split(".") if part.strip())',
    ),
    wrong=(
        _Slip('count = response.count(".")', 0, noun="full stops"),
        _Slip('count = len(re.split(r"[.!?]", response.strip())) - 1', 0),
        _Slip('count = len([s for s in re.split(r"[.!?]\\s", response) if s])', 0),
    ),
)


def _characters(_: Params, d: Draft, k: int) -> str:
    text = d.prose()
    while len(text) < k:
        text += " " + d.sentences(1)[0]
    return text[: k - 1].rstrip().ljust(k - 1, ".") + "." if k > 0 else ""


_CHARACTERS = _Unit(
    "characters",
    noun="characters",
    note=", spaces and line breaks included",
    count=lambda _, text: len(text),
    build=_characters,
    disguises=(_append(" "), _append("\n"), lambda _, text: text[:-1], _swap(" ", "\n", 1), _empty),
    right=(
        "count = len(response)",
        "count = sum(1 for _ in response)",
        "count = 0\nfor character in response:\n    count += 1",
    ),
    wrong=(
        _Slip("count = len(response.strip())", -1),
        _Slip(
            'count = len(re.sub(r"\\s", "", response))',
            -1,
            noun="characters",
            note=", not counting spaces and line breaks",
        ),
    ),
)

_LINES = _Unit(
    "lines",
    noun="non-empty lines",
    count=lambda _, text: sum(1 for line in text.split("\n") if line.strip()),
    build=lambda _, d, k: "\n".join(d.sentences(k)),
    disguises=(_swap("\n", "\n\n", 1), _append("\n"), _append("\n  "), _swap(". ", ".\n"), _empty),
    right=(
        'count = len([line for line in response.split("\\n") if line.strip()])',
        'count = len(re.findall(r"[^\\n]*\\S[^\\n]*", response))',
        "count = 0\n"
        'for line in response.split("\\n"):\n'
        '    if line.strip() != "":\n'
        "        count += 1",
    ),
    wrong=(
        _Slip('count = len(response.split("\\n"))', 1, noun="lines, empty ones included"),
        _Slip('count = response.strip().count("\\n") + 1', 1),
    ),
)

_PARAGRAPHS = _Unit(
    "paragraphs",
    noun="paragraphs",
    note=", with a blank line between one paragraph and the next",
    count=lambda _, text: sum(1 for part in re.split(r"\n\s*\n", text) if part.strip()),
    build=lambda _, d, k: "\n\n".join(d.block() for _ in range(k)),
    disguises=(
        _swap("\n\n", "\n\n\n\n", 1),
        _swap("\n\n", "\n \n", 1),
        _swap("\n\n", "\n", 1),
        _swap(" ", "\n", 1),
        _append("\n\n"),
        _empty,
    ),
    right=(
        'count = sum(1 for block in re.split(r"\\n\\s*\\n", response) if block.strip())',
        "count = 0\n"
        "inside = False\n"
        'for line in response.split("\\n"):\n'
        "    if line.strip() and not inside:\n"
        "        count += 1\n"
        "    inside = bool(line.strip())",
    ),
    wrong=(
        _Slip('count = len(response.split("\\n\\n"))', 1),
        _Slip(
            'count = len([line for line in response.split("\\n") if line.strip()])',
            1,
            noun="non-empty lines",
        ),
    ),
)


def _figures(_: Params, d: Draft, k: int) -> str:
    """Prose that ends in numbers of up to four digits, k digits in all."""
    groups = []
    while k > 0:
        size = min(k, d.rng.randint(1, 4))
        groups.append("".join(d.rng.choices(string.digits, k=size)))
        k -= size
    listed = f" The figures to keep in mind are {', '.join(groups)}." if groups else ""
    return d.prose() + listed


_DIGITS = _Unit(
    "digits",
    noun="digits (0-9)",
    count=lambda _, text: sum(text.count(digit) for digit in string.digits),
    build=_figures,
    disguises=(_append(" Its area is 1 m²."), _append(" The sign for three is ٣."), _empty),
    right=(
        'count = len(re.findall(r"[0-9]", response))',
        "count = sum(1 for character in response if character in string.digits)",
        'count = 0\nfor digit in "0123456789":\n    count += response.count(digit)',
    ),
    wrong=(
        _Slip('count = len(re.findall(r"[0-9]+", response))', -1, noun="numbers written in digits"),
        _Slip("count = sum(character.isdigit() for character in response)", 1),
    ),
)

# --- lines with a prefix -------------------------------------------------------------------------


def _prefixed(p: Params, d: Draft, k: int) -> str:
    items = [p.prefix + point for point in d.points(k)]
    opening = d.sentences(1) if d.rng.random() < 0.5 else []
    return "\n".join(opening + items) or d.point()


def _prefixed_unit(name: str, noun: str, variable: str) -> _Unit:
    return _Unit(
        name,
        noun=noun,
        note=', each on a line of its own that starts with "«prefix»"',
        count=lambda p, text: sum(line.startswith(p.prefix) for line in text.split("\n")),
        build=_prefixed,
        disguises=(
            lambda p, text: text.replace("\n" + p.prefix, "\n  " + p.prefix, 1),
            lambda p, text: text + f" {p.prefix}and more",
            lambda p, text: text + f"\n{p.prefix.strip()}and more",
            lambda p, text: f"{text}\n{p.prefix}",
            _empty,
        ),
        right=(
            f'{variable} = [x for x in response.split("\\n") if x.startswith(«prefix»)]\n'
            f"count = len({variable})",
            f'{variable} = re.findall(r"^" + re.escape(«prefix»), response, flags=re.MULTILINE)\n'
            f"count = len({variable})",
            f"# A line break in front finds the {noun} of the first line too.\n"
            'count = ("\\n" + response).count("\\n" + «prefix»)',
        ),
        wrong=(
            _Slip(f"# Count the {noun}.\ncount = response.count(«prefix»)", 1),
            _Slip(
                f'{variable} = [x.strip() for x in response.split("\\n")]\n'
                f"count = sum(1 for x in {variable} if x.startswith(«prefix».strip()))",
                1,
            ),
            _Slip(f'# Each of the {noun}.\ncount = response.count("\\n" + «prefix»)', -1),
        ),
    )


_BULLETS = _prefixed_unit("bullets", "bullet points", "bullets")
_HEADINGS = _prefixed_unit("headings", "headings", "headings")

# --- occurrences of a letter, a word, a sign -----------------------------------------------------

_LISTED = (
    "calm clay plan oven ripe step mild quiz jar box zinc wolf dusk fog hymn vivid lamp kite bird "
    "cup yarn most gold shrub fjord query wax very view joke maze of"
).split()


def _without_letter(letter: str, text: str) -> str:
    """The text without its words that hold a letter, still ending with a stop."""
    kept = [word for word in text.split() if letter not in word.lower()]
    return " ".join(kept).rstrip(",.") + "." if kept else "."


def _letters(p: Params, d: Draft, k: int) -> str:
    """Prose with exactly k of a letter: words are dropped or listed until the count is met."""
    letter = p.letter.lower()
    words = d.prose().split()
    surplus = sum(word.lower().count(letter) for word in words) - k
    for at in reversed(range(len(words))):
        held = words[at].lower().count(letter)
        if 0 < held <= surplus:
            surplus -= held
            del words[at]
    if surplus > 0:  # only words with several of it are left
        words = [word for word in words if letter not in word.lower()]
        surplus = -k
    if words:
        words[-1] = words[-1].rstrip(",.") + "."
    pool = [word for word in _LISTED if word.count(letter) == 1] or [letter]
    listed = ", ".join(d.rng.choice(pool) for _ in range(-surplus))
    return " ".join(words) + (f" {listed.capitalize()}." if listed else "")


_LETTER = _Unit(
    "letter",
    subject='The letter "«letter»", small or capital,',
    count=lambda p, text: text.lower().count(p.letter.lower()),
    build=_letters,
    disguises=(
        lambda _, text: text.upper(),
        lambda p, text: p.letter.upper() + text,
        lambda p, text: f"{text} {p.letter.upper()}",
        lambda p, text: f"{text} O{p.letter.lower()}o",
        lambda p, text: f"{text} O{p.letter.lower()}",
        _empty,
    ),
    right=(
        "count = response.lower().count(«letter».lower())",
        "letter = «letter».lower()\n"
        "count = sum(1 for character in response.lower() if character == letter)",
        "count = len(re.findall(«letter».lower(), response.lower()))",
    ),
    wrong=(
        _Slip(
            "count = response.count(«letter».lower())", -1, subject='The small letter "«letter»"'
        ),
        _Slip(
            "letter = «letter».lower()\n"
            "count = sum(1 for word in response.lower().split() if word.startswith(letter))",
            -1,
            subject='A word that starts with the letter "«letter»"',
        ),
        _Slip(
            "letter = «letter».lower()\n"
            "count = sum(1 for word in response.lower().split() if letter in word[:-1])",
            -1,
        ),
    ),
)

_MENTIONS = (
    "The {word} matters here.",
    "Here {word} comes in again.",
    "Do not forget {word}.",
    "A note on {word} belongs here.",
    "This is where {word} shows up.",
)


def _mentions(p: Params, d: Draft, k: int) -> str:
    """Prose with exactly k times the word."""
    sentences = [
        " ".join(w for w in s.split() if p.word.lower() not in w.lower())
        for s in d.prose().split(". ")
    ]
    sentences = [s.rstrip(".,") + "." for s in sentences if s]
    plain = [m for m in _MENTIONS if p.word.lower() not in m.lower()] or ["{word}."]
    for _ in range(k):
        mention = d.rng.choice(plain).format(word=p.word)
        sentences.insert(d.rng.randint(0, len(sentences)), mention)
    return " ".join(sentences)


_WORD = _Unit(
    "word",
    subject='The word "«word»", in small or capital letters,',
    count=lambda p, text: re.findall(r"\w+", text.lower()).count(p.word.lower()),
    build=_mentions,
    disguises=(
        lambda p, text: text.replace(p.word, p.word.capitalize(), 1),
        lambda _, text: text.upper(),
        lambda p, text: text.replace(p.word, p.word + "s", 1),
        lambda p, text: f"{text} Un{p.word}ed too.",
        lambda p, text: f"{text} Think of {p.word}ing.",
        lambda p, text: f"{p.word.upper()} {text}",
        lambda p, text: text.replace(p.word + " ", p.word + ", ", 1),
        lambda p, text: f"{text} In a word: {p.word}!",
        _empty,
    ),
    right=(
        'count = re.findall(r"\\w+", response.lower()).count(«word».lower())',
        'pattern = r"\\b" + re.escape(«word».lower()) + r"\\b"\n'
        "count = len(re.findall(pattern, response.lower()))",
        'words = Counter(re.split(r"\\W+", response.lower()))\ncount = words[«word».lower()]',
    ),
    wrong=(
        _Slip("count = response.lower().count(«word».lower())", 1),
        _Slip(
            'count = len(re.findall(r"\\b" + «word» + r"\\b", response))',
            -1,
            subject='The word "«word»", with the same small and capital letters,',
        ),
        _Slip("count = response.lower().split().count(«word».lower())", -1),
    ),
)


def _signs(p: Params, d: Draft, k: int) -> str:
    """Prose with exactly k times the sign, each behind a word."""
    words = d.prose().replace(p.mark, "").split()
    for at in d.rng.sample(range(len(words)), min(k, len(words))):
        words[at] += p.mark
    return " ".join(words) + p.mark * max(0, k - len(words))


_SIGN = _Unit(
    "sign",
    subject='The character "«mark»"',
    count=lambda p, text: text.count(p.mark),
    build=_signs,
    disguises=(
        lambda p, text: text + p.mark,
        lambda p, text: text.replace(p.mark, p.mark * 2, 1),
        lambda p, text: text.replace(p.mark, f" {p.mark}", 1),
        lambda p, text: f"1{p.mark}000 " + text,
        lambda p, text: p.mark + text,
        _empty,
    ),
    right=(
        "count = response.count(«mark»)",
        "count = sum(1 for character in response if character == «mark»)",
        "count = len(response.split(«mark»)) - 1",
    ),
    wrong=(
        _Slip(
            "count = sum(1 for word in response.split() if «mark» in word[:-1])",
            -1,
            subject='The character "«mark»" inside a word',
        ),
        _Slip(
            "count = sum(1 for word in response.split() if word.endswith(«mark»))",
            -1,
            subject='A word that ends with the character "«mark»"',
        ),
        _Slip("count = response.strip().rstrip(«mark»).count(«mark»)", -1),
    ),
)

# --- between -------------------------------------------------------------------------------------


def _words_between(p: Params, d: Draft) -> tuple[str, ...]:
    text = d.words(max(0, d.rng.choice((p.low, p.high)) + d.rng.choice((-1, 0, 1))))
    return text, *(disguise(p, text) for disguise in _WORDS.disguises)


_WORDS_BETWEEN = Family(
    name="words_between",
    kind="length",
    phrasings=(
        "Use between «low» and «high» words in all, both numbers included.",
        "The answer must have no fewer than «low» and no more than «high» words.",
        "Stay within «low» to «high» words, counting both ends as allowed.",
    ),
    draws={"low": range(15, 60, 5), "high": range(65, 130, 5)},
    check=lambda p, text: p.low <= len(text.split()) <= p.high,
    obey=lambda p, d: d.words(d.rng.randint(p.low, max(p.low, p.high))),
    edges=_words_between,
    right=(
        "return «low» <= len(response.split()) <= «high»",
        'total = len(re.findall(r"\\S+", response))\nreturn total >= «low» and total <= «high»',
        "words = response.split()\n"
        "if len(words) < «low» or len(words) > «high»:\n"
        "    return False\n"
        "return True",
    ),
    wrong=(
        Misreading(
            "return «low» < len(response.split()) < «high»",
            "Use more than «low» and fewer than «high» words.",
            "CONTRADICTION",
        ),
        Misreading("return len(response.split()) in range(«low», «high»)"),
        Misreading('return «low» <= len(response.split(" ")) <= «high»'),
        Misreading(
            "return len(response.split()) <= «high»", "Use at most «high» words.", "ENTAILMENT"
        ),
    ),
)

_PLAIN_WORDS = (
    "lantern river because harvest orange window silver winter bridge garden market planet pepper "
    "ribbon shadow thunder velvet whisper anchor basket candle desert feather hammer island jungle"
).split()
_COMMON_LETTERS = "abcdfghklmnoprstuvwy"
_SPARE_LETTERS = "bcfghjkpqvwxyz"
_SIGNS = ";!?:-(*"

FAMILIES = (
    _family(
        _WORDS,
        "at_most",
        "length",
        {"n": range(20, 100, 5)},
        ("Say it all in «n» words or fewer.",),
    ),
    _family(
        _WORDS,
        "at_least",
        "length",
        {"n": range(30, 130, 5)},
        ("Take «n» words or more for the answer.",),
    ),
    _family(
        _WORDS,
        "exactly",
        "counts",
        {"n": range(10, 80)},
        ("The word count of the answer has to be exactly «n».",),
    ),
    _WORDS_BETWEEN,
    _family(_SENTENCES, "exactly", "counts", {"n": range(2, 9)}),
    _family(_SENTENCES, "at_most", "length", {"n": range(2, 7)}),
    _family(
        _CHARACTERS,
        "at_most",
        "length",
        {"n": range(100, 500, 20)},
        ("From its first to its last character, the answer may be at most «n» characters long.",),
    ),
    _family(_CHARACTERS, "at_least", "length", {"n": range(150, 600, 25)}),
    _family(
        _LINES,
        "exactly",
        "counts",
        {"n": range(2, 9)},
        ("Spread the answer over «n» lines, neither more nor fewer; empty lines do not count.",),
    ),
    _family(_PARAGRAPHS, "exactly", "counts", {"n": range(2, 6)}),
    _family(_DIGITS, "exactly", "counts", {"n": range(2, 12)}),
    _family(_BULLETS, "exactly", "lists", {"n": range(2, 9), "prefix": ("- ", "* ", "+ ")}),
    _family(
        _BULLETS,
        "at_least",
        "lists",
        {"n": range(3, 8), "prefix": ("- ", "* ", "• ")},
        ('There have to be «n» or more bullet points, that is, lines that start with "«prefix»".',),
    ),
    _family(_HEADINGS, "exactly", "headings", {"n": range(2, 6), "prefix": ("# ", "## ", "### ")}),
    _family(
        _HEADINGS,
        "at_least",
        "headings",
        {"n": range(2, 5), "prefix": ("# ", "## ")},
        ('Divide the answer by «n» or more Markdown headings: lines that start with "«prefix»".',),
    ),
    _family(
        _LETTER,
        "never",
        "letters",
        {"letter": _SPARE_LETTERS},
        (
            'Use no word that contains the letter "«letter»", small or capital.',
            'Leave out the letter "«letter»" altogether, small or capital.',
        ),
    ),
    _family(_LETTER, "at_least", "letters", {"letter": _COMMON_LETTERS, "n": range(8, 25)}),
    _family(_LETTER, "exactly", "letters", {"letter": _SPARE_LETTERS, "n": range(2, 8)}),
    _family(
        _WORD,
        "once",
        "keywords",
        {"word": _PLAIN_WORDS},
        ('Include the word "«word»" at least once, in small or capital letters.',),
    ),
    _family(
        _WORD,
        "never",
        "keywords",
        {"word": "important also really things simple often people help".split()},
        ('Do not use the word "«word»" anywhere, in small or capital letters.',),
    ),
    _family(
        _WORD,
        "exactly",
        "repetition",
        {"word": _PLAIN_WORDS, "n": range(2, 6)},
        ('Say "«word»" «n» times in all, as a word of its own, small or capital.',),
    ),
    _family(
        _WORD,
        "at_least",
        "repetition",
        {"word": _PLAIN_WORDS, "n": range(2, 5)},
        ('Keep coming back to the word "«word»", small or capital: no fewer than «n» times.',),
    ),
    _family(
        _SIGN,
        "never",
        "punctuation",
        {"mark": ",;!?:-("},
        ('Write without the character "«mark»".',),
    ),
    _family(
        _SIGN,
        "exactly",
        "punctuation",
        {"mark": _SIGNS, "n": range(2, 7)},
        ('Put in the character "«mark»" «n» times in all, at places of your choice.',),
    ),
    _family(
        _SIGN,
        "at_least",
        "punctuation",
        {"mark": _SIGNS, "n": range(2, 6)},
        ('Let "«mark»" occur «n» times or more as a character of the answer.',),
    ),
)
