"""What is read of the replies that models really send, and what is not repaired."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoif_dagster import ids
from autoif_dagster.clients import FinishReason
from autoif_dagster.records import VerifierCandidate
from autoif_dagster.stages import chat_request, clip
from autoif_dagster.stages.verification import CASES_SCHEMA, read_reply, requests
from tests.conftest import SHARED
from tests.stages.replies import DEFAULT, any_text, finish_reasons, reply

SOURCE = "def evaluate(response):\n    return ',' not in response\n"
FENCED = f"```python\n{SOURCE}```"


def function(text: str, finish_reason: FinishReason = "stop") -> VerifierCandidate:
    (row,) = read_reply("r", reply(text, finish_reason, request_id="function/ins"))
    assert row.kind == "function"
    return row


def cases(text: str, finish_reason: FinishReason = "stop") -> list[VerifierCandidate]:
    return read_reply("r", reply(text, finish_reason, request_id="case/ins"))


@pytest.mark.parametrize(
    ("says", "text"),
    [
        ("a block in Python's name", FENCED),
        ("no language tag", f"```\n{SOURCE}```"),
        ("py", f"```py\n{SOURCE}```"),
        ("python3", f"```python3\n{SOURCE}```"),
        ("capitals", f"```Python\n{SOURCE}```"),
        ("a space before the tag", f"``` python\n{SOURCE}```"),
        ("attributes after the tag", f'```python title="check.py"\n{SOURCE}```'),
        ("bare", SOURCE),
        ("bare, in white space", f"\n\n{SOURCE}\n\n"),
        ("prose before", f"Sure, here it is:\n\n{FENCED}"),
        ("prose after", f"{FENCED}\n\nThis function returns True if there is no comma."),
        ("blank lines in the block", f"```python\n\n{SOURCE}\n\n```"),
        ("another block after it", f"{FENCED}\n\nUse it so:\n```python\nevaluate('a')\n```"),
        ("another block before it", f"```bash\npip install regex\n```\n{FENCED}"),
        ("a second version", f"{FENCED}\nOr shorter:\n```python\ndef evaluate(response): ...\n```"),
        ("the closing fence is indented", f"```python\n{SOURCE}  ```"),
        ("inline code before it", f"`evaluate` checks commas:\n{FENCED}"),
    ],
)
def test_functions_that_can_be_read(says: str, text: str) -> None:
    """The first block that defines `evaluate`, and nothing around it."""
    row = function(text)
    assert (says, row.source, row.failure) == (says, SOURCE, None)
    assert row.verifier_id == ids.function_id("ins", SOURCE)


@pytest.mark.parametrize(
    "source",
    [
        "import re\n\n\ndef evaluate(response):\n    return bool(re.match('a', response))\n",
        "from re import match\n\n\ndef evaluate(response: str) -> bool:\n    return True\n",
        "N = 3\n\ndef more(t):\n    return t\n\ndef evaluate(response):\n    return more(N)\n",
        "# Counts commas.\ndef evaluate(response):\n    return True\n",
        "async def evaluate(response):\n    return True\n",
        "def evaluate(response):\n    return '```' in response\n",
        "def evaluate(response):\n    this does not compile\n",
    ],
)
def test_a_block_is_taken_whole(source: str) -> None:
    """Whether it compiles is the sandbox's to say."""
    assert function(f"Here:\n```python\n{source}```\n").source == source


def test_lines_may_end_as_on_windows() -> None:
    windows = FENCED.replace("\n", "\r\n")
    source = function(windows).source
    assert source is not None
    assert source.splitlines() == SOURCE.splitlines()


