"""Families about running text: case, letters, punctuation, keywords, order."""

import re
from itertools import pairwise

from autoif_dagster.clients.simulated.drafts import Draft
from autoif_dagster.clients.simulated.grammar import Family, Misreading, Params


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


# --- case ----------------------------------------------------------------------------------------

_LOWER_ONLY = Family(
    name="lower_only",
    kind="case",
    phrasings=(
        "Write without any capital letters.",
        "All letters of the answer have to be small letters.",
        "Never use a capital letter, not even at the start of a sentence.",
    ),
    draws={},
    check=lambda _, text: not any(c.isupper() for c in text),
    obey=lambda _, d: d.prose().lower(),
    edge=lambda _, d: d.rng.choice(
        (
            (text := d.block().lower()),
            text.capitalize(),
            text + " the NATO.",
            text + " it was made in europE.",
            "élan helps. " + text,
            "Élan helps. " + text,
            text + " it is called Über.",
            "12345",
            "",
        )
    ),
    right=(
        "return not any(character.isupper() for character in response)",
        "for character in response:\n"
        "    if character.isupper():\n"
        "        return False\n"
        "return True",
        "capitals = [c for c in response if c.isupper()]\nreturn len(capitals) == 0",
    ),
    wrong=(
        Misreading("return response.islower()"),
        Misreading('return re.search(r"[A-Z]", response) is None'),
        Misreading(
            "return not any(word[0].isupper() for word in response.split())",
            "Do not start any word with a capital letter.",
        ),
    ),
)


def _capitals(text: str) -> str:
    return "".join(c for c in text.upper() if not c.islower())


_UPPER_ONLY = Family(
    name="upper_only",
    kind="case",
    phrasings=(
        "Put every letter of the answer in capitals.",
        "The answer must not contain a single small letter.",
        "Write the whole answer in capital letters.",
    ),
    draws={},
    check=lambda _, text: not any(c.islower() for c in text),
    obey=lambda _, d: _capitals(d.prose()),
    edge=lambda _, d: d.rng.choice(
        (
            (text := _capitals(d.block())),
            text + " AN iPAD.",
            text.title(),
            text + " É.",
            text + " é.",
            "12345",
            "",
        )
    ),
    right=(
        "return not any(character.islower() for character in response)",
        "small = [c for c in response if c.islower()]\nreturn not small",
        "return sum(1 for c in response if c.islower()) == 0",
    ),
    wrong=(
        Misreading("return response.isupper()"),
        Misreading('return not re.search("[a-z]", response)'),
        Misreading(
            "return all(not word[0].islower() for word in response.split())",
            "Start every word with a capital letter.",
        ),
    ),
)

_TITLE_CASE = Family(
    name="title_case",
    kind="case",
    phrasings=(
        "Every word that begins with a letter has to begin with a capital letter.",
        "Capitalise the first letter of each word, small words such as articles included.",
    ),
    draws={},
    check=lambda _, text: not any(word[0].islower() for word in text.split()),
    obey=lambda _, d: " ".join(w[0].upper() + w[1:] for w in d.prose().split()),
    edge=lambda _, d: d.rng.choice(
        (
            (text := d.block().title()),
            text + " It's McDonald.",
            text + " An iPad.",
            text.replace(" ", " 3rd ", 1),
            text.replace(" A ", " a ", 1) + " the End.",
            text[:-1] + "-like Ideas.",
            text.upper(),
            "",
        )
    ),
    right=(
        "return not any(word[0].islower() for word in response.split())",
        "for word in response.split():\n"
        "    if word[0].islower():\n"
        "        return False\n"
        "return True",
    ),
    wrong=(
        Misreading("return response.istitle()"),
        Misreading("return all(word == word.capitalize() for word in response.split())"),
        Misreading(
            "return all(w[0].isupper() for w in response.split() if len(w) > 3)",
            "Start every word of more than three letters with a capital letter.",
            "CONTRADICTION",
        ),
    ),
)


def _shouts(d: Draft, count: int) -> str:
    words = d.prose().split()
    words = [w.capitalize() if w.isupper() else w for w in words]
    able = [i for i, w in enumerate(words) if re.fullmatch("[A-Za-z]{2,}[.,]?", w)]
    for at in d.rng.sample(able, min(count, len(able))):
        words[at] = words[at].upper()
    return " ".join(words) + " NOW" * max(0, count - len(able))


