"""Families about encodings, and how a reader sees through them."""

import base64
import re

from autoif_dagster.clients.simulated.grammar import Family, Misreading, Params


def _ascii(text: str) -> str:
    return "".join(c for c in text if c.isascii())


_ASCII_ONLY = Family(
    name="ascii_only",
    kind="encodings",
    phrasings=(
        "Use ASCII characters only: no accents, no emoji, no typographic quotes.",
        "Every character of the answer must have a code point below 128.",
    ),
    draws={},
    check=lambda _, text: text.isascii(),
    obey=lambda _, d: _ascii(d.prose()),
    edges=lambda _, d: (
        (text := _ascii(d.block())),
        text + " Voilà.",
        text + " \x7f",
        text + " – done.",
        text + "\n\tDone.",
        text + " ☕",
        text.replace(" ", "\u00a0", 1),
        "",
    ),
    right=(
        "return all(ord(character) < 128 for character in response)",
        "return response.isascii()",
        'return re.search(r"[^\\x00-\\x7f]", response) is None',
    ),
    wrong=(
        Misreading('return re.fullmatch(r"[ -~]+", response) is not None'),
        Misreading(
            "return all(ord(character) < 256 for character in response)",
            "Every character of the answer must have a code point below 256.",
        ),
        Misreading(
            "return all(c in string.printable for c in response if not c.isalpha())",
        ),
    ),
)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


_BASE64 = Family(
    name="base64",
    kind="encodings",
    phrasings=(
        "Encode the whole answer in Base64 and send one line that holds nothing else.",
        "Reply with a single Base64 string, padding included, and no other character.",
    ),
    draws={},
    check=lambda _, text: (
        len(text) % 4 == 0 and re.fullmatch("[A-Za-z0-9+/]+={0,2}", text) is not None
    ),
    obey=lambda _, d: _base64(d.prose()),
    edges=lambda _, d: (
        (text := _base64(d.point())),
        text + "\n",
        text.rstrip("=") + "=",
        text.rstrip("="),
        text[:-1],
        f"{text[:8]}\n{text[8:]}",
        text + "====",
        f"Base64: {text}",
        d.point(),
        "",
    ),
    right=(
        'return len(response) % 4 == 0 and bool(re.fullmatch("[A-Za-z0-9+/]+={0,2}", response))',
        "alphabet = string.ascii_letters + string.digits + '+/'\n"
        'body = response.rstrip("=")\n'
        "if not body or len(response) - len(body) > 2 or len(response) % 4 != 0:\n"
        "    return False\n"
        "return all(character in alphabet for character in body)",
    ),
    wrong=(
        Misreading('return re.fullmatch("[A-Za-z0-9+/]+={0,2}", response.strip()) is not None'),
        Misreading('return len(response) % 4 == 0 and not re.search("[^A-Za-z0-9+/=]", response)'),
        Misreading(
            'return re.fullmatch(r"[A-Za-z0-9+/=\\s]+", response) is not None',
            "Use nothing but letters, digits, plus signs, slashes, equals signs and white space.",
        ),
    ),
)

_MORSE = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        (
            ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- "
            "...- .-- -..- -.-- --.."
        ).split(),
        strict=True,
    )
)


def _morse(text: str) -> str:
    words = (" ".join(_MORSE[c] for c in word if c in _MORSE) for word in text.lower().split())
    return " / ".join(word for word in words if word) or "..."


_MORSE_ONLY = Family(
    name="morse",
    kind="encodings",
    phrasings=(
        "Write the whole answer in Morse code, using only dots, hyphens, slashes and spaces.",
        "Reply in Morse code alone: no characters but dots, hyphens, spaces and slashes, "
        "and at least one dot or hyphen.",
    ),
    draws={},
    check=lambda _, text: set(text) <= set(".-/ ") and ("." in text or "-" in text),
    obey=lambda _, d: _morse(d.prose()),
    edges=lambda _, d: (
        (text := _morse(d.point())),
        text + "\n",
        text.replace(" / ", "\n", 1),
        text.replace("-", "–", 1),
        text.replace("-", "_", 1),
        text + " stop",
        "-",
        " / ",
        "",
    ),
    right=(
        'return set(response) <= set(".-/ ") and ("." in response or "-" in response)',
        'if any(character not in ".-/ " for character in response):\n'
        "    return False\n"
        'return "." in response or "-" in response',
    ),
    wrong=(
        Misreading('return all(character in ".-/ " for character in response)'),
        Misreading('return re.fullmatch(r"[.\\-/\\s]+", response) is not None'),
        Misreading(
            'return not re.search("[A-Za-z]", response)', "Use no letter from A to Z at all."
        ),
    ),
)


def _hexadecimal(text: str) -> str:
    return text.encode().hex(" ")


_HEX = Family(
    name="hexadecimal",
    kind="encodings",
    phrasings=(
        "Give the answer as bytes in hexadecimal: pairs of digits from 0-9 and a-f, "
        "one space between pairs, nothing else.",
        "Write nothing but two-digit hexadecimal numbers in small letters, "
        "with a single space between one and the next.",
    ),
    draws={},
    check=lambda _, text: re.fullmatch("[0-9a-f]{2}( [0-9a-f]{2})*", text) is not None,
    obey=lambda _, d: _hexadecimal(" ".join(d.sentences(2))),
    edges=lambda _, d: (
        (text := _hexadecimal(d.point())),
        text.upper(),
        text.title(),
        text + "\n",
        _hexadecimal(d.block()) + "\n",
        text.replace(" ", "  ", 1),
        text.replace(" ", "", 1),
        text.replace(" ", "\n", 1),
        text + " 7g",
        "6f",
        "",
    ),
    right=(
        'return bool(re.fullmatch(r"[0-9a-f]{2}( [0-9a-f]{2})*", response))',
        'pairs = response.split(" ")\n'
        'digits = "0123456789abcdef"\n'
        "return all(len(p) == 2 and p[0] in digits and p[1] in digits for p in pairs)",
    ),
    wrong=(
        Misreading('return all(re.fullmatch("[0-9a-f]{2}", p) for p in response.split())'),
        Misreading('return bool(re.match(r"[0-9a-f]{2}( [0-9a-f]{2})*$", response))'),
        Misreading(
            'pairs = response.lower().split(" ")\n'
            'return all(re.fullmatch("[0-9a-f]{2}", p) is not None for p in pairs)',
            "Write two-digit hexadecimal numbers, small or capital, with single spaces between.",
        ),
    ),
)


def legible(text: str) -> str:
    """What a reader who knows the encodings above makes of a text."""
    if _BASE64.check(Params(), text):
        return base64.b64decode(text).decode("utf-8", "replace")
    if _HEX.check(Params(), text):
        return bytes.fromhex(text).decode("utf-8", "replace")
    if _MORSE_ONLY.check(Params(), text):
        letters = {code: letter for letter, code in _MORSE.items()}
        return " ".join(
            "".join(letters.get(code, "") for code in word.split()) for word in text.split("/")
        )
    return text


FAMILIES = (
    _ASCII_ONLY,
    _BASE64,
    _MORSE_ONLY,
    _HEX,
)
