"""A plausible clock, nothing left by one that was ahead, time zone data, TZ."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.doctor.facts import Trouble, trouble_of
from claude_tasks.doctor.finding import (
    failed,
    passed,
    some,
    warned,
)
from claude_tasks.domain.errors import (
    ClaudeTasksError,
)
from claude_tasks.domain.hint import Hint
from claude_tasks.domain.instant import MINUTE_MS, human_duration, to_rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from claude_tasks.doctor.facts import (
        Contents,
        DatabaseFacts,
    )
    from claude_tasks.doctor.finding import Finding

from claude_tasks.domain.clock_step import EARLIEST_PLAUSIBLE

_SYSTEM_ZONES = "/usr/share/zoneinfo"
_ANY_ZONE = "America/New_York"
"""A zone that every copy of the zone data has."""


class ZoneFacts(NamedTuple):
    """Clock and zone data. ``recorded_at`` is the newest instant that the database shows."""

    at: int
    variable: str = ""
    variable_known: bool = True
    data: Trouble | None = None
    recorded_at: int | None = None


def zone(*, database: DatabaseFacts, environment: Mapping[str, str], at: int) -> ZoneFacts:
    """Clock and zone data, beside the newest instant that is recorded."""
    contents = database.contents
    recorded_at = None
    if contents is not None:
        renewed_at = None if contents.lease is None else contents.lease.renewed_at
        recorded_at = max(contents.furthest_instant, renewed_at or 0) or None
    variable = environment.get("TZ", "").removeprefix(":")
    known = not variable or _zone_trouble(_zone_name(variable)) is None
    return ZoneFacts(at, variable, known, _zone_trouble(_ANY_ZONE), recorded_at)


def _zone_name(variable: str) -> str:
    """The zone that TZ names: a file of the system's zone data is one by its path."""
    return variable.rpartition("zoneinfo/")[2]


def _zone_trouble(name: str) -> Trouble | None:
    # What lies in the system's folder is there; asking zoneinfo takes 3 ms to load it.
    within = "/" in name and not os.path.isabs(name) and ".." not in name
    if within and os.path.isfile(os.path.join(_SYSTEM_ZONES, name)):
        return None
    from claude_tasks.domain.schedule.zones import find_zone

    try:
        find_zone(name)
    except ClaudeTasksError as error:
        return trouble_of(error)
    return None


def judge(zone: ZoneFacts, database: DatabaseFacts) -> Finding:
    """The clock is plausible, nothing waits for a false future, zones are known."""
    name = "clock_and_zone"
    if zone.at < EARLIEST_PLAUSIBLE:
        text = f"the clock shows {to_rfc3339(zone.at)}: it was never set"
        return failed(name, text, "sudo timedatectl set-ntp true")
    if zone.data is not None:
        return failed(name, f"no time zone data: {zone.data.message}", "pip install tzdata")
    contents = database.contents
    if contents is not None and contents.left_by_clock:
        return _left_by_clock(contents, at=zone.at)
    if zone.recorded_at is not None and zone.recorded_at - zone.at > MINUTE_MS:
        back = human_duration((zone.recorded_at - zone.at) // MINUTE_MS * MINUTE_MS)
        text = f"the clock was set back: the database was written {back} from now"
        return warned(name, text, "sudo timedatectl set-ntp true")
    if not zone.variable_known:
        text = f"TZ={zone.variable} is no time zone known here: new tasks are taken to be in UTC"
        return warned(name, text, "unset TZ")
    named = f", TZ={zone.variable}" if zone.variable else ""
    return passed(name, f"{to_rfc3339(zone.at // 1000 * 1000)}; zone data is there{named}")


def _left_by_clock(contents: Contents, *, at: int) -> Finding:
    """Tasks that would be silent until a false future, and what helps."""
    holder = None if contents.lease is None else contents.lease.holder
    led = any(entry.alive and entry.node.id == holder for entry in contents.nodes)
    from claude_tasks.operations.clock_text import trouble

    troubles = [trouble(left, led=led, at=at) for left in contents.left_by_clock]
    lines = [each.line for each in troubles]
    return failed("clock_and_zone", Hint("the clock was ahead: ", some(lines)), troubles[0].fix)
