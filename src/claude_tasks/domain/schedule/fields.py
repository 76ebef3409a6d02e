"""One cron field at a time: its grammar, its values, its canonical spelling, its refusals.

The canonical spelling is what the cron library reads and puts into words. It differs from what was
typed where the library would misread it: names, ``?``, ranges that wrap (``FRI-SUN``, ``22-2``) and
``a-a/n``, which it takes for ``a/n``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from claude_tasks.domain.schedule.refusal import refuse


class Kind(NamedTuple):
    """Which field: bounds, names (the first stands for ``low``), whether a range may wrap."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    wraps: bool = False
    is_day: bool = False


SECOND = Kind("second", 0, 59)
MINUTE = Kind("minute", 0, 59)
HOUR = Kind("hour", 0, 23, wraps=True)
# The number of days differs by month, so "25-5" has no one meaning.
DAY = Kind("day of month", 1, 31, is_day=True)
MONTH = Kind(
    "month",
    1,
    12,
    names=("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
    wraps=True,
)
WEEKDAY = Kind(
    "weekday",
    0,
    7,
    names=("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"),
    wraps=True,
    is_day=True,
)

_NTH = re.compile(r"([0-7]|[A-Z]{3})#(\d+)", re.ASCII)
_LAST = re.compile(r"([0-7]|[A-Z]{3})L", re.ASCII)
_SUNDAY = 7  # as the end of a range; as its start Sunday is 0


class Field(NamedTuple):
    """A parsed field: canonical text and, sorted, its plain values (without ``L`` and ``#``)."""

    text: str
    values: tuple[int, ...]


@lru_cache(maxsize=4096)
def parse_field(kind: Kind, text: str) -> Field:
    """Parse one field. Raises InvalidInputError with what to write instead."""
    terms = [_parse_term(kind, term) for term in text.upper().split(",")]
    values = sorted({value for term in terms for value in term.values})
    return Field(",".join(term.text for term in terms), tuple(values))


def _parse_term(kind: Kind, term: str) -> Field:
    if not term:
        raise refuse(
            f"a list has nothing where a {kind.name} should be",
            "Remove the comma that has nothing beside it.",
        )
    if special := _parse_special(kind, term):
        return special
    body, slash, step_text = term.partition("/")
    step = _parse_step(kind, term, step_text) if slash else 1
    if body == "*" or (body == "?" and kind.is_day):
        return _star(kind, step)
    start_text, dash, end_text = body.partition("-")
    start = _parse_value(kind, start_text)
    if dash:
        return _range(kind, term, start, _parse_value(kind, end_text), step)
    if slash:
        return _spell(start, kind.high, step)
    return Field(str(start), (start,))


def _parse_special(kind: Kind, term: str) -> Field | None:
    if kind is DAY and term in ("L", "LW"):
        return Field(term, ())
    if kind is WEEKDAY:
        if nth := _NTH.fullmatch(term):
            return _nth_weekday(term, nth.group(1), int(nth.group(2)))
        if last := _LAST.fullmatch(term):
            return Field(f"{_parse_value(kind, last.group(1))}L", ())
    if kind.is_day and ("L" in term or "W" in term or "#" in term) and not _has_name(kind, term):
        raise refuse(
            f"{term!r} is not a {kind.name}",
            "Write L or LW as the day of month for the month's last day or last working day,"
            " 5L as the weekday for its last Friday, 5#2 for its second Friday.",
        )
    return None


def _has_name(kind: Kind, term: str) -> bool:
    return any(name in term for name in kind.names) and "#" not in term and not term.endswith("L")


def _nth_weekday(term: str, weekday: str, nth: int) -> Field:
    if not 1 <= nth <= 5:  # noqa: PLR2004  (no month has a sixth Monday)
        raise refuse(
            f"{term!r}: no month has such a weekday", "Write 1 to 5 after '#', as in MON#1."
        )
    return Field(f"{_parse_value(WEEKDAY, weekday)}#{nth}", ())


def _parse_step(kind: Kind, term: str, text: str) -> int:
    if not _is_number(text) or int(text) == 0:
        raise refuse(
            f"the step of {term!r} is not a number from 1", f"Write */5, say, as the {kind.name}."
        )
    step = int(text)
    if step > kind.high:
        raise refuse(
            f"{term!r}: a step of {step} is longer than the whole {kind.name} field"
            f" ({kind.low}-{kind.high})",
            _long_step_hint(kind, step),
        )
    return step


def _long_step_hint(kind: Kind, step: int) -> str:
    unit = {"second": "s", "minute": "m", "hour": "h"}.get(kind.name)
    if unit is None:
        return f"Write a step from 1 to {kind.high}."
    return f"Write '@every {step}{unit}' for every {step} {kind.name}s."


def _star(kind: Kind, step: int) -> Field:
    high = 6 if kind is WEEKDAY else kind.high
    return Field("*" if step == 1 else f"*/{step}", tuple(range(kind.low, high + 1, step)))


def _range(kind: Kind, term: str, start: int, end: int, step: int) -> Field:
    if kind is WEEKDAY and start > end:
        start, end = (0, end) if start == _SUNDAY else (start, end or _SUNDAY)
    if start <= end:
        return _spell(start, end, step)
    if not kind.wraps:
        raise refuse(
            f"the range {term!r} is empty: {start} comes after {end}",
            f"Write {end}-{start}, or {start}-{kind.high},{kind.low}-{end}"
            f" to go on past {kind.high}.",
        )
    size = 7 if kind is WEEKDAY else kind.high - kind.low + 1
    values = [(v - kind.low) % size + kind.low for v in range(start, end + size + 1, step)]
    return Field(",".join(map(str, values)), tuple(sorted(values)))


def _spell(start: int, end: int, step: int) -> Field:
    values = tuple(range(start, end + 1, step))
    if len(values) == 1:  # the library reads "5-5/2" as "5/2"
        return Field(str(start), values)
    return Field(f"{start}-{end}" if step == 1 else f"{start}-{end}/{step}", values)


def _parse_value(kind: Kind, text: str) -> int:
    if text in kind.names:
        return kind.low + kind.names.index(text)
    if _is_number(text) and kind.low <= int(text) <= kind.high:
        return int(text)
    article = "an" if kind is HOUR else "a"
    raise refuse(f"{text!r} is not {article} {kind.name}", _value_hint(kind, text))


def _value_hint(kind: Kind, text: str) -> str:
    if kind.names:
        if text[:3] in kind.names:
            return f"Write {text[:3]}."
        names = ", ".join(kind.names)
        return f"Write a {kind.name} from {kind.low} to {kind.high}, or one of {names}."
    if kind is HOUR and text == "24":
        return "Write 0 for midnight; hours go from 0 to 23."
    if text == "?":
        return "Write * here; ? is for the day of month and the weekday only."
    return f"Write a {kind.name} from {kind.low} to {kind.high}, or * for every {kind.name}."


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9  # noqa: PLR2004  (a sane length)


_KINDS = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)


class Fields(NamedTuple):
    """The six parsed fields."""

    second: Field
    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field


def parse_fields(expression: str) -> Fields:
    """Parse 5 fields, or 6 with the seconds first. Raises InvalidInputError."""
    texts = expression.split()
    if len(texts) == len(_KINDS) - 1:
        texts.insert(0, "0")
    if len(texts) != len(_KINDS):
        raise refuse(
            f"expected 5 fields (minute hour day month weekday), or 6 with seconds first,"
            f" but got {len(texts)}"
        )
    return Fields(*map(parse_field, _KINDS, texts))
