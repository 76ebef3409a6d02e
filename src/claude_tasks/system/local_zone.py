"""The IANA name of this machine's time zone, where it can be told.

What is added without a zone fires by the clocks of the machine, whichever way it was added.
"""

from __future__ import annotations

import os
import time

from claude_tasks.domain.errors import InvalidInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_FALLBACK = "UTC"
_FALLBACKS = ("UTC", "GMT")
_MARK = "zoneinfo/"


def local_zone(
    environment: Mapping[str, str],
    *,
    timezone_file: str = "/etc/timezone",
    localtime_link: str = "/etc/localtime",
    warn: Callable[[str], None] | None = None,
    abbreviation: str = time.tzname[0],
) -> str:
    """From TZ, then /etc/timezone, then where /etc/localtime points; else UTC.

    ``warn`` hears of a TZ that names no zone, and of clocks that go by another zone than UTC
    (``abbreviation`` is the C library's) without a name to be found.
    """
    if environment.get("TZ"):
        known = _known(environment["TZ"].removeprefix(":"))
        if known is None and warn is not None:
            warn(
                f"Note: TZ={environment['TZ']} is no IANA time zone known here; taking UTC."
                " Name one such as Europe/Berlin, or give --tz."
            )
        return known or _FALLBACK
    for name in _configured(timezone_file, localtime_link):
        known = _known(name)
        if known:
            return known
    if abbreviation not in _FALLBACKS and warn is not None:
        warn(
            f"Note: this machine's clocks go by {abbreviation}, but neither {timezone_file} nor"
            f" {localtime_link} names a time zone known here; taking UTC. Set TZ, such as"
            " TZ=Europe/Berlin, or name a zone with the task."
        )
    return _FALLBACK


def _configured(timezone_file: str, localtime_link: str) -> Iterator[str]:
    try:
        with open(timezone_file, encoding="utf-8") as file:
            yield file.read().strip()
    except (OSError, UnicodeDecodeError):
        yield ""  # most systems have only the link
    yield os.path.realpath(localtime_link).partition(_MARK)[2]


def _known(name: str) -> str | None:
    """The name if it is a zone's. ``Etc/UTC`` and the like are written UTC."""
    name = name.rpartition(_MARK)[2]
    if name in ("UTC", "Etc/UTC", "Etc/UCT", "Zulu", "Universal"):
        return _FALLBACK
    from claude_tasks.domain.schedule.zones import find_zone  # noqa: PLC0415 (3 ms with zoneinfo)

    try:
        find_zone(name)
    except InvalidInputError:
        return None
    return name