@pytest.mark.parametrize(
    ("says", "text", "finish_reason", "failure"),
    [
        ("nothing", "", "stop", "no_function"),
        ("prose", "I cannot write a function for that.", "stop", "no_function"),
        ("prose about def", "To check it, def evaluate needs a loop.", "stop", "no_function"),
        ("another name", "```python\ndef check(response):\n    return True\n```", "stop",
         "no_function"),
        ("a longer name", "```python\ndef evaluate_all(response):\n    return True\n```", "stop",
         "no_function"),
        ("only called", "```python\nevaluate('a')\n```", "stop", "no_function"),
        ("a method", "```python\nclass A:\n    def evaluate(self, response):\n        ...\n```",
         "stop", "no_function"),
        ("a lambda", "```python\nevaluate = lambda response: True\n```", "stop", "no_function"),
        ("JSON, as the reference asks for", json.dumps({"func": SOURCE}), "stop", "no_function"),
        ("cut", FENCED[:-9], "length", "truncated_reply"),
        ("cut after the block", f"{FENCED}\nThis fun", "length", "truncated_reply"),
        ("cut without a word", "", "length", "truncated_reply"),
        ("the fence never closes", f"```python\n{SOURCE}", "stop", "truncated_reply"),
        ("a failed request", "", "error", "no_function"),
    ],
)  # fmt: skip
def test_functions_that_cannot(
    says: str, text: str, finish_reason: FinishReason, failure: str
) -> None:
    row = function(text, finish_reason)
    assert (says, row.failure) == (says, failure)
    assert (row.source, row.verifier_id) == (None, None)
    assert row.detail == clip(text)


TWO = '{"cases": [{"input": "a, b", "output": false}, {"input": "a b", "output": true}]}'
INDENTED = json.dumps(json.loads(TWO), indent=2)


@pytest.mark.parametrize(
    ("says", "text"),
    [
        ("the object alone", TWO),
        ("indented", INDENTED),
        ("in a block of JSON", f"```json\n{INDENTED}\n```"),
        ("in a block without a tag", f"```\n{TWO}\n```"),
        ("on Windows", f"```json\r\n{INDENTED}\r\n```".replace("\n", "\r\n")),
        ("prose before", f"Here are the cases:\n{TWO}"),
        ("prose after", f"{TWO}\nThe first has a comma."),
        ("prose with braces before", f"For {{instruction}}, in the form {{}}:\n{TWO}"),
        ("prose with braces after", f"{TWO}\nI used {{}} as asked."),
        ("an example of the form first", '{"cases": []} is the form.\n' + TWO),
        ("an object of something else first", '{"note": {"a": 1}}\n' + TWO),
        ("more fields", TWO.replace('"output": true', '"output": true, "why": "no comma"')),
        ("a function beside them", TWO.replace("{", '{"func": "def evaluate(r): {}", ', 1)),
        ("output as text", TWO.replace("true", '"True"').replace("false", '"False"')),
        ("output as text, as JSON has it", TWO.replace("true", '"true"')),
        ("output in capitals and spaces", TWO.replace("true", '" TRUE "')),
        ("escapes", TWO.replace(", b", "\\u002c b")),
    ],
)
def test_cases_that_can_be_read(says: str, text: str) -> None:
    rows = cases(text)
    found = [(r.case_input, r.case_expected, r.failure, r.position) for r in rows]
    assert (says, found) == (says, [("a, b", False, None, 0), ("a b", True, None, 1)])
    assert [r.verifier_id for r in rows] == [
        ids.case_id("ins", "a, b", False),
        ids.case_id("ins", "a b", True),
    ]


