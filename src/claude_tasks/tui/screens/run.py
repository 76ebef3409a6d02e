"""One run: its record, and what its agent says, live while it runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual.containers import VerticalScroll
from textual.widgets import Footer, Log, Static

from claude_tasks.operations.event_tail import EventTail
from claude_tasks.text.run_text import allow_text, record, zone_of
from claude_tasks.text.run_words import outcome_word
from claude_tasks.text.times import coarse
from claude_tasks.tui.actions import RUN, bindings
from claude_tasks.tui.run_feed import shown_lines
from claude_tasks.tui.screens.base import BaseScreen
from claude_tasks.tui.screens.pages import as_text

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from claude_tasks.domain.run import Run
    from claude_tasks.operations.facade import Operations
    from claude_tasks.text.blocks import Block
    from claude_tasks.tui.dashboard import Dashboard

_LOOK_SECONDS = 0.2
_MOST_LINES = 20_000


class RunScreen(BaseScreen):
    """While it runs the output is in front and follows; once it ended, the record is."""

    place = RUN
    BINDINGS: ClassVar = [*bindings(RUN), ("end", "follow", "End: follow")]
    DEFAULT_CSS = """
    RunScreen #head { height: 1; text-style: bold; padding: 0 1; }
    RunScreen #record { height: 1fr; padding: 0 1; }
    RunScreen Log { height: 1fr; padding: 0 1; }
    RunScreen .hidden { display: none; }
    """

    def __init__(self, run_id: int) -> None:
        """By its id."""
        super().__init__()
        self._run_id = run_id
        self._shown: Run | None = None
        self._tail: EventTail | None = None
        self._unseen = 0

    def compose(self) -> ComposeResult:
        """Head, record, output, keys."""
        yield Static("Looking …", id="head", markup=False)
        with VerticalScroll(id="record"):
            yield Static(id="facts", markup=False)
        yield Log(max_lines=_MOST_LINES, classes="hidden", auto_scroll=True)
        yield Footer()

    def on_mount(self) -> None:
        """Look, and from then on read what the agent says."""
        self.begin(self._begin)
        self.set_interval(_LOOK_SECONDS, self._read_on)

    def on_unmount(self) -> None:
        """Let the file go."""
        if self._tail is not None:
            self._tail.release()

    async def _begin(self) -> None:
        await self._look()
        run = self._shown
        assert run is not None  # or it was not found, which was said
        self._tail = EventTail(self.backend.events_path(run.task_id, run.id))
        if not run.state.is_terminal:
            self._show_log(is_shown=True)

    def show_dashboard(self, _dashboard: Dashboard) -> None:
        """It may have ended."""
        self.begin(self._look, exclusive=True, group="record")

    def tick(self) -> None:
        """A running one has run for longer."""
        if self._shown is not None and not self._shown.state.is_terminal:
            self._say()

    async def _look(self) -> None:
        now = self.backend.now()

        def find(operations: Operations) -> tuple[Run, list[Block]]:
            run = operations.runs.get(self._run_id)
            messages = operations.notifications.of_run(run.id)
            allow = allow_text(operations, run)
            return run, record(run, messages, zone_of(operations, run), now=now, allow=allow)

        before = self._shown
        run, blocks = await self.backend.read(find)
        self._shown = run
        width = max(40, self.size.width - 4)
        self.query_one("#facts", Static).update(as_text(blocks[1:], width))
        self._say()
        if before is not None and not before.state.is_terminal and run.state.is_terminal:
            self._show_log(is_shown=False)

    def _say(self) -> None:
        run = self._shown
        assert run is not None  # looked up before

        word = str(outcome_word(run.state, run.reason))
        if not run.state.is_terminal and run.started_at is not None:
            word += f" for {coarse(max(0, self.backend.now() - run.started_at))}"
        new = f" · {self._unseen} new lines below, End follows" if self._unseen else ""
        text = f'Run {run.id} of task {run.task_id} "{run.task_name}": {word}{new}'
        self.query_one("#head", Static).update(text)

    def _show_log(self, *, is_shown: bool) -> None:
        log, facts = self.query_one(Log), self.query_one("#record")
        log.set_class(not is_shown, "hidden")
        facts.set_class(is_shown, "hidden")
        (log if is_shown else facts).focus()

    async def _read_on(self) -> None:
        tail = self._tail
        if tail is None:
            return
        lines = await asyncio.to_thread(lambda: shown_lines(tail.lines()))
        if not lines:
            return
        log = self.query_one(Log)
        at_end = log.scroll_offset.y >= log.max_scroll_y - 1
        log.auto_scroll = at_end
        self._unseen = 0 if at_end else self._unseen + len(lines)
        log.write_lines(lines)
        if self._shown is not None:
            self._say()

    def action_follow(self) -> None:
        """To the end, and on with it."""
        log = self.query_one(Log)
        log.auto_scroll = True
        log.scroll_end(animate=False)
        self._unseen = 0
        if self._shown is not None:
            self._say()

    async def do_log(self) -> None:
        """Output or record."""
        self._show_log(is_shown=self.query_one(Log).has_class("hidden"))

    async def do_cancel(self) -> None:
        """End it."""
        if self._shown is not None:
            await self.interface.cancel_run(self._shown)

    async def do_resume(self) -> None:
        """Go on in its session."""
        if self._shown is not None:
            await self.interface.resume(self._shown)

    async def do_copy(self) -> None:
        """The command that goes on in its session."""
        if self._shown is not None:
            self.interface.copy_resume(self._shown)