_SHOUTED = Family(
    name="shouted_words",
    kind="case",
    phrasings=(
        "Write exactly «n» words in capitals only, each of two or more letters from A to Z.",
        "Exactly «n» words of two or more letters from A to Z must be all capitals.",
    ),
    draws={"n": range(2, 7)},
    check=lambda p, text: len(re.findall(r"\b[A-Z]{2,}\b", text)) == p.n,
    obey=lambda p, d: _shouts(d, p.n),
    edge=lambda p, d: d.rng.choice(
        (
            (text := _shouts(d, max(0, p.n + d.rng.choice((-1, 0, 0, 1))))),
            text + " I agree.",
            text + " A NATO.",
            text + " It is number 7B.",
            text + " U.S. prices.",
            text.lower(),
        )
    ),
    right=(
        'return len(re.findall(r"\\b[A-Z]{2,}\\b", response)) == «n»',
        'words = re.findall(r"\\w+", response)\n'
        'shouted = [word for word in words if re.fullmatch("[A-Z]{2,}", word)]\n'
        "return len(shouted) == «n»",
    ),
    wrong=(
        Misreading("return sum(word.isupper() for word in response.split()) == «n»"),
        Misreading('return len(re.findall(r"\\b[A-Z]+\\b", response)) == «n»'),
        Misreading(
            'return len(re.findall(r"\\b[A-Z]{2,}\\b", response)) >= «n»',
            "Write at least «n» words of two or more letters in capitals only.",
        ),
    ),
)

# --- letters -------------------------------------------------------------------------------------


def _openings(p: Params, d: Draft, slips: int) -> str:
    """Sentences that begin with the letter, all but `slips` of them."""
    letter = p.letter.upper()
    starters = [w for w in _STARTERS if w.startswith(letter)]
    sentences = []
    for sentence in d.sentences(d.rng.randint(2, 5)):
        starter = d.rng.choice(starters or [letter + "."])
        sentences.append(f"{starter}, {sentence[0].lower()}{sentence[1:]}")
    for at in range(min(slips, len(sentences))):
        sentences[-1 - at] = "X" + sentences[-1 - at] if letter != "X" else "Y"
    return " ".join(sentences)


_STARTERS = (
    "Also Actually Besides Basically Certainly Clearly Definitely Even Frankly Firstly Generally "
    "However Happily Indeed Initially Just Keenly Likewise Luckily Moreover Mostly Naturally Now "
    "Overall Obviously Perhaps Practically Quickly Really Similarly Still Then Today Usually "
    "Ultimately Very Well Yes Yearly Zealously"
).split()

_SENTENCE_INITIALS = Family(
    name="sentence_initials",
    kind="letters",
    phrasings=(
        'Begin every sentence with the capital letter "«letter»".',
        'The first character of each sentence has to be a capital "«letter»".',
    ),
    draws={"letter": "ABCFGHILMNOPSTUW"},
    check=lambda p, text: _all_begin(p.letter.upper(), text),
    obey=lambda p, d: _openings(p, d, 0),
    edge=lambda p, d: d.rng.choice(
        (
            (text := _openings(p, d, d.rng.choice((0, 0, 1)))),
            text[0].lower() + text[1:],
            text.removesuffix(".") + "!",
            text + "\n" + p.letter.upper() + " is it.",
            text + " Xerox.",
            " " + text,
            "",
        )
    ),
    right=(
        'sentences = [s.strip() for s in re.split(r"[.!?]+", response) if s.strip()]\n'
        "return bool(sentences) and all(s.startswith(«letter».upper()) for s in sentences)",
        'sentences = [s for s in re.findall(r"[^.!?]+", response) if s.strip()]\n'
        "if not sentences:\n"
        "    return False\n"
        "return all(s.strip()[0] == «letter».upper() for s in sentences)",
    ),
    wrong=(
        Misreading(
            'return all(s.startswith(«letter».upper()) for s in response.split(". "))',
        ),
        Misreading(
            'sentences = [s.strip() for s in re.split(r"[.!?]+", response) if s.strip()]\n'
            "return all(s.lower().startswith(«letter».lower()) for s in sentences)",
            'Begin every sentence with the letter "«letter»", small or capital.',
        ),
        Misreading(
            "return response.strip().startswith(«letter».upper())",
            'Begin the answer with the capital letter "«letter»".',
        ),
    ),
)


