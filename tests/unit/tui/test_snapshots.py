"""Every screen as text, at two sizes, beside the last that was looked at (UPDATE_SNAPSHOTS=1).

The files are read in a diff: whoever changes a screen sees what that does to all of them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.instant import HOUR_MS
from claude_tasks.domain.run import Reason, State
from support.clock import FakeClock
from unit.tui.conftest import Desk, shown, until
from unit.tui.test_run_screens import begin, end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.pilot import Pilot

_FOLDER = Path(__file__).parent / "snapshots"
_SESSION = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NOON = 1_796_126_400_000
"""2026-12-01T12:00:00Z."""
_SIZES = [(80, 24), (140, 45)]

SCREENS: dict[str, tuple[tuple[str, ...], str]] = {
    "tasks": ((), "5 of 5 tasks"),
    "filtered": (("f",), "1 of 5 tasks"),
    "runs": (("R",), "4 runs"),
    "run": (("S", "g", "l"), "trigger"),
    "delete": (("d",), "Its runs stay"),
    "add": (("a",), "New task"),
    "edit": (("e",), "Task 5"),
    "agenda": (("A",), "in 14h"),
    "timeline": (("T",), "x failed"),
    "settings": (("s",), "max_concurrent_runs"),
    "help": (("question_mark",), "type to search"),
    "why": (("w",), "next tick"),
}
"""The keys that lead to it, and a text that is there once it is."""


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Tasks and runs of a day, at a fixed noon."""
    monkeypatch.chdir("/")
    clock = FakeClock(_NOON - 4 * HOUR_MS)
    desk = Desk(tmp_path, clock)
    review = desk.add("evening review", prompt="Review today's commits.", tags=("docs",))
    audit = desk.add("audit", cron_expr="0 9 * * 1", timezone="America/New_York")
    failing = desk.add("backup", cron_expr="@every 2h", prompt="Back it up.")
    desk.add("migration", cron_expr="", scheduled_at=_NOON + 14 * HOUR_MS)
    off = desk.add("switched off", cron_expr="0 0 1 1 *")
    desk.operations.tasks.disable(off.id)
    for task, facts in (
        (review, {"output": "No risks found.", "cost_usd": 0.84}),
        (audit, {"reason": Reason.DENIED, "permission_denials": ("Bash(npm audit)",)}),
        (failing, {"state": State.FAILED, "reason": Reason.TIMEOUT, "error": "timeout after 30m"}),
    ):
        end(desk, begin(desk, task), **facts)
        clock.advance(HOUR_MS / 1000)
    begin(desk, review)
    clock.advance(HOUR_MS / 1000)
    yield desk
    desk.operations.close()


@pytest.mark.parametrize("size", _SIZES, ids=["80x24", "140x45"])
@pytest.mark.parametrize("name", SCREENS)
def test_the_screen_is_as_it_was_looked_at(demo: Desk, name: str, size: tuple[int, int]) -> None:
    keys, text = SCREENS[name]
    seen = ""

    async def script(pilot: Pilot[Any]) -> None:
        nonlocal seen
        await until(pilot, "tasks, by")
        await until(pilot, "timeout" if size[0] > 100 else "failed")
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await until(pilot, text)
        await pilot.pause(0.1)
        seen = shown(pilot.app).replace(str(demo.settings.data), "DATA")
        seen = _SESSION.sub("SESSION", seen)

    demo.drive(script, size=size)
    path = _FOLDER / f"{name}-{size[0]}x{size[1]}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{seen}\n")
    assert seen.splitlines() == path.read_text().splitlines()
