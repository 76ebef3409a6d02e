"""Usage of the agent's subscription: what is known of it, and whether a run may start.

A `Reading` is one answer of a source: windows (five_hour, seven_day, …) with the percentage used
and when each begins anew. All processes share one `Snapshot`: the last good reading, and the last
failure where that is newer. `judge` decides from it; nothing here asks anybody.

    fresh reading (60 s) ───────────────▶ GO, or OVER the threshold
    no fresh one, nobody failed since ──▶ ASK first
    failed since, reading ≤ 15 min old ─▶ as the reading says, its age is shown
    failed since, none or an older one ─▶ UNAVAILABLE: the run fails, with the cause
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, NamedTuple

FRESH_MS = 60 * 1000
"""A reading this young is not asked for again."""

USABLE_MS = 15 * 60 * 1000
"""The last good reading serves this long when its sources fail."""

_MOST = 100.0
_LARGEST_SECONDS = 2**33

BUCKETS = ("five_hour", "seven_day")
"""The windows that decide; API v1 shows these two."""


class Window(NamedTuple):
    """One window: its name, percent used, the instant at which it begins anew (None: unknown)."""

    name: str
    utilization: float
    resets_at: int | None


class Reading(NamedTuple):
    """What a source said, when."""

    windows: tuple[Window, ...]
    source: str
    at: int

    def window(self, name: str) -> Window:
        """A window by name; one that nobody mentioned is unused."""
        return next((w for w in self.windows if w.name == name), Window(name, 0.0, None))


class Failure(NamedTuple):
    """Why nobody answered. ``code`` is stable; ``retry_at`` is when it may be tried again.

    ``repeated`` counts the failures in a row, this one included.
    """

    code: str
    message: str
    at: int
    retry_at: int
    repeated: int = 1


class Snapshot(NamedTuple):
    """The one record that all processes share."""

    reading: Reading | None
    failure: Failure | None


class Answer(Enum):
    """What `judge` says."""

    GO = auto()
    ASK = auto()
    OVER = auto()
    UNAVAILABLE = auto()


class Judgement(NamedTuple):
    """The answer, the reading it rests on, and the window in the way."""

    answer: Answer
    reading: Reading | None = None
    blocking: Window | None = None
    failure: Failure | None = None


def learnt_from_run(reading: Reading | None, info: Mapping[str, Any], *, at: int) -> Reading | None:
    """The reading with what a run's own ``rate_limit_info`` adds; None where it adds nothing.

    Its shares are 0…1, its times seconds since the epoch. With both windows that decide it is an
    answer of its own; with one it corrects the last answer, which gets no younger by that.
    """
    told = info.get("unifiedWindows")
    entries = dict(told) if isinstance(told, Mapping) else {}
    if isinstance(info.get("rateLimitType"), str):
        entries.setdefault(info["rateLimitType"], info)
    found = {name: window for name, entry in entries.items() if (window := _told(name, entry))}
    if all(name in found for name in BUCKETS):
        return Reading(tuple(found.values()), "a run", at)
    if reading is None or not found:
        return None
    kept = {window.name: window for window in reading.windows}
    return reading._replace(windows=tuple((kept | found).values()))


def _told(name: str, entry: object) -> Window | None:
    if not isinstance(entry, Mapping):
        return None
    share, resets_at = entry.get("utilization"), entry.get("resetsAt")
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= _MOST:
        return None
    if not isinstance(resets_at, int) or not 0 < resets_at < _LARGEST_SECONDS:
        resets_at = None
    percent = round(share * 100, 3)
    return Window(name, percent, None if resets_at is None else resets_at * 1000)


def judge(snapshot: Snapshot, *, threshold: float, at: int) -> Judgement:
    """Whether a run may start now."""
    reading, failure = snapshot
    age = None if reading is None else at - reading.at
    failed_since = failure is not None and (reading is None or failure.at >= reading.at)
    fresh = age is not None and 0 <= age < FRESH_MS
    settled = failed_since and failure is not None and failure.at <= at < failure.retry_at
    if not fresh and not settled:
        return Judgement(Answer.ASK, reading, failure=failure)
    if reading is None or age is None or not (fresh or 0 <= age < USABLE_MS):
        return Judgement(Answer.UNAVAILABLE, reading, failure=failure)
    blocking = _blocking(reading, threshold=threshold, at=at)
    answer = Answer.GO if blocking is None else Answer.OVER
    return Judgement(answer, reading, blocking, failure if failed_since else None)


def _blocking(reading: Reading, *, threshold: float, at: int) -> Window | None:
    """Of the windows at or over the threshold the one that lasts longest. A reset one is unused."""
    over = [
        window
        for name in BUCKETS
        if (window := reading.window(name)).utilization >= threshold
        and (window.resets_at is None or window.resets_at > at)
    ]
    return max(over, key=lambda window: window.resets_at or 0, default=None)