@pytest.mark.parametrize(
    ("says", "text", "finish_reason", "failure"),
    [
        ("nothing", "", "stop", "unreadable_cases"),
        ("prose", "I cannot think of any.", "stop", "unreadable_cases"),
        ("braces alone", "{}", "stop", "unreadable_cases"),
        ("no such key", '{"tests": []}', "stop", "unreadable_cases"),
        ("no case", '{"cases": []}', "stop", "unreadable_cases"),
        ("cases of another kind", '{"cases": {"input": "a"}}', "stop", "unreadable_cases"),
        ("null", '{"cases": null}', "stop", "unreadable_cases"),
        ("a list", '["cases"]', "stop", "unreadable_cases"),
        ("a list of cases", '[{"input": "a", "output": true}]', "stop", "unreadable_cases"),
        ("a string", '"cases"', "stop", "unreadable_cases"),
        ("Python's True", TWO.replace("true", "True"), "stop", "unreadable_cases"),
        ("single quotes", TWO.replace('"', "'"), "stop", "unreadable_cases"),
        ("a comma too many", TWO.replace("}]", "},]"), "stop", "unreadable_cases"),
        ("a raw line break in a string", TWO.replace("a b", "a\nb"), "stop", "unreadable_cases"),
        ("cut", TWO[:60], "length", "truncated_reply"),
        ("cut, and it does not say so", TWO[:60], "stop", "unreadable_cases"),
        ("a number that is too long", '{"cases": ' + "1" * 5_000 + "}", "stop",
         "unreadable_cases"),
        ("inside of a broken object", '{"reply": ' + TWO + ", oops}", "stop", "unreadable_cases"),
        ("too deep", '{"a":' * 3_000, "stop", "unreadable_cases"),
        ("a failed request", "", "error", "unreadable_cases"),
    ],
)  # fmt: skip
def test_cases_that_cannot(says: str, text: str, finish_reason: FinishReason, failure: str) -> None:
    """A reply that cannot be read is one candidate."""
    (row,) = cases(text, finish_reason)
    assert (says, row.failure) == (says, failure)
    assert (row.case_input, row.case_expected, row.verifier_id) == (None, None, None)
    assert row.detail == clip(text)


def test_a_whole_reply_in_a_cut_one_is_read() -> None:
    """The engine stopped in the prose after the object: no case is missing."""
    assert [r.failure for r in cases(f"{TWO}\nThe first has", "length")] == [None, None]


@pytest.mark.parametrize(
    ("case", "text", "failure"),
    [
        ({"input": "a", "output": 1}, "a", "expected_not_boolean"),
        ({"input": "a", "output": 0}, "a", "expected_not_boolean"),
        ({"input": "a", "output": "yes"}, "a", "expected_not_boolean"),
        ({"input": "a", "output": ""}, "a", "expected_not_boolean"),
        ({"input": "a", "output": None}, "a", "expected_not_boolean"),
        ({"input": "a"}, "a", "expected_not_boolean"),
        ({"input": "a", "expected": True}, "a", "expected_not_boolean"),
        ({"output": True}, None, "case_without_input"),
        ({"input": None, "output": True}, None, "case_without_input"),
        ({"input": 7, "output": True}, None, "case_without_input"),
        ({"input": ["a"], "output": True}, None, "case_without_input"),
        ({}, None, "case_without_input"),
        ("a", None, "case_without_input"),
        (None, None, "case_without_input"),
        ({"input": "", "output": True}, "", None),
        ({"input": " a \n", "output": True}, " a \n", None),
    ],
)
def test_a_bad_case_falls_alone(case: object, text: str | None, failure: str | None) -> None:
    good = {"input": "good", "output": True}
    rows = cases(json.dumps({"cases": [good, case, good]}))
    assert [r.failure for r in rows] == [None, failure, None]
    assert rows[1].case_input == text
    assert (rows[1].verifier_id is None) == (failure is not None)


def test_half_of_an_emoji_in_a_case_is_replaced() -> None:
    """No table can hold it; the id is of what is stored."""
    (row,) = cases(r'{"cases": [{"input": "a \ud83e b", "output": true}]}')
    assert (row.case_input, row.verifier_id) == ("a ? b", ids.case_id("ins", "a ? b", True))
    (whole,) = cases(r'{"cases": [{"input": "a \ud83e\udd86 b", "output": true}]}')
    assert whole.case_input == "a 🦆 b"


