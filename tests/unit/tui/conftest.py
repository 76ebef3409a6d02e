"""The terminal UI on a database of its own, driven without a terminal."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.task_fields import TaskSpec
from claude_tasks.settings import load_settings
from claude_tasks.system.clock import SystemClock
from claude_tasks.tui.app import Interface
from claude_tasks.wiring.operations import open_operations
from claude_tasks.wiring.tui import build_backend
from support.fresh_database import lay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from textual.pilot import Pilot

    from claude_tasks.domain.ports import Clock
    from claude_tasks.domain.task import Task
    from claude_tasks.tui.backend import Backend

    Script = Callable[[Pilot[None]], Awaitable[None]]


class IdleNode:
    """A node that runs nothing, so that a test alone says what happens."""

    id = "own-node"
    leads = False
    failure: BaseException | None = None

    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


class Desk:
    """The UI, and the operations of somebody else on the same database."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        environment = {
            "CLAUDE_TASKS_DATA": str(folder / "data"),
            "CLAUDE_TASKS_DISABLE_USAGE_CHECK": "1",
            "CLAUDE_TASKS_CLAUDE_BIN": "/bin/true",
        }
        self.settings = load_settings(environment)
        self.settings.folder.create()
        lay(self.settings.folder.database)
        self.clock = clock or SystemClock()
        self.operations = open_operations(self.settings, clock=self.clock)
        self.node = IdleNode()
        self._environment = environment
        self.app: Interface | None = None

    @property
    def logs(self) -> Path:
        return Path(self.settings.folder.logs)

    def backend_now(self) -> int:
        return self.clock.now()

    def backend(self, mode: str = "off") -> Backend:
        node: Any = self.node
        backend = build_backend(
            self.settings, node, self._environment,
            mode=mode, zone="UTC", call="ct", clock=self.clock,
        )  # fmt: skip
        return backend._replace(node=self.node)

    def add(self, name: str = "nightly", **fields: Any) -> Task:
        values = {"prompt": "do it", "cron_expr": "0 2 * * *", "working_dir": "/", **fields}
        return self.operations.tasks.add(TaskSpec(name=name, **values))

    def drive(self, script: Script, *, size: tuple[int, int] = (100, 30)) -> Interface:
        """Open it, do as the script says, close it."""
        backend = self.backend()
        self.app = app = Interface(backend)

        async def go() -> None:
            async with app.run_test(size=size, notifications=True) as pilot:
                await pilot.pause()
                await script(pilot)

        try:
            asyncio.run(go())
        finally:
            backend.threads.close()
        return app


def shown(app: Any) -> str:
    """The screen as text, a line a line."""
    width, height = app.size
    lines = [
        "".join(segment.text for segment in strip)
        for strip in app.screen._compositor.render_strips()
    ]
    assert len(lines) <= height
    return "\n".join(line[:width].rstrip() for line in lines)


async def until(pilot: Pilot[None], text: str, *, seconds: float = 10) -> str:
    """Wait until a text is on the screen; the screen."""
    for _ in range(int(seconds / 0.02)):
        if text in (screen := shown(pilot.app)):
            return screen
        await pilot.pause(0.02)
    raise AssertionError(f"no {text!r} in\n{shown(pilot.app)}")


async def gone(pilot: Pilot[None], text: str, *, seconds: float = 10) -> str:
    """Wait until a text is no longer on the screen; the screen."""
    for _ in range(int(seconds / 0.02)):
        if text not in (screen := shown(pilot.app)):
            return screen
        await pilot.pause(0.02)
    raise AssertionError(f"still {text!r} in\n{shown(pilot.app)}")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.operations.close()
    crashes = sorted(Path(made.settings.data).glob("tui-crash-*"))
    assert not crashes, crashes[0].read_text()
