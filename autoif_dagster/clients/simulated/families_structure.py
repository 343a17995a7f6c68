"""Families about lists and headings."""

import re
from itertools import groupby

from autoif_dagster.clients.simulated.drafts import Draft
from autoif_dagster.clients.simulated.grammar import Family, Misreading, Params

# --- lists ---------------------------------------------------------------------------------------

_ONLY_BULLETS = Family(
    name="only_bullets",
    kind="lists",
    phrasings=(
        'Write nothing but bullet points: each non-empty line has to start with "«prefix»".',
        'Start every line that is not empty with "«prefix»", so that the answer is one list.',
    ),
    draws={"prefix": ("- ", "* ", "+ ", "• ", "> ")},
    check=lambda p, text: (
        bool(text.strip()) and all(x.startswith(p.prefix) for x in text.split("\n") if x.strip())
    ),
    obey=lambda p, d: "\n".join(p.prefix + s for s in d.sentences(d.rng.randint(2, 6))),
    edges=lambda p, d: (
        (text := "\n".join(p.prefix + s for s in d.sentences(d.rng.randint(1, 3)))),
        text.replace("\n", "\n\n"),
        text + "\n",
        "\n" + text,
        d.sentences(1)[0] + "\n" + text,
        text + "\n" + d.sentences(1)[0],
        text + f"\n  {p.prefix}{d.point()}",
        text + f"\n{p.prefix.strip()}{d.point()}",
        "",
        "\n \n",
    ),
    right=(
        'lines = [line for line in response.split("\\n") if line.strip()]\n'
        "return len(lines) > 0 and all(line.startswith(«prefix») for line in lines)",
        "found = False\n"
        'for line in response.split("\\n"):\n'
        "    if not line.strip():\n"
        "        continue\n"
        "    if not line.startswith(«prefix»):\n"
        "        return False\n"
        "    found = True\n"
        "return found",
    ),
    wrong=(
        Misreading('return all(line.startswith(«prefix») for line in response.split("\\n"))'),
        Misreading(
            'lines = [line.strip() for line in response.split("\\n") if line.strip()]\n'
            "return bool(lines) and all(x.startswith(«prefix».strip()) for x in lines)"
        ),
        Misreading(
            'return any(line.startswith(«prefix») for line in response.split("\\n"))',
            'Start at least one line with "«prefix»".',
        ),
    ),
)


def _numbered(d: Draft, numbers: list[int]) -> str:
    return "\n".join(f"{number}. {d.point().capitalize()}" for number in numbers)


def _is_numbered(p: Params, text: str) -> bool:
    found = re.findall(r"^([0-9]+)\. ", text, flags=re.MULTILINE)
    return found == [str(number) for number in range(1, p.n + 1)]


def _numbered_edges(p: Params, d: Draft) -> tuple[str, ...]:
    up = list(range(1, p.n + 1))
    return (
        (text := _numbered(d, up)),
        _numbered(d, [*up, p.n + 1]),
        _numbered(d, up[:-1]),
        _numbered(d, up[::-1]),
        _numbered(d, [1] * p.n),
        _numbered(d, [number - 1 for number in up]),
        d.sentences(1)[0] + "\n" + text,
        text + f" The point {p.n + 1}. counts too.",
        text.replace(". ", ") "),
        text.replace("\n", "\n  ", 1),
        "",
    )


_NUMBERED = Family(
    name="numbered_list",
    kind="lists",
    phrasings=(
        'Give a numbered list whose lines start with "1. ", "2. " and so on up to '
        "exactly «n», in that order.",
        "Number your points from 1 to «n» in order, one line each, with a full stop and a space "
        "behind the number; no other line may start like that.",
    ),
    draws={"n": range(3, 9)},
    check=_is_numbered,
    obey=lambda p, d: d.sentences(1)[0] + "\n" + _numbered(d, list(range(1, p.n + 1))),
    edges=_numbered_edges,
    right=(
        'numbers = re.findall(r"^([0-9]+)\\. ", response, flags=re.MULTILINE)\n'
        "return numbers == [str(i) for i in range(1, «n» + 1)]",
        "expected = 1\n"
        'for line in response.split("\\n"):\n'
        '    found = re.match(r"([0-9]+)\\. ", line)\n'
        "    if found is None:\n"
        "        continue\n"
        "    if found.group(1) != str(expected):\n"
        "        return False\n"
        "    expected += 1\n"
        "return expected == «n» + 1",
    ),
    wrong=(
        Misreading(
            'return len(re.findall(r"^[0-9]+\\. ", response, flags=re.MULTILINE)) == «n»',
            "Have exactly «n» lines that start with a number, a full stop and a space.",
        ),
        Misreading(
            'return all(f"{i}. " in response for i in range(1, «n» + 1))',
            "Have the numbers from 1 to «n» in the answer, each with a full stop and a space.",
        ),
        Misreading(
            'numbers = re.findall(r"([0-9]+)\\. ", response)\n'
            "return numbers == [str(i) for i in range(1, «n» + 1)]"
        ),
    ),
)