def test_candidates_are_told_apart_by_where_they_stood() -> None:
    """The same function from two samples is one verifier and two candidates."""
    rows = [
        read_reply("r", reply(FENCED, request_id="function/ins", sample_index=n))[0]
        for n in range(2)
    ]
    assert rows[0].verifier_id == rows[1].verifier_id
    assert rows[0].candidate_id != rows[1].candidate_id
    twice = cases('{"cases": [{"input": "a", "output": true}, {"input": "a", "output": true}]}')
    assert twice[0].verifier_id == twice[1].verifier_id
    assert twice[0].candidate_id != twice[1].candidate_id
    (elsewhere,) = read_reply("r", reply(FENCED, request_id="function/other"))
    assert elsewhere.verifier_id != rows[0].verifier_id


def test_replies_of_gpt_4_to_the_reference() -> None:
    """Its replies hold a function and three cases each. Three of the forty write Python's True
    without quotes, which is no JSON; all other cases are read, those with "True" in quotes too."""
    path = SHARED / "autoif_sample" / "eval_func_rft.jsonl"
    if not path.exists():
        pytest.skip("no sample of the reference here")
    read: Counter[str | None] = Counter()
    sides: Counter[bool | None] = Counter()
    for line in path.read_text("utf-8").splitlines():
        for text in json.loads(line)["gpt-answer"]:
            rows = cases(text)
            read.update(r.failure for r in rows)
            sides.update(r.case_expected for r in rows if r.failure is None)
            assert function(text).failure == "no_function"
    assert read == {None: 111, "unreadable_cases": 3}
    assert min(sides[True], sides[False]) > 40


@given(any_text, finish_reasons, st.sampled_from(["function/ins", "case/ins"]))
def test_any_reply_gives_candidates(
    text: str, finish_reason: FinishReason, request_id: str
) -> None:
    rows = read_reply("r", reply(text, finish_reason, request_id=request_id))
    assert rows
    assert len({r.candidate_id for r in rows}) == len(rows)
    for r in rows:
        assert (r.failure is None) == (r.verifier_id is not None)
        if r.kind == "function":
            assert (r.source is None) == (r.failure is not None)
        elif r.failure is None:
            assert r.case_input is not None
            assert r.case_expected is not None
            r.case_input.encode()


@given(st.text(max_size=20), st.booleans())
def test_what_is_written_as_json_is_read_back(text: str, expected: bool) -> None:
    for ascii_only in (True, False):
        written = json.dumps(
            {"cases": [{"input": text, "output": expected}]}, ensure_ascii=ascii_only
        )
        (row,) = cases(f"```json\n{written}\n```")
        assert (row.case_input, row.case_expected) == (text, expected)


def test_functions_and_cases_are_asked_for_apart() -> None:
    """Whoever writes cases does not see a function; each sample has a seed of its own."""
    functions, case_request = requests("ins", "Use no $commas.", DEFAULT, seed=7)
    assert (functions.request_id, case_request.request_id) == ("function/ins", "case/ins")
    assert (len(functions.samples), len(case_request.samples)) == (8, 4)
    seeds = [s.seed for s in (*functions.samples, *case_request.samples)]
    assert len(set(seeds)) == 12
    assert (functions.json_schema, case_request.json_schema) == (None, CASES_SCHEMA)
    for request in (functions, case_request):
        assert "Use no $commas." in request.messages[0].content
    assert "def evaluate" not in case_request.messages[0].content


def test_a_sample_asked_for_later_is_the_one_asked_for_at_once() -> None:
    functions, _ = requests("ins", "Use no commas.", DEFAULT, seed=7)
    later = chat_request(
        "verifier_candidates.functions",
        functions.request_id,
        functions.sampling,
        seed=7,
        samples=range(5, 6),
        prompt="write_function",
        instruction="Use no commas.",
    )
    assert later.samples == functions.samples[5:6]


@pytest.mark.parametrize(
    ("text", "limit", "clipped"),
    [
        ("a\n  b\tc", 9, "a b c"),
        ("", 9, "(nothing)"),
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
    ],
)
def test_clipping(text: str, limit: int, clipped: str) -> None:
    assert clip(text, limit) == clipped
