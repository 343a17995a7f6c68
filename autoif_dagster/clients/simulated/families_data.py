"""Families that make data of the answer: tables, JSON, CSV."""

import json
import re
from itertools import pairwise

from autoif_dagster.clients.simulated.drafts import Draft
from autoif_dagster.clients.simulated.grammar import Family, Misreading, Params

# --- tables --------------------------------------------------------------------------------------


def _table(d: Draft, columns: int, rows: int, header: tuple[str, ...] = ()) -> str:
    names = [*header, "Point", "Reason", "Detail", "Note", "Hint", "Step", "Cost", "Time", "Use"]
    grid = [names[:columns], ["---"] * columns, *(d.points(columns) for _ in range(rows))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in grid)


def _table_lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.startswith("|") and line.endswith("|")]


def _is_rule(line: str) -> bool:
    return re.fullmatch(r"[|:\- ]+", line) is not None and "-" in line


def _columns(p: Params, text: str) -> bool:
    lines = _table_lines(text)
    return len(lines) >= 3 and all(line.count("|") == p.n + 1 for line in lines)


_TABLE_COLUMNS = Family(
    name="table_columns",
    kind="tables",
    phrasings=(
        "Include a Markdown table with exactly «n» columns: three lines or more that start and "
        'end with "|", each with as many cells.',
        'Show a table of «n» columns in lines that start and end with "|", at least three of '
        "them, all with the same «n» cells.",
    ),
    draws={"n": range(2, 6)},
    check=_columns,
    obey=lambda p, d: f"{d.block()}\n\n{_table(d, p.n, d.rng.randint(2, 4))}",
    edges=lambda p, d: (
        _table(d, max(1, p.n + d.rng.choice((-1, 0, 0, 1))), 2),
        (text := _table(d, p.n, 1)),
        _table(d, p.n, 0),
        text + "\n| only |",
        text + "\nEither | or.",
        text + "\n |",
        d.block() + " " + text,
        text + f"\n\n{d.block()}",
        "",
    ),
    right=(
        'rows = [x for x in response.split("\\n") if x.startswith("|") and x.endswith("|")]\n'
        "if len(rows) < 3:\n"
        "    return False\n"
        'return all(row.count("|") == «n» + 1 for row in rows)',
        "def cells(line):\n"
        '    return line.split("|")[1:-1]\n\n\n'
        "def evaluate(response: str) -> bool:\n"
        '    """Check that the table has the wanted number of columns."""\n'
        "    rows = []\n"
        '    for line in response.split("\\n"):\n'
        '        if line.startswith("|") and line.endswith("|"):\n'
        "            rows.append(cells(line))\n"
        "    return len(rows) >= 3 and all(len(row) == «n» for row in rows)",
    ),
    wrong=(
        Misreading(
            'rows = [x for x in response.split("\\n") if "|" in x]\n'
            'return len(rows) >= 3 and all(row.count("|") == «n» + 1 for row in rows)'
        ),
        Misreading(
            'rows = [x for x in response.split("\\n") if x.startswith("|") and x.endswith("|")]\n'
            'return bool(rows) and rows[0].count("|") == «n» + 1',
            'Let the first line that starts and ends with "|" have «n» cells.',
        ),
        Misreading(
            'rows = [x for x in response.split("\\n") if x.startswith("|") and x.endswith("|")]\n'
            'return len(rows) >= 3 and all(row.count("|") == «n» for row in rows)',
            'Have at least three lines that start and end with "|", '
            "all with exactly «n» upright strokes.",
            "CONTRADICTION",
        ),
    ),
)

