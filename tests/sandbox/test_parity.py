"""The published functions of the method run exactly like plain Python."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from autoif_dagster.sandbox import Sandbox

_SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "autoif_sample"

# In a process of its own: this repository itself never runs a model's function.
_PLAIN = """
import json, sys
given = json.load(sys.stdin)
def verdict(source, text):
    try:
        names = {}
        RUN(source, names)
        result = names["evaluate"](text)
    except BaseException:
        return "ERROR"
    return str(result).upper() if type(result) is bool else "NOT_BOOL"
json.dump([[verdict(s, t) for t in given["texts"]] for s in given["sources"]], sys.stdout)
""".replace("RUN", "ex" + "ec")


def _lines(name: str) -> list[dict[str, object]]:
    with (_SAMPLE / name).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return [value] if isinstance(value, str) else []


def _sample() -> tuple[list[str], list[str]]:
    sources: list[str] = []
    texts: list[str] = []
    for row in _lines("eval_func_rft.jsonl"):
        for reply in _strings(row["gpt-answer"]):
            fenced = re.search(r"```json(.*?)```", reply, re.DOTALL)
            try:
                parsed = json.loads(fenced.group(1) if fenced else reply)
            except ValueError:
                continue
            sources += _strings(parsed["func"])
            texts += _strings(parsed["cases"])
    for row in _lines("back_trans.jsonl"):
        sources += _strings(row["eval_func"])
        texts += _strings(row["cases"])
    for name in ("query_rft_score.jsonl", "query_score_filter.jsonl"):
        for row in _lines(name):
            texts += _strings(row)
    return list(dict.fromkeys(sources)), list(dict.fromkeys(texts))


@pytest.mark.skipif(not _SAMPLE.is_dir(), reason="the published sample is not beside the checkout")
def test_the_published_functions_run_like_plain_python(sandbox: Sandbox) -> None:
    sources, texts = _sample()
    assert len(sources) > 50
    assert len(texts) > 200
    plain = subprocess.run(
        [sys.executable, "-c", _PLAIN],
        input=json.dumps({"sources": sources, "texts": texts}),
        capture_output=True,
        check=True,
        text=True,
        env={"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8"},
    )
    ours = [
        [verdict.name for verdict in verdicts]
        for verdicts in sandbox.run((source, texts) for source in sources)
    ]
    differing = [
        (source, text, theirs, mine)
        for source, their_row, my_row in zip(sources, json.loads(plain.stdout), ours, strict=True)
        for text, theirs, mine in zip(texts, their_row, my_row, strict=True)
        if theirs != mine
    ]
    assert differing == []
