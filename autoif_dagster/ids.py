"""Identity: every id is a hash of content, so equal inputs give equal ids on any machine.

An id is a short prefix that names the kind of thing and 96 bits of SHA-256 over the canonical JSON
of its parts (at 10^8 rows of one kind the chance of any collision is below 10^-12). Parents are
parts where the same text may come from two of them.
"""

import hashlib
import json
import random
import re

_SEED_BITS = 63  # every engine accepts a non-negative signed 64-bit seed

_ROUND = re.compile(r"r(?!0000)[0-9]{4}")

Part = str | int | float | bool | None


def digest(*parts: Part) -> str:
    """SHA-256, in hexadecimal, of the parts in order; unambiguous at their borders."""
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()


def content_id(prefix: str, *parts: Part) -> str:
    """``prefix_`` and 24 hexadecimal digits."""
    return f"{prefix}_{digest(prefix, *parts)[:24]}"


def instruction_id(text: str, copy: int = 0) -> str:
    """Of a text, and of which of its copies where a round keeps repeats as rows of their own."""
    return content_id("ins", text, copy) if copy else content_id("ins", text)


def query_id(text: str) -> str:
    return content_id("qry", text)


def function_id(instruction: str, source: str) -> str:
    return content_id("fun", instruction, source)


def case_id(instruction: str, text: str, expected: bool) -> str:
    return content_id("cas", instruction, text, expected)


def prompt_id(instruction: str, query: str) -> str:
    return content_id("prm", instruction, query)


def response_id(prompt: str, sample_index: int, text: str | None) -> str:
    return content_id("rsp", prompt, sample_index, text)


def stable_seed(*parts: Part) -> int:
    """A non-negative 63-bit integer that depends on nothing but the parts."""
    return int(digest("seed", *parts)[:16], 16) >> (64 - _SEED_BITS)


def rng(*parts: Part) -> random.Random:
    """A generator of its own for one decision; the global one is never used."""
    return random.Random(stable_seed(*parts))


def is_round(key: str) -> bool:
    """Whether a key names a round: `r0001` to `r9999`, which sort as text."""
    return _ROUND.fullmatch(key) is not None
