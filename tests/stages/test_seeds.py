"""What a user brings: files that are what they claim to be, and files that are not."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoif_dagster import ids
from autoif_dagster.errors import InputError
from autoif_dagster.recipe import Queries, load_recipe
from autoif_dagster.records import SeedInstruction, UserQuery
from autoif_dagster.stages.seeds import read_queries, read_seeds
from tests.conftest import CHECKOUT, SHARED

SKY = "Why is the sky blue at noon?"
SEA = "Why is the sea salty at all?"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def jsonl(*values: object) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", '{"instruction": "Be brief.", "kind": "length"}', [("Be brief.", "length", 1)]),
        ("no kind.jsonl", '{"instruction": "Be brief."}', [("Be brief.", "other", 1)]),
        ("other fields.jsonl", '{"id": 7, "instruction": "A.", "by": null}', [("A.", "other", 1)]),
        ("a JSON string.jsonl", '"Be brief."', [("Be brief.", "other", 1)]),
        ("a.ndjson", '{"instruction": "Be brief."}', [("Be brief.", "other", 1)]),
        ("CAPITALS.JSONL", '{"instruction": "Be brief."}', [("Be brief.", "other", 1)]),
        ("plain.txt", "Be brief.\nUse no commas.\n", [("Be brief.", "other", 1),
                                                      ("Use no commas.", "other", 2)]),
        ("no suffix", '{"so": "this is text"}', [('{"so": "this is text"}', "other", 1)]),
        ("blank lines.txt", "\n\nA.\n \t\nB.\n\n", [("A.", "other", 3), ("B.", "other", 5)]),
        ("spaces.txt", "  Be brief. \n", [("Be brief.", "other", 1)]),
        ("spaces.jsonl", '{"instruction": " A. ", "kind": " x "}', [("A.", "x", 1)]),
        ("CRLF.txt", "A.\r\nB.\r\n", [("A.", "other", 1), ("B.", "other", 2)]),
        ("CRLF.jsonl", '{"instruction": "A."}\r\n"B."\r\n', [("A.", "other", 1),
                                                             ("B.", "other", 2)]),
        ("BOM.txt", b"\xef\xbb\xbfA.\nB.", [("A.", "other", 1), ("B.", "other", 2)]),
        ("BOM.jsonl", b'\xef\xbb\xbf{"instruction": "A."}', [("A.", "other", 1)]),
        ("unicode.txt", "Schreibe höchstens 3 Sätze. 🦆", [("Schreibe höchstens 3 Sätze. 🦆",
                                                            "other", 1)]),
        ("escaped.jsonl", r'{"instruction": "\u00fc \ud83e\udd86"}', [("ü 🦆", "other", 1)]),
        ("brackets.txt", "[Names] go into brackets.", [("[Names] go into brackets.", "other", 1)]),
        ("case differs.txt", "A b.\na b.", [("A b.", "other", 1), ("a b.", "other", 2)]),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value[:20] else "",
)  # fmt: skip
def test_seeds_that_can_be_read(
    tmp_path: Path, name: str, content: str | bytes, expected: list[tuple[str, str, int]]
) -> None:
    seeds = read_seeds(write(tmp_path, name, content))
    assert [(s.instruction, s.kind, s.line) for s in seeds] == expected
    assert [s.instruction_id for s in seeds] == [ids.instruction_id(s.instruction) for s in seeds]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("empty.jsonl", "", ": holds no seed instruction"),
        ("blank.txt", " \n\n\t\n", ": holds no seed instruction"),
        ("BOM alone.txt", b"\xef\xbb\xbf", ": holds no seed instruction"),
        ("broken.jsonl", '"A."\n{"instruction": \n', ":2: is not JSON"),
        ("text.jsonl", "Be brief.\n", ":1: is not JSON"),
        ("two values.jsonl", '"A." "B."\n', ":1: is not JSON"),
        ("a JSON array.jsonl", '[{"instruction": "A."}]', ":1: is a JSON array; write one object"),
        ("a list.jsonl", '"A."\n["B."]', ":2: must be an object"),
        ("seeds.json", '[{"instruction": "A."}]', ": write one JSON object a line and name it"),
        ("a number.jsonl", '"A."\n7\n', ":2: must be an object"),
        ("null.jsonl", "null", ":1: must be an object"),
        ("huge number.jsonl", "1" * 5_000, ":1: is not JSON: beyond Python's limits"),
        ("deep.jsonl", '{"a":' * 200_000, ":1: is not JSON: beyond Python's limits"),
        ("no field.jsonl", '{"text": "A."}', ":1: the field instruction is missing"),
        ("null field.jsonl", '{"instruction": null}', ":1: instruction = None: must be text"),
        ("number field.jsonl", '{"instruction": 7}', ":1: instruction = 7: must be text"),
        ("list field.jsonl", '{"instruction": ["A."]}', ":1: instruction = ['A.']: must be text"),
        ("empty field.jsonl", '{"instruction": " "}', ":1: instruction = ' ': must be text"),
        ("empty string.jsonl", '"A."\n""', ":2: instruction = '': must be text"),
        ("half a duck.jsonl", r'{"instruction": "\ud83e"}', r":1: instruction = '\ud83e'"),
        ("half in a string.jsonl", r'"\ud83e"', r":1: instruction = '\ud83e'"),
        ("kind.jsonl", '{"instruction": "A.", "kind": 7}', ":1: kind = 7: must be text"),
        ("null kind.jsonl", '{"instruction": "A.", "kind": null}', ":1: kind = None"),
        ("empty kind.jsonl", '{"instruction": "A.", "kind": " "}', ":1: kind = ' '"),
        ("half kind.jsonl", r'{"instruction": "A.", "kind": "\ud83e"}', r":1: kind = '\ud83e'"),
        ("repeated.txt", "A.\nB.\n A. \n", ":3: instruction: repeats line 1; remove one"),
        ("long.txt", "A.\n" + "x" * 10_001, ":2: instruction has 10001 characters; at most 10000"),
        ("UTF-16.txt", "Be brief.\n".encode("utf-16"), ": is UTF-16; unpack or re-encode it"),
        ("UTF-16.jsonl", '{"instruction": "A."}'.encode("utf-16"), ": is UTF-16; unpack or"),
        ("big-endian.txt", b"\xfe\xff\x00A", ": is UTF-16; unpack or re-encode it"),
        ("seeds.jsonl", b"\x1f\x8b\x08\x00", ": is compressed with gzip; unpack"),
        ("seeds.zip", b"PK\x03\x04\x14\x00", ": is a zip archive; unpack"),
        ("seeds.parquet", b"PAR1\x15\x04", ": is a Parquet file; unpack"),
        ("Latin-1.txt", b"A.\nSch\xf6n.\n", ":2: is not UTF-8"),
        ("cut character.txt", b"A.\xf0\x9f", ":1: is not UTF-8"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)
def test_seeds_that_cannot(tmp_path: Path, name: str, content: str | bytes, complaint: str) -> None:
    """One line that names file, line and field."""
    path = write(tmp_path, name, content)
    with pytest.raises(InputError) as error:
        read_seeds(path)
    assert str(error.value).startswith(f"{path}{complaint}")
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    missing = tmp_path / "seeds.jsonl"
    with pytest.raises(InputError, match=r"cannot be read \(No such file.*set seeds\.path"):
        read_seeds(missing)
    with pytest.raises(InputError, match=r"is no regular file; set seeds\.path"):
        read_seeds(tmp_path)
    with pytest.raises(InputError, match=r"cannot be read .*set queries\.path"):
        list(read_queries(Queries(path=missing)))


def queries(path: Path, field: str = "") -> list[UserQuery]:
    return list(read_queries(Queries(path=path, field=field)))


@pytest.mark.parametrize(
    ("text", "reason", "detail"),
    [
        ("x" * 20, "too_short", "20 < 21 characters"),
        ("x" * 21, None, None),
        ("x" * 299, None, None),
        ("x" * 300, "too_long", "300 > 299 characters"),
        ("ü" * 21, None, None),
        ("  " + "x" * 20 + "  ", "too_short", "20 < 21 characters"),
        ("", "too_short", "0 < 21 characters"),
        (SKY, "duplicate_query", "of line 1"),
        (f"  {SKY}\t", "duplicate_query", "of line 1"),
        (SKY.upper(), None, None),
        (None, "not_text", "field query: None"),
        (7, "not_text", "field query: 7"),
        (["a"], "not_text", "field query: ['a']"),
        (SEA + "\ud83e", "not_unicode", "field query: 'Why is the sea salty at all?\\ud83e'"),
    ],
)
def test_reasons_of_queries(
    tmp_path: Path, text: object, reason: str | None, detail: str | None
) -> None:
    path = write(tmp_path, "q.jsonl", jsonl({"query": SKY}, {"query": text}))
    first, second = queries(path)
    assert (first.reason, first.line, first.query) == (None, 1, SKY)
    assert (second.reason, second.detail, second.line) == (reason, detail, 2)
    if isinstance(text, str) and reason != "not_unicode":
        assert second.query == text.strip()
        assert second.query_id == ids.query_id(second.query)
    else:
        assert second.query == ""
        assert second.query_id != first.query_id


def test_a_row_without_the_field_and_rows_of_other_shapes(tmp_path: Path) -> None:
    rows = ({"query": SKY}, {"text": SEA}, SEA, 7, None, [SEA])
    found = queries(write(tmp_path, "q.jsonl", jsonl(*rows)))
    assert [q.reason for q in found] == [None, "not_text", None] + ["not_text"] * 3
    assert len({q.query_id for q in found}) == 6


def test_a_short_query_repeated_is_short_twice(tmp_path: Path) -> None:
    """Only usable queries stand in the way of others."""
    found = queries(write(tmp_path, "q.txt", f"Why?\nWhy?\n{SKY}\n"))
    assert [q.reason for q in found] == ["too_short", "too_short", None]


@pytest.mark.parametrize(
    ("row", "field", "expected"),
    [
        ({"query": SKY, "text": SEA}, "", SKY),
        ({"text": SEA, "query": SKY}, "", SKY),
        ({"id": 1, "instruction": SKY, "prompt": SEA}, "", SKY),
        ({"question": SKY, "text": SEA}, "", SKY),
        ({"prompt": SKY, "text": SEA}, "", SKY),
        ({"text": SKY}, "", SKY),
        ({"query": SKY, "text": SEA}, "text", SEA),
        ({"body": SEA}, "body", SEA),
    ],
)
def test_the_field_is_found_or_named(
    tmp_path: Path, row: dict[str, object], field: str, expected: str
) -> None:
    (found,) = queries(write(tmp_path, "q.jsonl", jsonl(row)), field)
    assert found.query == expected


@pytest.mark.parametrize(
    ("name", "content", "field", "complaint"),
    [
        ("empty.jsonl", "", "", ": is empty or has no usable query"),
        ("short.txt", "Why?\n", "", ": is empty or has no usable query"),
        ("other.jsonl", jsonl({"body": SKY}), "", ":1: has none of the fields query, instruction"),
        ("misnamed.jsonl", jsonl({"body": SKY}), "boddy",
         ": is empty or has no usable query in the field boddy; set queries.field"),
        ("broken.jsonl", jsonl({"query": SKY}) + "{", "", ":2: is not JSON"),
        ("UTF-16.txt", SKY.encode("utf-16"), "", ": is UTF-16"),
    ],
)  # fmt: skip
def test_query_files_without_use(
    tmp_path: Path, name: str, content: str | bytes, field: str, complaint: str
) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(InputError) as error:
        queries(path, field)
    assert str(error.value).startswith(f"{path}{complaint}")


def test_the_seeds_and_queries_that_come_along() -> None:
    assert len(read_seeds(CHECKOUT / "seeds" / "instructions.jsonl")) >= 20
    usable = [q for q in queries(CHECKOUT / "seeds" / "queries.jsonl") if q.reason is None]
    assert len(usable) >= 20


@pytest.mark.parametrize("name", ["user_oriented_instructions.jsonl", "seed_tasks.jsonl"])
def test_real_query_files_named_by_the_environment(name: str) -> None:
    """Files of self-instruct: the field is found, most rows are usable, none is lost."""
    path = SHARED / "queries" / name
    if not path.exists():
        pytest.skip(f"no {name} here")
    recipe = load_recipe("default", {"AUTOIF__QUERIES__PATH": str(path)})
    found = list(read_queries(recipe.queries))
    assert len(found) == len(path.read_text("utf-8").splitlines())
    assert [q.line for q in found] == list(range(1, len(found) + 1))
    assert {q.reason for q in found} <= {None, "too_short", "too_long", "duplicate_query"}
    assert sum(q.reason is None for q in found) > len(found) / 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


_lines = st.lists(
    st.binary(max_size=40)
    | st.text(max_size=40).map(str.encode)
    | st.sampled_from([b'{"query": "' + b"x" * 30 + b'"}', b'{"instruction": "A."}', b'"\\ud83e"']),
    max_size=4,
).map(b"\n".join)


@settings(deadline=None)
@given(content=_lines, name=st.sampled_from(["any.jsonl", "any.txt"]))
def test_any_file_is_read_or_complained_about(folder: Path, content: bytes, name: str) -> None:
    path = write(folder, name, content)
    for read in (read_seeds, queries):
        rows: Sequence[SeedInstruction | UserQuery] = []
        with contextlib.suppress(InputError):
            rows = read(path)
            assert rows
        for row in rows:
            "".join(str(getattr(row, c.name)) for c in fields(row)).encode()  # storable