_RUNS = Family(
    name="bullet_runs",
    kind="lists",
    phrasings=(
        'Give exactly two lists: two separate runs of lines that start with "- ", '
        "with at least one other line between them.",
        'The lines that start with "- " must form two groups, no more and no fewer, '
        "kept apart by other lines.",
    ),
    draws={},
    check=lambda _, text: (
        sum(bullet for bullet, _ in groupby(x.startswith("- ") for x in text.split("\n"))) == 2
    ),
    obey=lambda _, d: f"{d.block()}\n{_list(d)}\n\n{d.block()}\n{_list(d)}",
    edges=lambda _, d: (
        (text := f"{_list(d)}\n{d.point()}\n{_list(d)}"),
        text.replace("\n- ", "\n\n- ", 1),
        f"{_list(d)}\n\n{_list(d)}",
        f"{_list(d)}\n{_list(d)}",
        f"{text}\n\n{_list(d)}",
        text.replace("\n- ", "\n  - "),
        d.block() + "\n" + text + "\n",
        _list(d),
        "",
    ),
    right=(
        "groups = 0\n"
        "inside = False\n"
        'for line in response.split("\\n"):\n'
        '    bullet = line.startswith("- ")\n'
        "    if bullet and not inside:\n"
        "        groups += 1\n"
        "    inside = bullet\n"
        "return groups == 2",
        'flags = [line.startswith("- ") for line in response.split("\\n")]\n'
        "starts = [i for i, flag in enumerate(flags) if flag and (i == 0 or not flags[i - 1])]\n"
        "return len(starts) == 2",
    ),
    wrong=(
        Misreading(
            'blocks = [b for b in re.split(r"\\n\\s*\\n", response) if b.startswith("- ")]\n'
            "return len(blocks) == 2"
        ),
        Misreading(
            'return sum(line.startswith("- ") for line in response.split("\\n")) >= 2',
            'Have two or more lines that start with "- ".',
        ),
    ),
)


def _list(d: Draft) -> str:
    return "\n".join(f"- {point}" for point in d.points(d.rng.randint(1, 3)))


# --- headings ------------------------------------------------------------------------------------

_TITLE_FIRST = Family(
    name="title_first",
    kind="headings",
    phrasings=(
        'Let the first line be a heading that starts with "# ", and have no other line '
        'that starts with "# ".',
        'Put one title line that starts with "# " at the very top, and no second one below it.',
    ),
    draws={},
    check=lambda _, text: (
        text.startswith("# ") and sum(x.startswith("# ") for x in text.split("\n")) == 1
    ),
    obey=lambda _, d: f"# {d.point().capitalize()}\n\n{d.prose()}",
    edges=lambda _, d: (
        (text := f"# {d.point().capitalize()}\n\n{d.block()}"),
        f"{text}\n\n# {d.point()}",
        f"{text}\n\n## {d.point()}",
        f"{text} Item # 4 counts.",
        f"\n{text}",
        f" {text}",
        f"#{text}",
        text.replace("# ", "#"),
        d.block() + "\n" + text,
        d.point() + "\n" + text,
        "# ",
        "",
    ),
    right=(
        'lines = response.split("\\n")\n'
        'titles = [line for line in lines if line.startswith("# ")]\n'
        'return lines[0].startswith("# ") and len(titles) == 1',
        'if not response.startswith("# "):\n    return False\nreturn "\\n# " not in response',
    ),
    wrong=(
        Misreading('return response.startswith("# ") and response.count("# ") == 1'),
        Misreading(
            'return response.strip().startswith("#")', 'Start the answer with the character "#".'
        ),
        Misreading(
            'lines = [line for line in response.split("\\n") if line.startswith("# ")]\n'
            "return len(lines) == 1",
            'Have exactly one line that starts with "# ".',
        ),
    ),
)

