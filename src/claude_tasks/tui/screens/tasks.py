"""The main screen: every task, when it runs next, how it last went; above it, how all stands."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.widgets import Footer, Static

from claude_tasks.domain.errors import ConflictError, NotFoundError, StorageError
from claude_tasks.domain.hint import Command, called
from claude_tasks.operations.task_filter import matching
from claude_tasks.text.blocks import Toned
from claude_tasks.tui.actions import TASKS, bindings
from claude_tasks.tui.dashboard import recent_runs
from claude_tasks.tui.row_table import RowTable
from claude_tasks.tui.run_feed import LastSaid
from claude_tasks.tui.screens.dialogs import Confirm
from claude_tasks.tui.screens.listing import ListScreen
from claude_tasks.tui.screens.pages import (
    agenda_page,
    doctor_page,
    settings_page,
    timeline_page,
    why_page,
)
from claude_tasks.tui.task_rows import (
    TITLES,
    counts_line,
    leadership_line,
    task_cells,
    usage_line,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult

    from claude_tasks.domain.run import Run
    from claude_tasks.domain.store_records import TaskSummary
    from claude_tasks.domain.task import Task
    from claude_tasks.operations.facade import Operations
    from claude_tasks.tui.dashboard import Dashboard

_FAILED = "state:failed"
_FAR = 2**62
_ORDERS: dict[str, Callable[[TaskSummary], object]] = {
    "newest": lambda summary: -summary.task.id,
    "name": lambda summary: summary.task.name.lower(),
    "next run": lambda summary: summary.task.next_run_at or _FAR,
    "last run": lambda summary: -(summary.last_run_at or 0),
}
_STYLES = {"good": "bold green", "bad": "bold red", "warn": "yellow", "dim": "dim"}


class TasksScreen(ListScreen):
    """Tasks by id: what is selected stays selected, whatever happens elsewhere."""

    place = TASKS
    BINDINGS: ClassVar = bindings(TASKS)
    filter_help = "words, state:failed, tag:nightly"
    DEFAULT_CSS = """
    TasksScreen #banner { height: auto; background: $error; color: $text; padding: 0 1;
                          display: none; }
    """

    def __init__(self) -> None:
        """Nothing is looked up yet."""
        super().__init__()
        self._dashboard: Dashboard | None = None
        self._found: dict[int, TaskSummary] = {}
        self._recent: dict[int, list[Run]] = {}
        self._said: dict[int, str] = {}
        self._last_said = LastSaid()
        self._shown_head = Text()
        self._sorted_by = "newest"
        self._undo: list[tuple[str, Callable[[Operations], Task]]] = []

    def compose(self) -> ComposeResult:
        """Head, filter, tasks, keys."""
        yield Static(id="banner", markup=False)
        yield Static("Looking …", id="head", markup=False)
        yield self.filter_input()
        yield RowTable(TITLES, self._cells, empty="", id="tasks")
        yield Footer()

    def on_mount(self) -> None:
        """The tasks have the keys."""
        self.table.focus()
        dashboard = self.interface.dashboard
        if dashboard is not None:
            self.show_dashboard(dashboard)

    # What it shows

    def show_dashboard(self, dashboard: Dashboard) -> None:
        """Show what changed, below the cursor that stays where it is."""
        self._dashboard = dashboard
        if dashboard.changed is None:
            self._recent.clear()
        for task_id in dashboard.changed or ():
            self._recent.pop(task_id, None)
        self._arrange()
        self._head()

    def show_banner(self, text: str) -> None:
        """What is wrong just now, "" for nothing."""
        banner = self.query_one("#banner", Static)
        banner.display = bool(text)
        banner.update(text)

    def tick(self) -> None:
        """Spans grow, and what running agents said last is read again."""
        if self._dashboard is not None:
            self._head()
            self.table.bring_up_to_date()
            self.begin(self._look_closer, group="closer", exclusive=True)

    def _arrange(self) -> None:
        if self._dashboard is None:
            return
        wanted = matching(self._dashboard.tasks, self.filter_text)
        wanted.sort(key=_ORDERS[self._sorted_by])  # type: ignore[arg-type]
        self._found = {summary.task.id: summary for summary in wanted}
        self.table.empty = self._why_empty()
        self.table.show(list(self._found))
        self.begin(self._look_closer, group="closer", exclusive=True)

    def _why_empty(self) -> str:
        if self.filter_text:
            return f"No task fits {self.filter_text!r}. Esc in the filter shows all."
        return "No tasks yet. Press a to add one, or ? for all keys."

    async def _look_closer(self) -> None:
        """The runs of the tasks in view, and what the agents of running ones say."""
        dashboard, visible = self._dashboard, list(self.table.visible_ids)
        if dashboard is None:
            return
        missing = [task_id for task_id in visible if task_id not in self._recent]
        if missing:
            with suppress(StorageError):  # the banner says so
                self._recent |= await self.backend.read(
                    lambda operations: recent_runs(operations, missing)
                )
        paths = {
            run.task_id: self.backend.events_path(run.task_id, run.id)
            for run in dashboard.status.running
            if run.task_id in visible
        }
        if paths:
            said = await asyncio.to_thread(self._last_said.look, list(paths.values()))
            self._said = {task_id: said.get(path, "") for task_id, path in paths.items()}
        self.table.bring_up_to_date()

    def _cells(self, task_id: int) -> Sequence[str]:
        assert self._dashboard is not None  # it told of the task
        backend = self.backend
        return task_cells(
            self._found[task_id], self._dashboard, self._recent.get(task_id, ()),
            self._said.get(task_id, ""), now=backend.now(), zone=backend.zone,
        )  # fmt: skip

    def _head(self) -> None:
        dashboard, backend = self._dashboard, self.backend
        assert dashboard is not None  # asked for below one
        now = backend.now()
        leader = leadership_line(
            dashboard, backend.mode, leads=backend.node.leads, own_id=backend.node.id
        )
        lines = [_line("claude-tasks  ", leader), _line("", usage_line(dashboard, now=now))]
        counts = counts_line(dashboard)
        shown = f"{len(self._found)} of {len(dashboard.tasks)} tasks, by {self._sorted_by} · "
        lines.append(_line(shown, counts))
        if dashboard.status.agent_problem is not None:
            lines.append(_line("! ", Toned(dashboard.status.agent_problem, "bad")))
        if dashboard.left_out:
            said = f"{dashboard.left_out} tasks cannot be read: D says what helps"
            lines.append(_line("! ", Toned(said, "bad")))
        head = Text("\n").join(lines)
        if head != self._shown_head:
            self._shown_head = head
            self.query_one("#head", Static).update(head)

    # What it does

    def _selected_task(self) -> Task:
        summary = self._found.get(self.table.selected)
        if summary is None:
            raise NotFoundError("No task is selected")
        return summary.task

    async def do_open(self) -> None:
        """The runs of the task."""
        from claude_tasks.tui.screens.runs import RunsScreen

        task = self._selected_task()
        await self.app.push_screen(RunsScreen(task.id, task.name))

    async def do_all_runs(self) -> None:
        """The runs of all tasks."""
        from claude_tasks.tui.screens.runs import RunsScreen

        await self.app.push_screen(RunsScreen(None, "all tasks"))

    async def do_add(self) -> None:
        """A form for a new task."""
        await self._form(None)

    async def do_edit(self) -> None:
        """A form with what the task is."""
        await self._form(self._selected_task())

    async def _form(self, task: Task | None) -> None:
        from claude_tasks.tui.screens.form import FormScreen

        saved = await self.app.push_screen_wait(FormScreen(task))
        if saved is None:
            return
        await self.interface.look()
        self.table.select(saved.id)
        if task is not None and saved.revision != task.revision:
            before = task.spec._asdict()
            self._undo.append((
                f'the edit of "{task.name}"',
                lambda operations: operations.tasks.edit(
                    task.id, before, expected_revision=saved.revision
                ),
            ))  # fmt: skip

    async def do_run(self) -> None:
        """Run it: by the scheduler that lives, else by this very process."""
        task = self._selected_task()
        run = await self.interface.run_task(task.id)
        self.notify(f'Run {run.id} of "{task.name}" {run.state.value}', markup=False)

    async def do_toggle(self) -> None:
        """Let it fire, or stop it from firing."""
        task = self._selected_task()
        changed = await self.backend.write(
            lambda operations: operations.tasks.toggle(task.id, expected_revision=task.revision)
        )
        word = "on" if changed.spec.enabled else "off"
        self.notify(f'"{task.name}" is {word}', markup=False)
        self._undo.append((
            f'that "{task.name}" is {word}', lambda operations: operations.tasks.toggle(task.id)
        ))  # fmt: skip
        await self.interface.look()

    async def do_delete(self) -> None:
        """Delete it, once a person agreed."""
        task = self._selected_task()
        running = self._dashboard is not None and self._dashboard.running_of(task.id) is not None
        goes_on = " The one under way goes on." if running else ""
        question = f'Delete task {task.id} "{task.name}"? Its runs stay; z takes it back.{goes_on}'
        if not await self.app.push_screen_wait(Confirm(question, "Delete")):
            return
        await self.backend.write(
            lambda operations: operations.tasks.remove(task.id, expected_revision=task.revision)
        )
        self._undo.append((
            f'the deletion of "{task.name}"', lambda operations: operations.tasks.restore(task.id)
        ))  # fmt: skip
        await self.interface.look()

    async def do_undo(self) -> None:
        """Take back the last of these."""
        if not self._undo:
            self.notify("Nothing to take back")
            return
        what, undo = self._undo.pop()
        task = await self.backend.write(undo)
        self.notify(f"Took back {what}", markup=False)
        await self.interface.look()
        self.table.select(task.id)

    async def do_cancel(self) -> None:
        """End the run under way, once a person agreed."""
        task = self._selected_task()
        run = None if self._dashboard is None else self._dashboard.running_of(task.id)
        if run is None:
            raise ConflictError(f'No run of "{task.name}" is under way')
        await self.interface.cancel_run(run)

    async def do_log(self) -> None:
        """The last run, live while it runs."""
        task = self._selected_task()
        run = await self.backend.read(lambda operations: operations.runs.latest(task.id))
        if run is None:
            raise NotFoundError(f'"{task.name}" has no runs yet')
        await self.interface.open_run(run.id)

    async def do_why(self) -> None:
        """What decides whether it runs."""
        task = self._selected_task()
        await self.app.push_screen(why_page(task.id, task.name))

    async def do_resume(self) -> None:
        """Go on in the session of its last run."""
        task = self._selected_task()
        run = await self.backend.read(lambda operations: operations.runs.latest(task.id))
        if run is None:
            raise NotFoundError(f'"{task.name}" has no runs yet')
        await self.interface.resume(run)

    async def do_copy(self) -> None:
        """The command that shows the task."""
        self.interface.copy(called(Command("show", self._selected_task().id), self.backend.call))

    async def do_agenda(self) -> None:
        """What is due."""
        await self.app.push_screen(agenda_page())

    async def do_timeline(self) -> None:
        """What ran and what is due, in lanes."""
        await self.app.push_screen(timeline_page(self.size.width))

    async def do_doctor(self) -> None:
        """What is wrong."""
        await self.app.push_screen(doctor_page())

    async def do_settings(self) -> None:
        """What holds."""
        await self.app.push_screen(settings_page())

    async def do_sort(self) -> None:
        """By the next order."""
        names = list(_ORDERS)
        self._sorted_by = names[(names.index(self._sorted_by) + 1) % len(names)]
        self._arrange()
        self._head()

    async def do_failed(self) -> None:
        """Only what failed, or all again."""
        self.set_filter("" if self.filter_text == _FAILED else _FAILED)

    def filter_changed(self) -> None:
        """Show what fits now."""
        self._arrange()
        if self._dashboard is not None:
            self._head()

    def key_escape(self) -> None:
        """No filter any more."""
        self.set_filter("")


def _line(plain: str, toned: Toned) -> Text:
    line = Text(plain, no_wrap=True, overflow="ellipsis")
    return line.append(str(toned), style=_STYLES.get(toned.tone, ""))
