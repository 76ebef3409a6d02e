"""Usage in words: the same ones in the run, the log, the command line and the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.domain.instant import human_duration

if TYPE_CHECKING:
    from claude_tasks.domain.usage import Judgement, Reading, Window

_NAMES = {"five_hour": "5-hour", "seven_day": "7-day"}
_MINUTE_MS = 60_000
_OLD_MS = 5_000
"""From this age on a failure is shown with its age: its cause may be gone."""


def window_name(name: str) -> str:
    """``5-hour`` for ``five_hour``."""
    return _NAMES.get(name, name.replace("_", " "))


def over_text(judgement: Judgement, *, threshold: float, at: int) -> str:
    """Both windows, the one that blocks, the time until its reset."""
    reading, blocking = judgement.reading, judgement.blocking
    assert reading is not None
    assert blocking is not None
    windows = ", ".join(window_text(window, at=at) for window in reading.deciding)
    return (
        f"usage: the {window_name(blocking.name)} window is at the threshold of {threshold:g} %"
        f" ({windows}{_age(reading, at)})"
    )


def failure_text(judgement: Judgement, *, at: int) -> str:
    """A sentence: usage is not known, and why."""
    return f"usage could not be checked: {failure_cause(judgement, at=at)}"


def failure_cause(judgement: Judgement, *, at: int) -> str:
    """Why usage is not known."""
    failure = judgement.failure
    cause = "nobody answered" if failure is None else f"{failure.message} ({failure.code})"
    if failure is not None and at - failure.at >= _OLD_MS:
        cause += f", asked {human_duration((at - failure.at) // 1000 * 1000)} ago"
    last = judgement.reading
    old = "" if last is None else f"; the last answer is {human_duration(max(0, at - last.at))} old"
    return f"{cause}{old}"


def window_text(window: Window, *, at: int) -> str:
    """``5-hour 92 %, resets in 1h 10m``."""
    return f"{window_name(window.name)} {spent_text(window, at=at)}"


def spent_text(window: Window, *, at: int) -> str:
    """``92 %, resets in 1h 10m``."""
    text = f"{window.utilization:g} %"
    if window.resets_at is None:
        return text
    if window.resets_at <= at:
        return f"{text}, reset"
    return f"{text}, resets in {_rounded(window.resets_at - at)}"


def _rounded(milliseconds: int) -> str:
    """To the minute, where it is longer than one."""
    if milliseconds < _MINUTE_MS:
        return human_duration(milliseconds)
    return human_duration(-(-milliseconds // _MINUTE_MS) * _MINUTE_MS)


def _age(reading: Reading, at: int) -> str:
    age = max(0, at - reading.at)
    return f"; {human_duration(age)} old" if age > _MINUTE_MS else ""