_NAMED_HEADING = Family(
    name="named_heading",
    kind="headings",
    phrasings=(
        'Have one line that reads exactly "## «word»", and only one.',
        'A heading line "## «word»", just like that, has to appear once and not twice.',
    ),
    draws={"word": "Summary Overview Steps Result Background Conclusion Notes Example".split()},
    check=lambda p, text: text.split("\n").count(f"## {p.word}") == 1,
    obey=lambda p, d: f"{d.block()}\n\n## {p.word}\n{d.prose()}",
    edges=lambda p, d: (
        (text := f"{d.block()}\n## {p.word}\n{d.block()}"),
        text + f"\n## {p.word}",
        f"## {p.word}\n{text}",
        text + f"\n## {p.word.lower()}",
        text.lower(),
        text.replace(p.word, p.word + ":"),
        text.replace(p.word, p.word + " "),
        text.replace(p.word, p.word.upper()),
        text.replace("## ", "### "),
        text + f" See ## {p.word} above.",
        f"{d.block()} ## {p.word}",
        f"## {p.word}",
        "",
    ),
    right=(
        'heading = "## " + «word»\nreturn response.split("\\n").count(heading) == 1',
        'pattern = r"^## " + re.escape(«word») + r"$"\n'
        "return len(re.findall(pattern, response, flags=re.MULTILINE)) == 1",
    ),
    wrong=(
        Misreading('return response.count("## " + «word») == 1'),
        Misreading(
            'lines = [line.strip().lower() for line in response.split("\\n")]\n'
            'return lines.count("## " + «word».lower()) == 1',
            'Have one heading line "## «word»", in small or capital letters.',
            "CONTRADICTION",
        ),
        Misreading(
            'return ("## " + «word») in response.split("\\n")',
            'Have at least one line that reads exactly "## «word»".',
        ),
    ),
)

_LEVELS = Family(
    name="heading_levels",
    kind="headings",
    phrasings=(
        'Use headings of two levels: at least one line that starts with "# " and, below the '
        'first of these, at least one that starts with "## ".',
        'Have a line that starts with "# " and, on some later line, one that starts with "## ".',
    ),
    draws={},
    check=lambda _, text: _is_nested(text),
    obey=lambda _, d: f"# {d.point()}\n{d.block()}\n## {d.point()}\n{d.prose()}",
    edges=lambda _, d: (
        (text := f"# {d.point()}\n{d.block()}\n## {d.point()}\n{d.block()}"),
        "\n".join(reversed(text.split("\n"))),
        text.replace("\n## ", "\n### "),
        text.replace("\n## ", " ## "),
        text.replace("\n## ", "\n# "),
        text.replace("# ", "#"),
        "## First\n" + text,
        "## First\n# Second\n" + d.block(),
        d.block() + "\n## First\n\n# Second",
        d.block() + "\n" + text,
        d.block() + f" # {d.point()} ## {d.point()}",
        "",
    ),
    right=(
        'lines = response.split("\\n")\n'
        'tops = [i for i, line in enumerate(lines) if line.startswith("# ")]\n'
        'subs = [i for i, line in enumerate(lines) if line.startswith("## ")]\n'
        "return bool(tops) and bool(subs) and tops[0] < subs[-1]",
        'match = re.search(r"^# .*", response, flags=re.MULTILINE | re.DOTALL)\n'
        'return match is not None and "\\n## " in match.group()',
    ),
    wrong=(
        Misreading('return "# " in response and "## " in response'),
        Misreading(
            'lines = response.split("\\n")\n'
            'return any(x.startswith("# ") for x in lines) and '
            'any(x.startswith("## ") for x in lines)',
            'Have at least one line that starts with "# " and one that starts with "## ".',
        ),
    ),
)


def _is_nested(text: str) -> bool:
    """A line of the first level with one of the second somewhere below."""
    levels = [line.split(" ")[0] for line in text.split("\n") if re.match("##? ", line)]
    return "#" in levels and "##" in levels[levels.index("#") :]


FAMILIES = (
    _ONLY_BULLETS,
    _NUMBERED,
    _RUNS,
    _TITLE_FIRST,
    _NAMED_HEADING,
    _LEVELS,
)
