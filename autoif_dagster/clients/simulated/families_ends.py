"""Families about where an answer begins and ends, and about what it repeats."""

import re

from autoif_dagster.clients.simulated.drafts import Draft
from autoif_dagster.clients.simulated.grammar import Family, Misreading


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


# --- openings and endings ------------------------------------------------------------------------

_STARTS_WITH = Family(
    name="starts_with",
    kind="start_end",
    phrasings=(
        'Begin the answer with exactly "«text»".',
        'The very first characters of the answer must read "«text»".',
        'Open with the words "«text»", spelled just like that.',
    ),
    draws={
        "text": (
            "In short,",
            "To begin with,",
            "Here is the thing:",
            "Let me explain:",
            "First of all,",
            "Good question.",
            "As a rule,",
        )
    },
    check=lambda p, text: text.startswith(p.text),
    obey=lambda p, d: f"{p.text} {d.prose()}",
    edges=lambda p, d: (
        f"{p.text} {d.block()}",
        f" {p.text} {d.block()}",
        f"\n{p.text} {d.block()}",
        f"{p.text.lower()} {d.block()}",
        f"{p.text.upper()} {d.block()}",
        f"{p.text[:-1]} {d.block()}",
        f"{d.block()} {p.text} {d.block()}",
        p.text,
        "",
    ),
    right=(
        "return response.startswith(«text»)",
        "opening = «text»\nreturn response[: len(opening)] == opening",
        "return re.match(re.escape(«text»), response) is not None",
    ),
    wrong=(
        Misreading("return response.lower().startswith(«text».lower())"),
        Misreading("return response.strip().startswith(«text»)"),
        Misreading("return «text» in response", 'Include "«text»" somewhere in the answer.'),
    ),
)

_ENDS_WITH = Family(
    name="ends_with",
    kind="start_end",
    phrasings=(
        'End the answer with exactly "«text»".',
        'The last characters of the answer must read "«text»", with nothing behind them.',
        'Close with the words "«text»", spelled just like that, as the very end.',
    ),
    draws={
        "text": (
            "That is all.",
            "I hope this helps!",
            "Over to you.",
            "And that is that.",
            "Now you know.",
            "Ask me for more.",
        )
    },
    check=lambda p, text: text.endswith(p.text),
    obey=lambda p, d: f"{d.prose()} {p.text}",
    edges=lambda p, d: (
        f"{d.block()} {p.text}",
        f"{d.block()} {p.text}\n",
        f"{d.block()} {p.text} ",
        f"{d.block()} {p.text.upper()}",
        f"{d.block()} {p.text.lower()}",
        f"{d.block()} {p.text[:-1]}",
        f"{p.text} {d.block()}",
        p.text,
        "",
    ),
    right=(
        "return response.endswith(«text»)",
        "closing = «text»\nreturn response[-len(closing):] == closing",
        "closing = «text»\nreturn response[::-1].startswith(closing[::-1])",
    ),
    wrong=(
        Misreading("return response.strip().endswith(«text»)"),
        Misreading("return response.lower().endswith(«text».lower())"),
        Misreading(
            "# The closing words have to be there.\nreturn response.find(«text») != -1",
            'Include "«text»" somewhere in the answer.',
        ),
    ),
)

_QUOTED = Family(
    name="quoted",
    kind="start_end",
    phrasings=(
        "Put the whole answer between straight double quotation marks.",
        "The first and the last character of the answer must each be a straight double "
        "quotation mark.",
    ),
    draws={},
    check=lambda _, text: len(text) >= 2 and text[0] == text[-1] == '"',
    obey=lambda _, d: f'"{d.prose()}"',
    edges=lambda _, d: (
        f'"{(text := d.block())}"',
        f'"{text}',
        f'{text}"',
        f"'{text}'",
        f"“{text}”",
        f'"{text}" ',
        f"'{text}' ",
        f'"{text}", he said: "{text}',
        f'"{text}" Yes.',
        '"',
        '""',
        "",
    ),
    right=(
        "return len(response) >= 2 and response[0] == '\"' and response[-1] == '\"'",
        "return len(response) > 1 and response.startswith('\"') and response.endswith('\"')",
    ),
    wrong=(
        Misreading("return response.startswith('\"') and response.endswith('\"')"),
        Misreading(
            "text = response.strip()\n"
            'return len(text) >= 2 and text[0] in "\\"\'" and text[-1] == text[0]',
            "Put the whole answer between straight quotation marks, single or double.",
        ),
        Misreading("return response.count('\"') >= 2", "Use at least two double quotation marks."),
    ),
)


def _ring(text: str, word: str) -> str:
    return f"{word.capitalize()} comes first. {text} In the end it is all about {word}"


_SAME_ENDS = Family(
    name="same_ends",
    kind="start_end",
    phrasings=(
        "Let the first word of the answer also be its last word, whether small or capital.",
        "The answer must open and close with the same word, ignoring case and punctuation, "
        "and have two words or more.",
    ),
    draws={},
    check=lambda _, text: len(words := _tokens(text)) >= 2 and words[0] == words[-1],
    obey=lambda _, d: _ring(d.prose(), d.point().split()[-1]) + ".",
    edges=lambda _, d: (
        (text := _ring(d.block(), d.point().split()[-1])),
        text + "!",
        text + " now.",
        text + "s.",
        text.upper(),
        d.block(),
        "Calm",
        "Calm, calm",
        "",
    ),
    right=(
        'words = re.findall(r"\\w+", response.lower())\n'
        "return len(words) >= 2 and words[0] == words[-1]",
        'words = [w for w in re.split(r"\\W+", response.lower()) if w]\n'
        "if len(words) < 2:\n"
        "    return False\n"
        "first, last = words[0], words[-1]\n"
        "return first == last",
    ),
    wrong=(
        Misreading(
            "words = response.lower().split()\nreturn len(words) >= 2 and words[0] == words[-1]"
        ),
        Misreading(
            'words = re.findall(r"\\w+", response)\nreturn bool(words) and words[0] == words[-1]',
            "The first word must also be the last one, with the same capital letters.",
            "CONTRADICTION",
        ),
    ),
)