def _all_begin(letter: str, text: str) -> bool:
    sentences = [s.strip() for s in re.split(r"[.!?]+", text) if s.strip()]
    return bool(sentences) and all(s.startswith(letter) for s in sentences)


# --- punctuation ---------------------------------------------------------------------------------

_LINE_ENDS = Family(
    name="line_ends",
    kind="punctuation",
    phrasings=(
        'Every line that is not empty has to end with the character "«mark»".',
        'Close each non-empty line with the character "«mark»" as its last one.',
    ),
    draws={"mark": "!;?:-)"},
    check=lambda p, text: (
        bool(_lines(text)) and all(line.rstrip().endswith(p.mark) for line in _lines(text))
    ),
    obey=lambda p, d: "\n".join(s[:-1] + p.mark for s in d.sentences(d.rng.randint(2, 5))),
    edge=lambda p, d: d.rng.choice(
        (
            (text := "\n".join(s[:-1] + p.mark for s in d.sentences(2))),
            text + "\n",
            text + "\n\n" + d.point() + p.mark,
            text.replace(p.mark, ".", 1),
            text[:-1] + p.mark + " ",
            text + " And so on.",
            text.replace("\n", " "),
            "",
        )
    ),
    right=(
        'lines = [line.rstrip() for line in response.split("\\n") if line.strip()]\n'
        "return len(lines) > 0 and all(line.endswith(«mark») for line in lines)",
        "seen = False\n"
        'for line in response.split("\\n"):\n'
        "    if not line.strip():\n"
        "        continue\n"
        "    seen = True\n"
        "    if line.rstrip()[-1] != «mark»:\n"
        "        return False\n"
        "return seen",
    ),
    wrong=(
        Misreading('return all(line.endswith(«mark») for line in response.split("\\n"))'),
        Misreading(
            "return response.rstrip().endswith(«mark»)",
            'End the answer with the character "«mark»".',
        ),
    ),
)

# --- keywords ------------------------------------------------------------------------------------


def _trio(d: Draft, words: tuple[str, ...]) -> str:
    """Prose that names these words, one sentence each."""
    named = [f"Then there is the {word}." for word in words]
    return " ".join([*d.sentences(d.rng.randint(1, 3)), *named])


_NAMES = "amber copper violet maple cedar pearl ivory linen walnut marble".split()

_ALL_WORDS = Family(
    name="all_words",
    kind="keywords",
    phrasings=(
        'Use each of the words "«word»", "«second»" and "«third»" at least once, small or capital.',
        'All three words "«word»", "«second»" and "«third»" have to occur, in any order and case.',
    ),
    draws=dict.fromkeys(("word", "second", "third"), _NAMES),
    check=lambda p, text: {p.word.lower(), p.second.lower(), p.third.lower()} <= set(_tokens(text)),
    obey=lambda p, d: _trio(d, (p.word, p.second, p.third)) + " " + d.prose(),
    edge=lambda p, d: d.rng.choice(
        (
            (text := _trio(d, (p.third, p.word, p.second))),
            text.upper(),
            _trio(d, (p.word, p.second)),
            _trio(d, (p.third,)),
            _trio(d, (p.word, p.second, p.third + "s")),
            _trio(d, (p.word.capitalize(), p.second, p.third)),
            text.replace(".", ","),
            f"{p.word}{p.second}{p.third}",
            f"{p.word} {p.second} {p.third}",
            "",
        )
    ),
    right=(
        'words = set(re.findall(r"\\w+", response.lower()))\n'
        "return all(word.lower() in words for word in («word», «second», «third»))",
        "for word in [«word», «second», «third»]:\n"
        '    if not re.search(r"\\b" + word.lower() + r"\\b", response.lower()):\n'
        "        return False\n"
        "return True",
    ),
    wrong=(
        Misreading(
            "text = response.lower()\n"
            "return «word» in text and «second» in text and «third» in text"
        ),
        Misreading(
            "words = response.split()\n"
            "return all(word in words for word in («word», «second», «third»))"
        ),
        Misreading(
            'words = re.findall(r"\\w+", response.lower())\n'
            "return any(word in words for word in («word», «second», «third»))",
            'Use at least one of the words "«word»", "«second»" and "«third»".',
        ),
    ),
)

