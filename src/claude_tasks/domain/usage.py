"""Usage of the agent's subscription: what is known of it, and whether a run may start.

A `Reading` is one answer of a source: windows (five_hour, seven_day, …) with the percentage used
and when each is reset. All processes share one `UsageState`: the last good reading, and the last
failure where that is newer. `decide` decides from it; no source is asked here.

    fresh reading (60 s) ───────────────▶ GO, or OVER the threshold
    no fresh one, no failure since ─────▶ ASK first
    failed since, reading ≤ 15 min old ─▶ as the reading says, its age is shown
    failed since, none or an older one ─▶ UNAVAILABLE: the run fails, with the cause

A state holds a failure only while no source has answered since. A reading or failure from the
future was taken before the clock was set back: it is ignored.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, NamedTuple

FRESH_MS = 60 * 1000
"""While the reading is younger than this, no source is asked."""

USABLE_MS = 15 * 60 * 1000
"""How long the last good reading is used while the sources fail."""

LONGEST_LOOK_MS = 15 * 60 * 1000
"""The longest time until a run that waits for usage is judged again."""

NETWORK_PATIENCE_MS = 15 * 60 * 1000
"""How long a run is tried again while the network cannot be reached, as after a laptop woke up."""

FURTHEST_RESET_MS = 366 * 24 * 3600 * 1000
"""The longest window lasts a week. A reset more than a year ahead is an error: runs would wait for
it for ever, and the ends of the calendar cannot be shown in every zone."""

_MOST = 100.0
_FULL = 100.0

BUCKETS = ("five_hour", "seven_day")
"""The windows that decide; API v1 shows these two."""


class Window(NamedTuple):
    """One window: its name, percent used, the instant of its reset (None: unknown)."""

    name: str
    utilization: float
    resets_at: int | None


class Reading(NamedTuple):
    """The answer of a source, and when."""

    windows: tuple[Window, ...]
    source: str
    at: int

    def window(self, name: str) -> Window:
        """A window by name; one missing in the answer is shown as unused."""
        return next((w for w in self.windows if w.name == name), Window(name, 0.0, None))

    @property
    def deciding(self) -> list[Window]:
        """The deciding windows in the answer: a plan may not have both."""
        return [window for window in self.windows if window.name in BUCKETS]


class Failure(NamedTuple):
    """Why no source answered. ``code`` is stable; ``retry_at`` is when they may be asked again.

    ``repeated`` counts the failures of its kind in a row, this one included.
    """

    code: str
    message: str
    at: int
    retry_at: int
    repeated: int = 1


def is_local_trouble(code: str) -> bool:
    """Whether a failure lies on this machine: no source was asked over the network."""
    return code in _LOCAL_TROUBLE


def is_network_trouble(code: str) -> bool:
    """Whether a failure lies in the network: the source could not be reached."""
    return code in _NETWORK_TROUBLE


_NETWORK_TROUBLE = frozenset({"usage_unreachable", "usage_timeout"})

NO_AGENT = "usage_no_agent"
"""The code of a missing agent, without which no run could begin either."""

_LOCAL_TROUBLE = frozenset(
    {
        "no_credentials",
        "credentials_expired",
        "credentials_unreadable",
        "usage_bad_token",
        NO_AGENT,
    }
)


class UsageState(NamedTuple):
    """The one record that all processes share."""

    reading: Reading | None
    failure: Failure | None


class Decision(Enum):
    """The result of `decide`."""

    GO = auto()
    ASK = auto()
    OVER = auto()
    UNAVAILABLE = auto()


class Judgement(NamedTuple):
    """The decision, the reading it rests on, and the window that blocks."""

    decision: Decision
    reading: Reading | None = None
    blocking: Window | None = None
    failure: Failure | None = None


def learnt_from_run(reading: Reading | None, info: Mapping[str, Any], *, at: int) -> Reading | None:
    """The reading with what a run's own ``rate_limit_info`` of ``at`` adds; None if nothing.

    Its shares are 0…1, its times seconds since the epoch. With both deciding windows it counts as a
    new answer; with one it corrects the last answer, whose time stays. Information older than the
    last answer adds nothing.
    """
    if reading is not None and reading.at > at:
        return None
    told = info.get("unifiedWindows")
    entries = dict(told) if isinstance(told, Mapping) else {}
    if isinstance(info.get("rateLimitType"), str):
        entries.setdefault(info["rateLimitType"], info)
    told_of = {name: _told(name, entry, at=at) for name, entry in entries.items()}
    found = {name: window for name, window in told_of.items() if window is not None}
    if all(name in found for name in BUCKETS):
        return Reading(tuple(found.values()), "a run", at)
    if reading is None or not found:
        return None
    kept = {window.name: window for window in reading.windows}
    return reading._replace(windows=tuple((kept | found).values()))


def _told(name: str, entry: object, *, at: int) -> Window | None:
    if not isinstance(entry, Mapping):
        return None
    share, resets_at = entry.get("utilization"), reset_of(entry.get("resetsAt"), at=at)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= _MOST:
        rejected = entry.get("status") == "rejected"
        return Window(name, _FULL, resets_at) if rejected else None
    return Window(name, round(share * 100, 3), resets_at)


def reset_of(seconds: object, *, at: int) -> int | None:
    """Seconds since the epoch as ms; None for what is no instant within a year of ``at``."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    within = abs(seconds) < FURTHEST_RESET_MS and abs(seconds * 1000 - at) <= FURTHEST_RESET_MS
    return int(seconds * 1000) if within else None


def decide(state: UsageState, *, threshold: float, at: int) -> Judgement:
    """Whether a run may start now."""
    reading, failure = state
    age = None if reading is None else at - reading.at
    fresh = age is not None and 0 <= age < FRESH_MS
    settled = failure is not None and failure.at <= at < failure.retry_at
    if not fresh and not settled:
        return Judgement(Decision.ASK, reading, failure=failure)
    if reading is None or age is None or not 0 <= age < USABLE_MS:
        return Judgement(Decision.UNAVAILABLE, reading, failure=failure)
    blocking = _blocking(reading, threshold=threshold, at=at)
    decision = Decision.GO if blocking is None else Decision.OVER
    return Judgement(decision, reading, blocking, failure)


def _blocking(reading: Reading, *, threshold: float, at: int) -> Window | None:
    """The window at or over the threshold with the latest reset. One that was reset is unused."""
    over = [
        window
        for window in reading.deciding
        if window.utilization >= threshold and (window.resets_at is None or window.resets_at > at)
    ]
    return max(over, key=lambda window: window.resets_at or 0, default=None)
