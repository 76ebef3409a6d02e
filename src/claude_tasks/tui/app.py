"""The Textual application: looks for changes, does what several screens ask for."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import traceback
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import App

from claude_tasks.domain.errors import (
    ClaudeTasksError,
    ConflictError,
    DatabaseGoneError,
    StorageError,
)
from claude_tasks.tui.dashboard import take
from claude_tasks.tui.screens.base import BaseScreen
from claude_tasks.tui.screens.dialogs import Confirm
from claude_tasks.tui.screens.run import RunScreen
from claude_tasks.tui.screens.tasks import TasksScreen

if TYPE_CHECKING:
    from claude_tasks.domain.run import Run
    from claude_tasks.operations.facade import Operations
    from claude_tasks.tui.backend import Backend
    from claude_tasks.tui.dashboard import Dashboard

_LOOK_SECONDS = 0.25
_TICK_SECONDS = 1.0
_AGAIN_SECONDS = 5.0
"""Who lives and who leads changes without a write: so often everything is looked at anew."""


class Interface(App[None]):
    """Runs until the person leaves, a signal ends it, or its node cannot go on and they agree."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { layout: vertical; }
    """
    BINDINGS: ClassVar = []

    def __init__(self, backend: Backend) -> None:
        """``backend`` is what it works with; its node has been started."""
        super().__init__()
        self.backend = backend
        self.dashboard: Dashboard | None = None
        self.failure: BaseException | None = None
        """Why it ended, where that was not asked for."""
        self._main = TasksScreen()
        self.has_looked = asyncio.Event()
        """Set once something is shown: keys typed before mean what is shown then."""
        self._looking = asyncio.Lock()
        self._looked_at = 0.0
        self._banner = ""
        self.set_keymap(dict(backend.keymap))

    def get_default_screen(self) -> TasksScreen:
        """The tasks."""
        return self._main

    async def on_mount(self) -> None:
        """Look for changes for good."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.exit)
        self.set_interval(_LOOK_SECONDS, self._look_for_changes)
        self.set_interval(_TICK_SECONDS, self._tick)
        await self.look()

    # Looking

    async def look(self) -> None:
        """Take a new dashboard and show it. A database that cannot be read is a banner."""
        async with self._looking:
            try:
                self.dashboard = await self.backend.read(partial(take, before=self.dashboard))
            except (StorageError, DatabaseGoneError) as error:
                self._show_banner(f"{error.message}; {error.hint}" if error.hint else error.message)
                self.has_looked.set()
                return
            self._looked_at = asyncio.get_running_loop().time()
            self._show_banner("")
        for screen in self.screen_stack:
            if isinstance(screen, BaseScreen) and screen.is_whole:
                screen.show_dashboard(self.dashboard)
        self.has_looked.set()

    async def _look_for_changes(self) -> None:
        if self._looking.locked() or self._failed():
            return
        old = asyncio.get_running_loop().time() - self._looked_at > _AGAIN_SECONDS
        try:
            changed = await self.backend.read(lambda operations: operations.changes.changed())
        except (StorageError, DatabaseGoneError):
            changed = True  # the look says what is wrong
        if changed or old:
            await self.look()

    def _failed(self) -> bool:
        """Whether the node of this process cannot go on: it starts nothing, and leads no more."""
        failure = self.backend.node.failure
        if failure is None:
            return False
        said = failure.message if isinstance(failure, ClaudeTasksError) else repr(failure)
        self._show_banner(f"This process starts nothing any more: {said}. Press q to leave.")
        return True

    def _show_banner(self, text: str) -> None:
        if text != self._banner:
            self._banner = text
            if self._main.is_whole:
                self._main.show_banner(text)

    def _tick(self) -> None:
        if isinstance(self.screen, BaseScreen) and self.screen.is_whole:
            self.screen.tick()

    # What several screens do

    async def run_task(self, task_id: int) -> Run:
        """Run a task now: by the scheduler that lives, else by this process's own node."""
        own = self.backend.node.id

        def start(operations: Operations) -> Run:
            elsewhere = operations.status.scheduler_lives()
            return operations.runs.start(task_id, assigned_to=None if elsewhere else own)

        run = await self.backend.write(start)
        self.backend.node.wake()
        await self.look()
        return run

    async def cancel_run(self, run: Run) -> None:
        """End a run, once a person agreed."""
        if run.state.is_terminal:
            raise ConflictError(f"Run {run.id} has ended already")
        question = f'Cancel run {run.id} of "{run.task_name}", with everything it started?'
        if await self.push_screen_wait(Confirm(question, "Cancel the run", "Go on")):
            await self.backend.write(lambda operations: operations.runs.cancel(run.id))
            self.notify(f"Run {run.id} was asked to end")
            await self.look()

    async def open_run(self, run_id: int) -> None:
        """Its record and its output."""
        await self.push_screen(RunScreen(run_id))

    async def resume(self, run: Run) -> None:
        """Go on in the session of an ended run; the live view of one that runs."""
        if not run.state.is_terminal:
            await self.open_run(run.id)
            self.notify("It still runs: its session is in use")
            return
        if run.session_id is None:
            raise ConflictError(f"Run {run.id} has no session to go on in")
        argv = list(self.backend.resume_argv(run.session_id))
        with self.suspend():
            print(" ".join(argv), flush=True)  # the person sees what was started
            # Not beside the loop, which would draw over it.
            done = subprocess.run(argv, check=False)  # noqa: ASYNC221
            if done.returncode:
                print(f"It ended with exit code {done.returncode}. Enter goes back.", flush=True)
                sys.stdin.readline()
        self.refresh(layout=True)

    def copy_resume(self, run: Run) -> None:
        """The command that goes on in its session, to paste."""
        if run.session_id is None:
            raise ConflictError(f"Run {run.id} has no session to go on in")
        self.copy(" ".join(self.backend.resume_argv(run.session_id)))

    def copy(self, text: str) -> None:
        """Into the terminal's clipboard."""
        self.copy_to_clipboard(text)
        self.notify(f"Copied: {text}", markup=False)

    async def leave(self) -> None:
        """End; where runs are under way, once a person agreed that they go on."""
        own = self.backend.node.id
        try:
            left = await self.backend.read(lambda operations: operations.runs.running_of(own))
        except (StorageError, DatabaseGoneError):
            left = []
        if left:
            agents = "1 run goes" if len(left) == 1 else f"{len(left)} runs go"
            question = f"{agents} on without this screen; the next daemon records the end. Leave?"
            if not await self.push_screen_wait(Confirm(question, "Leave", "Stay")):
                return
        self.exit()

    def stop_for_the_shell(self) -> None:
        """As Ctrl-Z does: the shell has the terminal, ``fg`` gives it back."""
        with self.suspend():
            os.kill(os.getpid(), signal.SIGSTOP)
        self.refresh(layout=True)

    def _handle_exception(self, error: Exception) -> None:
        """What nobody foresaw: the terminal is as it was, and a file says where it happened."""
        if self.failure is not None:
            return  # what follows from the first says less
        path = self.backend.crash_file()
        with open(path, "w", encoding="utf-8") as file:
            traceback.print_exception(error, file=file)
        self.failure = ClaudeTasksError(
            f"the terminal UI failed: {error!r}", hint=f"where it happened: {path}"
        )
        self.exit(return_code=1)
