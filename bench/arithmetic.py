"""Schedule arithmetic: the next instant, as often as possible, beside two libraries."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from cronsim import CronSim

from bench.report import Line, Section, times
from claude_tasks.domain.schedule import parse_schedule

if TYPE_CHECKING:
    from collections.abc import Callable

_FROM = datetime(2026, 3, 1, tzinfo=UTC)
_EXPRESSIONS = (
    ("*/5 * * * *", "UTC"),
    ("30 3 * * *", "America/New_York"),
    ("0 9 * * 1-5", "Europe/Berlin"),
    ("0 0 1 * *", "UTC"),
)


def measure(*, quick: bool) -> Section:
    """Each expression on each, for a while."""
    seconds = 0.15 if quick else 0.6
    lines: list[Line] = []
    for expression, zone in _EXPRESSIONS:
        ours = _rate(_our_next(expression, zone), seconds)
        for name, make in (("cronsim", _cronsim_next), ("APScheduler 3", _apscheduler_next)):
            theirs = _rate(make(expression, zone), seconds)
            said = f"{name}: {theirs / 1000:.1f} k/s"
            # Over time per instant, like every other ratio: below 1 we need less.
            ratio = times(1 / ours, 1 / theirs)
            what = f"{expression} in {zone}"
            lines.append(Line(what, "-", f"{ours / 1000:.1f} k/s", peer=said, ratio=ratio))
    return Section(
        "Schedule arithmetic",
        "Instants computed per second, each from the one before. cronsim keeps its place between "
        "two instants; ours and APScheduler's start afresh from an instant, as a scheduler must.",
        lines,
    )


def _rate(step: Callable[[], object], seconds: float) -> float:
    step()
    begun, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - begun) < seconds:
        for _ in range(100):
            step()
        count += 100
    return count / elapsed


def _our_next(expression: str, zone: str) -> Callable[[], object]:
    schedule = parse_schedule(expression, timezone=zone)
    start = int(_FROM.timestamp() * 1000)
    at = start

    def step() -> None:
        nonlocal at
        at = schedule.next_after(at) or start

    return step


def _cronsim_next(expression: str, zone: str) -> Callable[[], object]:
    instants = CronSim(expression, _FROM.astimezone(ZoneInfo(zone)))

    def step() -> None:
        nonlocal instants
        if next(instants).year > 2060:
            instants = CronSim(expression, _FROM.astimezone(ZoneInfo(zone)))

    return step


def _apscheduler_next(expression: str, zone: str) -> Callable[[], object]:
    trigger = CronTrigger.from_crontab(expression, timezone=zone)
    at = _FROM

    def step() -> None:
        nonlocal at
        found = trigger.get_next_fire_time(at, at)
        at = found if found is not None and found.year < 2060 else _FROM

    return step