# --- order ---------------------------------------------------------------------------------------


def _pair(d: Draft, first: str, second: str) -> str:
    opening, middle = d.sentences(1)[0], d.sentences(1)[0]
    return f"{opening} The {first} comes up. {middle} Then there is the {second}."


def _before(p: Params, text: str) -> bool:
    tokens = _tokens(text)
    first, second = p.word.lower(), p.second.lower()
    return first in tokens and second in tokens and tokens.index(first) < tokens.index(second)


_WORD_ORDER = Family(
    name="word_order",
    kind="order",
    phrasings=(
        'Use both the word "«word»" and the word "«second»", '
        'and let "«word»" come first before the first "«second»".',
        'Mention "«word»" before you mention "«second»" for the first time; both must occur.',
    ),
    draws={
        "word": ("problem", "question", "morning", "seed", "past", "plan"),
        "second": ("solution", "reply", "evening", "fruit", "future", "result"),
    },
    check=_before,
    obey=lambda p, d: _pair(d, p.word, p.second) + " " + d.sentences(1)[0],
    edge=lambda p, d: d.rng.choice(
        (
            (text := _pair(d, p.word, p.second)),
            _pair(d, p.second, p.word),
            f"{text} Last, the {p.word} again.",
            f"The {p.second} can wait. {text}",
            f"{p.second.capitalize()}s can wait. {text}",
            text.upper(),
            f"{d.sentences(1)[0]} Only the {p.word} counts.",
            f"{d.sentences(1)[0]} Only the {p.second} counts.",
            f"The {p.word}s differ. {_pair(d, p.second, p.word)}",
            "",
        )
    ),
    right=(
        'words = re.findall(r"\\w+", response.lower())\n'
        "first, second = «word».lower(), «second».lower()\n"
        "if first not in words or second not in words:\n"
        "    return False\n"
        "return words.index(first) < words.index(second)",
        "text = response.lower()\n"
        'first = re.search(r"\\b" + «word».lower() + r"\\b", text)\n'
        'second = re.search(r"\\b" + «second».lower() + r"\\b", text)\n'
        "return bool(first and second and first.start() < second.start())",
    ),
    wrong=(
        Misreading("text = response.lower()\nreturn text.find(«word») < text.find(«second»)"),
        Misreading(
            "text = response.lower()\n"
            "return «word» in text and «second» in text "
            "and text.index(«word») < text.rindex(«second»)",
            'Use the word "«second»" somewhere after the first "«word»".',
        ),
        Misreading(
            "return -1 < response.find(«word») < response.find(«second»)",
        ),
    ),
)


def _sorted(d: Draft, count: int) -> list[str]:
    lines = {point.capitalize() for point in d.points(3 * count + 6)}
    return sorted(lines, key=str.lower)[:count]


def _is_sorted(p: Params, text: str) -> bool:
    lines = [line.strip().lower() for line in _lines(text)]
    return len(lines) >= p.n and lines == sorted(lines)


_SORTED_LINES = Family(
    name="sorted_lines",
    kind="order",
    phrasings=(
        "Write at least «n» non-empty lines and sort them alphabetically, ignoring case.",
        "Give «n» or more non-empty lines in alphabetical order, capital letters "
        "counting like small ones.",
    ),
    draws={"n": range(3, 7)},
    check=_is_sorted,
    obey=lambda p, d: "\n".join(_sorted(d, p.n + d.rng.randint(0, 2))),
    edge=lambda p, d: d.rng.choice(
        (
            "\n".join(lines := _sorted(d, p.n)),
            "\n".join(lines[:-1]),
            "\n".join(reversed(lines)),
            "\n".join((*lines[1:], lines[0])),
            "\n".join((lines[0].lower(), *lines[1:])),
            "\n".join((*lines[:-2], lines[-2].lower(), lines[-1])),
            "\n".join((*lines[:-1], lines[-1], lines[-1])),
            "\n".join((lines[0], *lines)),
            "\n\n".join(lines),
            "\n".join(lines).replace("\n", "\n  ", 1),
            "",
        )
    ),
    right=(
        'lines = [line.strip().lower() for line in response.split("\\n") if line.strip()]\n'
        "return len(lines) >= «n» and lines == sorted(lines)",
        'lines = [line.strip().lower() for line in response.split("\\n") if line.strip()]\n'
        "if len(lines) < «n»:\n"
        "    return False\n"
        "return all(a <= b for a, b in zip(lines, lines[1:]))",
    ),
    wrong=(
        Misreading(
            'lines = [line.strip() for line in response.split("\\n") if line.strip()]\n'
            "return len(lines) >= «n» and lines == sorted(lines)",
            "Write at least «n» non-empty lines, sorted with all capitals before small letters.",
            "CONTRADICTION",
        ),
        Misreading(
            'lines = response.strip().split("\\n")\n'
            "return len(lines) >= «n» and lines == sorted(lines, key=str.lower)"
        ),
        Misreading(
            'lines = [line.strip().lower() for line in response.split("\\n") if line.strip()]\n'
            "return len(lines) >= «n» and all(a < b for a, b in zip(lines, lines[1:]))",
            "Write at least «n» non-empty lines in alphabetical order, no two of them equal.",
            "CONTRADICTION",
        ),
    ),
)


