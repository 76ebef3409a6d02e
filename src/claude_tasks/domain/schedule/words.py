"""Schedules in English. For people only: nothing is parsed back from these sentences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cronsim.explain import Expression

from claude_tasks.domain.instant import to_datetime
from claude_tasks.domain.schedule.fields import WEEKDAY, parse_field

if TYPE_CHECKING:
    from claude_tasks.domain.schedule.fields import Fields
    from claude_tasks.domain.schedule.zones import ZoneClock

_ORDINAL = re.compile(r"\b(\d+)th\b")
_SUFFIXES = {1: "st", 2: "nd", 3: "rd"}
_EVERY_OTHER = re.compile(r"(?<=very )second(?= (?:second|minute|hour|day|month))")


def cron_in_words(fields: Fields) -> str:
    """Canonical fields in words, without zone and full stop: "At 09:00 on Monday".

    The library's sentence, corrected where it misleads: "21th"; "every second second"; "on the 13th
    and on Friday" for what is one *or* the other; "every seventh day of week" for Sunday.
    """
    *others, weekday = (field.text for field in fields)
    sentence = Expression([*others, ",".join(map(_without_step, weekday.split(",")))])
    # Spelling out the steps may have taken away the star that this rule looks at.
    sentence.day_and = fields.day.text.startswith("*") or weekday.startswith("*")
    words = _EVERY_OTHER.sub("other", sentence.explain().replace(" and on ", " or on "))
    return _ORDINAL.sub(_ordinal, words)


def _without_step(term: str) -> str:
    """``*/2`` → ``0,2,4,6``, for a term of the weekday field."""
    if "/" not in term:
        return term
    return ",".join(map(str, sorted({value % 7 for value in parse_field(WEEKDAY, term).values})))


def _ordinal(match: re.Match[str]) -> str:
    """The library writes 21th, 22th, 23th and 31th."""
    number = int(match.group(1))
    teen = number // 10 % 10 == 1
    return f"{number}{'th' if teen else _SUFFIXES.get(number % 10, 'th')}"


def moved_note(skipped: int, first_wall: int, timezone: str) -> str:
    """For a tick that stands for a wall time in a gap. Both times are wall times in ms."""
    wanted, shown = to_datetime(skipped), to_datetime(first_wall)
    return (
        f"{wanted:%H:%M} does not exist on {wanted:%Y-%m-%d} in {timezone}:"
        f" the clocks go forward to {shown:%H:%M}, and it runs then"
    )


def repeated_note(clock: ZoneClock, tick: int, *, fires_twice: bool) -> str | None:
    """For a tick at a wall time that the clocks show twice; None for any other."""
    stretch = clock.stretch(tick)
    wall = tick + stretch.offset
    following = clock.stretch(stretch.end)
    if wall < stretch.unseen_from:
        which, other = "second", "first"
    elif following.first_wall <= wall and following.offset < stretch.offset:
        which, other = "first", "second"
    else:
        return None
    fires = "it runs both times" if fires_twice else f"it does not run at the {other}"
    return (
        f"{to_datetime(wall):%H:%M} comes twice as the clocks go back; this is the {which}, {fires}"
    )