# --- repetition ----------------------------------------------------------------------------------

_REFRAIN = Family(
    name="refrain",
    kind="repetition",
    phrasings=(
        "Repeat the first line, letter for letter, as the last line; write at least three lines.",
        "The answer needs three lines or more, and the last line must be the same as the first.",
    ),
    draws={},
    check=lambda _, text: len(lines := text.split("\n")) >= 3 and lines[0] == lines[-1],
    obey=lambda _, d: "\n".join([*(lines := d.sentences(d.rng.randint(2, 5))), lines[0]]),
    edges=lambda _, d: (
        "\n".join([*(lines := d.sentences(d.rng.randint(1, 3))), lines[0]]),
        "\n".join([*lines, lines[0], ""]),
        "\n".join([*lines, lines[0].upper()]),
        "\n".join([*lines, lines[0].swapcase()]),
        "\n".join([*lines, d.point(), lines[0].lower()]),
        "\n".join([*lines, lines[0] + " "]),
        "\n".join(lines * 2),
        lines[0],
        "\n\n",
        "",
    ),
    right=(
        'lines = response.split("\\n")\nreturn len(lines) >= 3 and lines[0] == lines[-1]',
        'first, _, rest = response.partition("\\n")\n'
        'middle, found, last = rest.rpartition("\\n")\n'
        'return found == "\\n" and first == last',
    ),
    wrong=(
        Misreading(
            'lines = response.strip().split("\\n")\n'
            "return len(lines) >= 3 and lines[0].strip() == lines[-1].strip()"
        ),
        Misreading(
            'lines = response.split("\\n")\nreturn lines[0] == lines[-1]',
            "The last line must be the same as the first line.",
        ),
        Misreading(
            'lines = response.split("\\n")\n'
            "return len(lines) >= 3 and lines[0].lower() == lines[-1].lower()",
            "Repeat the first line as the last of at least three lines, ignoring case.",
        ),
    ),
)


def _distinct(text: str) -> bool:
    firsts = [words[0] for s in re.split(r"[.!?]+", text) if (words := _tokens(s))]
    return len(firsts) >= 2 and len(set(firsts)) == len(firsts)


def _distinct_sentences(d: Draft) -> list[str]:
    by_first = {s.split()[0].lower().strip(","): s for s in d.sentences(8)}
    return list(by_first.values())[:6]


_DISTINCT_OPENINGS = Family(
    name="distinct_openings",
    kind="repetition",
    phrasings=(
        "Write two or more sentences and let no two of them begin with the same word, "
        "small or capital.",
        "No sentence may repeat the first word of another sentence, ignoring case; "
        "there must be at least two sentences.",
    ),
    draws={},
    check=lambda _, text: _distinct(text),
    obey=lambda _, d: " ".join(_distinct_sentences(d)),
    edges=lambda _, d: (
        " ".join(sentences := _distinct_sentences(d)[:3]),
        " ".join((*sentences, sentences[0])),
        " ".join((*sentences, sentences[-1])),
        " ".join((*sentences, sentences[0].lower())),
        " ".join(sentences) + f" {sentences[0].split()[0]}, well.",
        " ".join(sentences).replace(". ", "! "),
        sentences[0],
        "",
    ),
    right=(
        'sentences = re.split(r"[.!?]+", response.lower())\n'
        'words = [re.findall(r"\\w+", sentence) for sentence in sentences]\n'
        "openings = [found[0] for found in words if found]\n"
        "return len(openings) >= 2 and len(set(openings)) == len(openings)",
        "seen = set()\n"
        'for sentence in re.split(r"[.!?]+", response.lower()):\n'
        '    found = re.search(r"\\w+", sentence)\n'
        "    if found is None:\n"
        "        continue\n"
        "    if found.group() in seen:\n"
        "        return False\n"
        "    seen.add(found.group())\n"
        "return len(seen) > 1",
    ),
    wrong=(
        Misreading(
            'sentences = [s for s in re.split(r"[.!?]+", response) if s.strip()]\n'
            "openings = [sentence.split()[0] for sentence in sentences]\n"
            "return len(openings) >= 2 and len(set(openings)) == len(openings)"
        ),
        Misreading(
            'sentences = [s for s in re.split(r"[.!?]+", response.lower()) if s.strip()]\n'
            "openings = [sentence.split()[0] for sentence in sentences]\n"
            "return all(a != b for a, b in zip(openings, openings[1:]))",
            "No sentence may begin with the same word as the sentence right before it.",
        ),
    ),
)


FAMILIES = (
    _STARTS_WITH,
    _ENDS_WITH,
    _QUOTED,
    _SAME_ENDS,
    _REFRAIN,
    _DISTINCT_OPENINGS,
)