_TABLE_ROWS = Family(
    name="table_rows",
    kind="tables",
    phrasings=(
        'Include a Markdown table of exactly «n» lines that start and end with "|", '
        "its header and its rule among them.",
        "Exactly «n» lines of the answer, table header and rule included, must both start and "
        'end with "|".',
    ),
    draws={"n": range(4, 9)},
    check=lambda p, text: len(_table_lines(text)) == p.n,
    obey=lambda p, d: f"{d.block()}\n\n{_table(d, d.rng.randint(2, 3), max(0, p.n - 2))}",
    edges=lambda p, d: (
        (text := _table(d, 2, max(0, p.n - 2 + d.rng.choice((-1, 0, 0, 1))))),
        _table(d, 2, p.n),
        text + "\nEither | or",
        text + "\n| open",
        text + " ",
        d.block() + "\n" + text,
        text.replace("\n", "\n\n", 1),
        "",
    ),
    right=(
        'lines = response.split("\\n")\n'
        'rows = [x for x in lines if x.startswith("|") and x.endswith("|")]\n'
        "return len(rows) == «n»",
        "def is_row(line):\n"
        '    return line[:1] == "|" and line[-1:] == "|"\n\n\n'
        "def evaluate(response):\n"
        '    return sum(1 for line in response.split("\\n") if is_row(line)) == «n»',
    ),
    wrong=(
        Misreading(
            'lines = response.split("\\n")\n'
            'rows = [x for x in lines if x.startswith("|") and x.endswith("|")]\n'
            "return len(rows) - 2 == «n»",
            'Include a table of exactly «n» lines that start and end with "|", '
            "not counting its header and its rule.",
            "CONTRADICTION",
        ),
        Misreading('return sum(1 for line in response.split("\\n") if "|" in line) == «n»'),
        Misreading(
            'rows = [x for x in response.split("\\n") if x.strip().startswith("|")]\n'
            "return len(rows) == «n»",
            'Exactly «n» lines have to start with "|".',
            "CONTRADICTION",
        ),
    ),
)


def _headed(p: Params, text: str) -> bool:
    lines = text.split("\n")
    header = f"| {p.word} | {p.second} |"
    return any(a == header and _is_rule(b) for a, b in pairwise(lines))


_TABLE_HEADER = Family(
    name="table_header",
    kind="tables",
    phrasings=(
        'Include a Markdown table whose header line reads exactly "| «word» | «second» |", '
        "with a rule of hyphens on the line below.",
        'Somewhere a line "| «word» | «second» |" has to stand directly above a table rule made '
        "of hyphens.",
    ),
    draws={
        "word": "Step Item Topic Question Idea".split(),
        "second": "Reason Cost Answer Detail Benefit".split(),
    },
    check=_headed,
    obey=lambda p, d: f"{d.block()}\n\n{_table(d, 2, d.rng.randint(2, 4), (p.word, p.second))}",
    edges=lambda p, d: (
        (text := _table(d, 2, 2, (p.word, p.second))),
        text.replace("| --- | --- |", "|:--|--:|"),
        text.replace("| --- | --- |\n", ""),
        text.replace("| --- | --- |", "| | |"),
        text.replace(p.word, p.word.lower()),
        _table(d, 2, 2, (p.second, p.word)),
        _table(d, 3, 2, (p.word, p.second)),
        f"| {p.word} | {p.second} |",
        f"{p.word} and {p.second} matter.\n\n" + _table(d, 2, 1),
        d.block() + "\n" + text,
        "",
    ),
    right=(
        'header = "| " + «word» + " | " + «second» + " |"\n'
        'lines = response.split("\\n")\n'
        "for line, below in zip(lines, lines[1:]):\n"
        '    if line == header and "-" in below and re.fullmatch(r"[|:\\- ]+", below):\n'
        "        return True\n"
        "return False",
        'lines = response.split("\\n")\n'
        'header = f"| {«word»} | {«second»} |"\n'
        'return any(lines[i] == header and "-" in lines[i + 1] and set(lines[i + 1]) <= set("|:- ")'
        " for i in range(len(lines) - 1))",
    ),
    wrong=(
        Misreading(
            'header = "| " + «word» + " | " + «second» + " |"\nreturn header in response',
            'Include the text "| «word» | «second» |".',
        ),
        Misreading(
            'pattern = r"\\| *" + «word» + r" *\\| *" + «second» + r" *\\|\\n\\|[-| ]+\\|"\n'
            "return re.search(pattern, response) is not None"
        ),
    ),
)