def _growing(d: Draft, count: int) -> list[str]:
    """Lines of strictly growing length."""
    lines: list[str] = []
    for point in sorted(d.points(count), key=len):
        line = point.capitalize()
        while lines and len(line) <= len(lines[-1]):
            line += " too"
        lines.append(line)
    return lines


_GROWING_LINES = Family(
    name="growing_lines",
    kind="order",
    phrasings=(
        "Write at least «n» lines, none of them empty, "
        "and make each line longer in characters than the line before it.",
        "Give «n» or more lines without an empty one, each with more characters than the last.",
    ),
    draws={"n": range(3, 7)},
    check=lambda p, text: _is_growing(p.n, text),
    obey=lambda p, d: "\n".join(_growing(d, p.n + d.rng.randint(0, 2))),
    edge=lambda p, d: d.rng.choice(
        (
            "\n".join(lines := _growing(d, p.n)),
            "\n".join(lines[:-1]),
            "\n".join((*lines[:-1], lines[-2][:-1] + "s")),
            "\n".join((*lines, lines[-1][::-1])),
            "\n".join((*lines[:-1], lines[-1] + "." * 40, "x" * (len(lines[-1]) + 41))),
            "\n".join(reversed(lines)),
            "\n\n".join(lines),
            "",
        )
    ),
    right=(
        'lines = response.split("\\n")\n'
        "if len(lines) < «n» or not all(line.strip() for line in lines):\n"
        "    return False\n"
        "return all(len(a) < len(b) for a, b in zip(lines, lines[1:]))",
        'lines = response.split("\\n")\n'
        'if len(lines) < «n» or any(line.strip() == "" for line in lines):\n'
        "    return False\n"
        "for i in range(1, len(lines)):\n"
        "    if len(lines[i]) <= len(lines[i - 1]):\n"
        "        return False\n"
        "return True",
    ),
    wrong=(
        Misreading(
            'lines = response.split("\\n")\n'
            "if len(lines) < «n» or not all(line.strip() for line in lines):\n"
            "    return False\n"
            "return all(len(a) <= len(b) for a, b in zip(lines, lines[1:]))",
            "Write at least «n» non-empty lines, none of them shorter than the line before it.",
        ),
        Misreading(
            'lines = response.split("\\n")\n'
            "return len(lines) >= «n» and all(\n"
            "    len(a.split()) < len(b.split()) for a, b in zip(lines, lines[1:])\n"
            ")",
            "Write at least «n» lines, each with more words than the line before it.",
            "CONTRADICTION",
        ),
    ),
)


def _is_growing(count: int, text: str) -> bool:
    lines = text.split("\n")
    lengths = [len(line) for line in lines]
    full = len(lines) >= count and all(line.strip() for line in lines)
    return full and all(a < b for a, b in pairwise(lengths))


FAMILIES = (
    _LOWER_ONLY,
    _UPPER_ONLY,
    _TITLE_CASE,
    _SHOUTED,
    _SENTENCE_INITIALS,
    _LINE_ENDS,
    _ALL_WORDS,
    _WORD_ORDER,
    _SORTED_LINES,
    _GROWING_LINES,
)
