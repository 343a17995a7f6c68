"""Whether Dagster will take a schedule, told where the recipe is read and Dagster is not loaded.

The five fields of cron, with lists, ranges, steps and names. What else Dagster's parser knows
(`@daily`, the last day of a month) is refused: nobody needs two ways to write a night.
"""

import re
from zoneinfo import ZoneInfo

_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_DAYS = "sun mon tue wed thu fri sat".split()
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    (0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_PART = re.compile(r"(\*|(\w+)(?:-(\w+))?)(?:/(\d{1,2}))?")
_LONGEST_MONTH = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}


def is_cron(text: str) -> bool:
    """Whether a text is a cron expression that some day fits."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return False
    allowed = [_numbers(field, *bounds) for field, bounds in zip(fields, _FIELDS, strict=True)]
    if not all(allowed):
        return False
    days, months = allowed[2], allowed[3]
    return min(days) <= max(_LONGEST_MONTH.get(month, 31) for month in months)


def _numbers(field: str, least: int, most: int, names: dict[str, int]) -> set[int]:
    """What a field stands for; empty where it is none."""
    found: set[int] = set()
    for part in field.lower().split(","):
        match = _PART.fullmatch(part)
        if match is None:
            return set()
        whole, first, last, step = match.groups()
        if whole == "*":
            low, high = least, most
        else:
            numbers = [_number(word, names) for word in (first, last or first)]
            low, high = numbers
            if step and last is None:
                return set()  # read as "from there on" by some, as that number alone by others
        if not (least <= low <= high <= most) or step in ("0", "00"):
            return set()
        found.update(range(low, high + 1, int(step or 1)))
    return found


def _number(word: str, names: dict[str, int]) -> int:
    """−1 for what is no number of the field."""
    return int(word) if re.fullmatch("[0-9]{1,2}", word) else names.get(word, -1)


def is_timezone(name: str) -> bool:
    """Whether a name is one of a time zone, such as `Europe/Berlin`."""
    try:
        ZoneInfo(name)
    except (LookupError, OSError, ValueError):  # no such name; a folder of them; a path outside
        return False
    return True