# --- JSON ----------------------------------------------------------------------------------------


def _loads(text: str) -> object:
    """The value of a JSON text; None for anything else, and for the text `null`."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def _object(d: Draft, keys: tuple[str, ...]) -> str:
    values = [d.block(), *d.points(len(keys))]
    return json.dumps(dict(zip(keys, values, strict=False)), ensure_ascii=False)


def _has_keys(p: Params, text: str) -> bool:
    value = _loads(text)
    return isinstance(value, dict) and set(value) == {p.word, p.second}


_JSON_KEYS = Family(
    name="json_keys",
    kind="json",
    phrasings=(
        'Reply with one JSON object that has exactly the keys "«word»" and "«second»", '
        "and with nothing around it.",
        'The whole answer must be a JSON object with the two keys "«word»" and "«second»" '
        "and no other key.",
    ),
    draws={
        "word": "answer summary title claim topic".split(),
        "second": "reason details body source advice".split(),
    },
    check=_has_keys,
    obey=lambda p, d: _object(d, d.rng.choice(((p.word, p.second), (p.second, p.word)))),
    edges=lambda p, d: (
        (text := _object(d, (p.word, p.second))),
        json.dumps({p.word: None, p.second: d.points(2)}),
        _object(d, (p.word, p.second, "note")),
        _object(d, ("note", p.word, p.second)),
        _object(d, (p.second, p.word, "more", "note")),
        _object(d, (p.word,)),
        _object(d, (p.second, p.word)),
        _object(d, (p.word.upper(), p.second)),
        f"```json\n{text}\n```",
        f"Here you are: {text}",
        f"[{text}]",
        f"\n{text}\n",
        text[:-1] + ",}",
        f"The {p.word} and the {p.second} differ.",
        "{}",
        "",
    ),
    right=(
        "try:\n"
        "    value = json.loads(response)\n"
        "except ValueError:\n"
        "    return False\n"
        "return isinstance(value, dict) and set(value) == {«word», «second»}",
        "try:\n"
        "    value = json.loads(response)\n"
        "except Exception:\n"
        "    return False\n"
        "if not isinstance(value, dict):\n"
        "    return False\n"
        "return sorted(value.keys()) == sorted([«word», «second»])",
    ),
    wrong=(
        Misreading(
            "try:\n"
            "    value = json.loads(response)\n"
            "except ValueError:\n"
            "    return False\n"
            "return isinstance(value, dict) and «word» in value and «second» in value",
            'Reply with one JSON object that has at least the keys "«word»" and "«second»".',
        ),
        Misreading("value = json.loads(response)\nreturn list(value) == [«word», «second»]"),
        Misreading(
            "return «word» in response and «second» in response",
            'Include both "«word»" and "«second»" in the answer.',
        ),
    ),
)


def _is_array(p: Params, text: str) -> bool:
    value = _loads(text)
    return isinstance(value, list) and len(value) == p.n and all(isinstance(x, str) for x in value)


def _array(d: Draft, count: int) -> str:
    return json.dumps(d.points(count), ensure_ascii=False)


_JSON_ARRAY = Family(
    name="json_array",
    kind="json",
    phrasings=(
        "The whole answer must be a JSON array of exactly «n» strings.",
        "Reply with a JSON array that holds «n» strings and nothing else; "
        "no text before or after it.",
    ),
    draws={"n": range(2, 9)},
    check=_is_array,
    obey=lambda p, d: json.dumps(d.sentences(p.n), ensure_ascii=False),
    edges=lambda p, d: (
        (text := _array(d, max(0, p.n + d.rng.choice((-1, 0, 0, 0, 1))))),
        json.dumps(d.points(p.n), indent=1),
        json.dumps([*d.points(p.n - 1), 7]),
        json.dumps([*d.points(p.n - 1), None]),
        json.dumps([*d.points(p.n - 1), d.points(1)]),
        json.dumps(dict.fromkeys(f"{d.point()} {i}" for i in range(p.n))),
        f"```json\n{text}\n```",
        f" {text}\n",
        text.replace("[", "[\n").replace("]", "\n]"),
        text[:-1] + ",]",
        text + ".",
        "[]",
        "",
    ),
    right=(
        "try:\n"
        "    items = json.loads(response)\n"
        "except ValueError:\n"
        "    return False\n"
        "if not isinstance(items, list) or len(items) != «n»:\n"
        "    return False\n"
        "return all(isinstance(item, str) for item in items)",
        "def parse(text):\n"
        "    try:\n"
        "        return json.loads(text)\n"
        "    except ValueError:\n"
        "        return None\n\n\n"
        "def evaluate(response: str) -> bool:\n"
        "    items = parse(response)\n"
        "    if type(items) is not list:\n"
        "        return False\n"
        "    return [type(item) for item in items] == [str] * «n»",
    ),
    wrong=(
        Misreading(
            "try:\n"
            "    items = json.loads(response)\n"
            "except ValueError:\n"
            "    return False\n"
            "return len(items) == «n»"
        ),
        Misreading(
            "try:\n"
            "    items = json.loads(response)\n"
            "except ValueError:\n"
            "    return False\n"
            "return isinstance(items, list) and len(items) == «n»",
            "The whole answer must be a JSON array of exactly «n» items of any type.",
        ),
        Misreading('return response.startswith("[") and response.count(",") == «n» - 1'),
    ),
)

_KEYS = ("answer", "reason", "detail", "example", "source", "next", "limit", "hint", "level")

_JSON_SIZE = Family(
    name="json_size",
    kind="json",
    phrasings=(
        "Answer with a single JSON object of at least «n» keys, all of whose values are strings.",
        "Let the answer be one JSON object, with «n» or more keys and only strings as values.",
    ),
    draws={"n": range(2, 6)},
    check=lambda p, text: (
        isinstance(value := _loads(text), dict)
        and len(value) >= p.n
        and all(isinstance(x, str) for x in value.values())
    ),
    obey=lambda p, d: _object(d, _KEYS[: p.n + d.rng.randint(0, 2)]),
    edges=lambda p, d: (
        (text := _object(d, _KEYS[: max(1, p.n + d.rng.choice((-1, 0, 0, 1)))])),
        text[:-1] + ', "count": 3}',
        text[:-1] + ', "done": true}',
        text[:-1] + ', "more": ["yes"]}',
        f"```json\n{text}\n```",
        f"{text}\n",
        f"[{text}]",
        text + " Done.",
        json.dumps(d.points(p.n)),
        "{}",
        "",
    ),
    right=(
        "try:\n"
        "    value = json.loads(response)\n"
        "except ValueError:\n"
        "    return False\n"
        "if not isinstance(value, dict) or len(value) < «n»:\n"
        "    return False\n"
        "return all(isinstance(item, str) for item in value.values())",
        "try:\n"
        "    value = json.loads(response)\n"
        "    strings = [item for item in value.values() if isinstance(item, str)]\n"
        "except Exception:\n"
        "    return False\n"
        "return len(strings) == len(value) >= «n»",
    ),
    wrong=(
        Misreading(
            "try:\n"
            "    value = json.loads(response)\n"
            "except ValueError:\n"
            "    return False\n"
            "return isinstance(value, dict) and len(value) >= «n»",
            "Answer with a single JSON object of at least «n» keys.",
        ),
        Misreading(
            "value = json.loads(response)\n"
            "return len(value) > «n» and all(isinstance(v, str) for v in value.values())",
            "Answer with a JSON object of more than «n» keys whose values are strings.",
            "CONTRADICTION",
        ),
    ),
)

# --- CSV -----------------------------------------------------------------------------------------


def _csv(d: Draft, columns: int, rows: int) -> str:
    return "\n".join(",".join(d.points(columns)) for _ in range(rows))


_CSV_FIELDS = Family(
    name="csv_fields",
    kind="csv",
    phrasings=(
        "Answer in plain CSV only: each non-empty line has exactly «n» fields with a comma "
        "between them, none of which is quoted or holds a comma.",
        "Write comma-separated lines alone, with «n» unquoted fields in each line that is not "
        "empty.",
    ),
    draws={"n": range(2, 6)},
    check=lambda p, text: (
        bool(lines := [x for x in text.split("\n") if x.strip()])
        and '"' not in text
        and all(line.count(",") == p.n - 1 for line in lines)
    ),
    obey=lambda p, d: _csv(d, p.n, d.rng.randint(2, 5)),
    edges=lambda p, d: (
        (text := _csv(d, max(1, p.n + d.rng.choice((-1, 0, 0, 1))), 2)),
        text + "\n",
        text.replace("\n", "\n\n"),
        text + ",",
        text.rsplit(",", 1)[0] + ",",
        f'"{text.split(",")[0]}"' + text[len(text.split(",")[0]) :],
        f'"{d.point()}, {d.point()}"' + "," + _csv(d, max(1, p.n - 1), 1),
        d.sentences(1)[0] + "\n" + text,
        _csv(d, p.n, 1) + "\n" + _csv(d, p.n + 1, 1),
        _csv(d, p.n, 2) + "\n" + d.point(),
        text.replace(",", ";"),
        "",
    ),
    right=(
        'lines = [line for line in response.split("\\n") if line.strip()]\n'
        "if not lines or '\"' in response:\n"
        "    return False\n"
        'return all(len(line.split(",")) == «n» for line in lines)',
        "if '\"' in response:\n"
        "    return False\n"
        'commas = [line.count(",") for line in response.split("\\n") if line.strip()]\n'
        "return len(commas) > 0 and set(commas) == {«n» - 1}",
    ),
    wrong=(
        Misreading('return all(len(line.split(",")) == «n» for line in response.split("\\n"))'),
        Misreading(
            'lines = [line for line in response.split("\\n") if line.strip()]\n'
            "if not lines or '\"' in response:\n"
            "    return False\n"
            'return all(line.count(",") == «n» for line in lines)',
            "Write comma-separated lines alone, with exactly «n» commas in each non-empty line.",
            "CONTRADICTION",
        ),
        Misreading(
            'lines = [line for line in response.split("\\n") if line.strip()]\n'
            'return bool(lines) and len(lines[0].split(",")) == «n»',
            "Let the first non-empty line have exactly «n» fields with commas between them.",
        ),
    ),
)

_CSV_HEADER = Family(
    name="csv_header",
    kind="csv",
    phrasings=(
        'Answer in CSV: the first line is exactly "«word»,«second»", and at least one line '
        "follows; each line has exactly one comma.",
        'Send CSV with the header "«word»,«second»" as first line and one or more lines below '
        "it, every line with one comma.",
    ),
    draws={
        "word": "item step name topic term".split(),
        "second": "reason cost meaning value rank".split(),
    },
    check=lambda p, text: (
        len(lines := text.split("\n")) >= 2
        and lines[0] == f"{p.word},{p.second}"
        and all(line.count(",") == 1 for line in lines)
    ),
    obey=lambda p, d: f"{p.word},{p.second}\n{_csv(d, 2, d.rng.randint(2, 5))}",
    edges=lambda p, d: (
        (text := f"{p.word},{p.second}\n{_csv(d, 2, d.rng.randint(1, 2))}"),
        f"{text}\n{_csv(d, 2, 1)}",
        f"{p.word},{p.second}\n,",
        f"{text}\n,{d.point()}",
        text + "\n",
        text + ",",
        "\n" + text,
        text.replace(",", ", ", 1),
        text.replace(p.word, p.word.upper(), 1),
        text.replace(p.second, p.second.capitalize(), 1),
        f"{p.second},{p.word}\n{_csv(d, 2, 1)}",
        f"{p.word},{p.second}",
        f"{p.word},{p.second}\n{_csv(d, 3, 1)}",
        f"{p.word},{p.second}\n{_csv(d, 2, 1)}\n{d.point()}",
        f"{p.word},{p.second},note\n{_csv(d, 2, 1)}",
        "",
    ),
    right=(
        'lines = response.split("\\n")\n'
        'if len(lines) < 2 or lines[0] != «word» + "," + «second»:\n'
        "    return False\n"
        'return all(line.count(",") == 1 for line in lines)',
        'header, found, body = response.partition("\\n")\n'
        'if not found or header.split(",") != [«word», «second»]:\n'
        "    return False\n"
        'return all(len(row.split(",")) == 2 for row in body.split("\\n"))',
    ),
    wrong=(
        Misreading(
            'lines = response.strip().split("\\n")\n'
            'return len(lines) >= 2 and lines[0] == «word» + "," + «second» '
            'and all("," in line for line in lines)'
        ),
        Misreading(
            'return response.startswith(«word» + "," + «second»)',
            'Begin the answer with the text "«word»,«second»".',
        ),
        Misreading(
            'lines = response.split("\\n")\n'
            'names = [name.strip().lower() for name in lines[0].split(",")]\n'
            "return names == [«word», «second»] and len(lines) > 1 "
            'and all(line.count(",") == 1 for line in lines)',
            'Answer in CSV with the header "«word»,«second»", in small or capital letters.',
        ),
    ),
)

_CSV_ROWS = Family(
    name="csv_rows",
    kind="csv",
    phrasings=(
        "Answer in CSV of exactly «n» lines, the header included, all with the same number of "
        "commas and with at least one.",
        "Give «n» lines of CSV, counting the header, no line empty and each with equally many "
        "commas, one or more.",
    ),
    draws={"n": range(3, 9)},
    check=lambda p, text: (
        len(lines := text.split("\n")) == p.n
        and lines[0].count(",") >= 1
        and len({line.count(",") for line in lines}) == 1
    ),
    obey=lambda p, d: _csv(d, d.rng.randint(2, 3), p.n),
    edges=lambda p, d: (
        (text := _csv(d, 2, max(1, p.n + d.rng.choice((-1, 0, 0, 1))))),
        _csv(d, 2, p.n),
        _csv(d, 2, p.n + 1),
        _csv(d, 2, p.n) + "\n",
        _csv(d, 2, p.n - 1) + "\n",
        text + ",",
        "\n".join(d.points(p.n)),
        _csv(d, 2, max(1, p.n - 1)) + "\n" + _csv(d, 3, 1),
        _csv(d, 3, p.n),
        text.replace("\n", "\n\n", 1),
        "",
    ),
    right=(
        'rows = [line.split(",") for line in response.split("\\n")]\n'
        "widths = {len(row) for row in rows}\n"
        "return len(rows) == «n» and len(widths) == 1 and min(widths) > 1",
        'lines = response.split("\\n")\n'
        "if len(lines) != «n»:\n"
        "    return False\n"
        'commas = lines[0].count(",")\n'
        'return commas >= 1 and all(line.count(",") == commas for line in lines)',
    ),
    wrong=(
        Misreading(
            'rows = [line.split(",") for line in response.split("\\n") if line]\n'
            "widths = {len(row) for row in rows}\n"
            "return len(rows) - 1 == «n» and len(widths) == 1 and min(widths) > 1",
            "Answer in CSV of exactly «n» lines below the header, all with the same number of "
            "commas.",
            "CONTRADICTION",
        ),
        Misreading(
            'lines = response.strip().split("\\n")\n'
            'return len(lines) == «n» and all("," in line for line in lines)',
            "Write exactly «n» lines, each with a comma in it.",
        ),
        Misreading(
            'rows = [line.split(",") for line in response.strip().split("\\n")]\n'
            "return len(rows) == «n» and len({len(row) for row in rows}) == 1"
        ),
    ),
)


FAMILIES = (
    _TABLE_COLUMNS,
    _TABLE_ROWS,
    _TABLE_HEADER,
    _JSON_KEYS,
    _JSON_ARRAY,
    _JSON_SIZE,
    _CSV_FIELDS,
    _CSV_HEADER,
    _CSV_ROWS,
)
