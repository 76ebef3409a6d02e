"""The runs of a task, or of all: how each ended, when, why."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.widgets import Footer, Static

from claude_tasks.domain.errors import NotFoundError
from claude_tasks.domain.instant import human_duration
from claude_tasks.domain.run import State
from claude_tasks.domain.store_records import RunFilter
from claude_tasks.text.blocks import Toned
from claude_tasks.text.run_text import first_line, money
from claude_tasks.text.run_words import outcome_word
from claude_tasks.text.times import coarse, relative, table_time
from claude_tasks.tui.actions import RUNS, bindings
from claude_tasks.tui.row_table import RowTable, Title
from claude_tasks.tui.screens.listing import ListScreen
from claude_tasks.tui.screens.pages import why_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from claude_tasks.domain.run import Run
    from claude_tasks.tui.dashboard import Dashboard

_PAGE = 500
_TITLES = (
    Title("RUN", 6, right=True),
    Title("TASK", 12, share=2, rank=7),
    Title("OUTCOME", 16, share=1),
    Title("WHEN", 18, share=1, rank=3),
    Title("LATE", 6, rank=9, right=True),
    Title("TOOK", 8, rank=6, right=True),
    Title("COST", 8, rank=8, right=True),
    Title("NOTE", 16, share=6, rank=1),
)


class RunsScreen(ListScreen):
    """Newest first; brought up to date when anything changes."""

    place = RUNS
    BINDINGS: ClassVar = bindings(RUNS)
    filter_help = "search in names, output and errors"

    def __init__(self, task_id: int | None, name: str) -> None:
        """``task_id`` None is all tasks."""
        super().__init__()
        self._task_id = task_id
        self._of_what = name
        self._runs: dict[int, Run] = {}
        self._failed_only = False

    def compose(self) -> ComposeResult:
        """Head, search, runs, keys."""
        yield Static(id="head", markup=False)
        yield self.filter_input()
        yield RowTable(_TITLES, self._cells, empty="Looking …", id="runs")
        yield Footer()

    def on_mount(self) -> None:
        """The runs have the keys."""
        self.table.focus()
        self._look_again()

    def show_dashboard(self, _dashboard: Dashboard) -> None:
        """Something changed."""
        self._look_again()

    def tick(self) -> None:
        """Spans grow."""
        self.table.bring_up_to_date()

    def _look_again(self) -> None:
        self.begin(self._look, exclusive=True)

    async def _look(self) -> None:
        wanted = RunFilter(
            task_id=self._task_id,
            states=(State.FAILED,) if self._failed_only else (),
            limit=_PAGE,
            text=self.filter_text or None,
        )
        found = await self.backend.threads.search(lambda operations: operations.runs.list(wanted))
        self._runs = {run.id: run for run in found}
        self.table.empty = (
            "No run fits." if self.filter_text or self._failed_only else "No runs yet."
        )
        self.table.show(list(self._runs))
        self.query_one("#head", Static).update(self._head())

    def _head(self) -> Text:
        ended = [run for run in self._runs.values() if run.state in (State.COMPLETED, State.FAILED)]
        good = sum(run.state is State.COMPLETED for run in ended)
        spans = [run.duration_ms for run in ended if run.duration_ms is not None]
        costs = [run.cost_usd for run in ended if run.cost_usd is not None]
        count = len(self._runs)
        facts = [f"{count}{'+' if count == _PAGE else ''} run{'' if count == 1 else 's'}"]
        if ended:
            facts.append(f"{good * 100 // len(ended)} % of {len(ended)} ended well")
        if spans:
            facts.append(f"{human_duration(sum(spans) // len(spans))} on average")
        if costs:
            facts.append(f"{money(sum(costs))} in all, {money(sum(costs) / len(costs))} a run")
        if self._failed_only:
            facts.append("failed only")
        line = Text(f"Runs of {self._of_what}  ", style="bold", no_wrap=True, overflow="ellipsis")
        return line.append(" · ".join(facts), style="not bold")

    def _cells(self, run_id: int) -> Sequence[str]:
        run, now, zone = self._runs[run_id], self.backend.now(), self.backend.zone
        at = run.started_at or run.tick or run.queued_at
        word = outcome_word(run.state, run.reason)
        took = "" if run.duration_ms is None else human_duration(run.duration_ms).replace(" ", "")
        if run.state is State.RUNNING:
            took = coarse(max(0, now - at))
        late = ""
        if run.tick is not None and run.started_at is not None:
            late = coarse(max(0, run.started_at - run.tick))
        skipped = f"{run.skipped_count} ticks: " if (run.skipped_count or 0) > 1 else ""
        note = first_line(run.error) or first_line(run.output)
        return (
            str(run.id),
            run.task_name,
            word,
            f"{table_time(at, zone, now=now, exact=True)} ({relative(at, now=now)})",
            late,
            took,
            "" if run.cost_usd is None else money(run.cost_usd),
            Toned(skipped + note, "bad" if run.state is State.FAILED else "dim"),
        )

    def _selected_run(self) -> Run:
        run = self._runs.get(self.table.selected)
        if run is None:
            raise NotFoundError("No run is selected")
        return run

    async def do_open(self) -> None:
        """Its record, and what it said."""
        await self.interface.open_run(self._selected_run().id)

    do_log = do_open

    async def do_run(self) -> None:
        """Run the task."""
        task_id = self._selected_run().task_id if self._task_id is None else self._task_id
        run = await self.interface.run_task(task_id)
        self.notify(f"Run {run.id} {run.state.value}", markup=False)

    async def do_cancel(self) -> None:
        """End it."""
        await self.interface.cancel_run(self._selected_run())

    async def do_why(self) -> None:
        """Why its task did or did not run."""
        run = self._selected_run()
        await self.app.push_screen(why_page(run.task_id, run.task_name))

    async def do_resume(self) -> None:
        """Go on in its session."""
        await self.interface.resume(self._selected_run())

    async def do_copy(self) -> None:
        """The command that goes on in its session."""
        self.interface.copy_resume(self._selected_run())

    async def do_failed(self) -> None:
        """Only what failed, or all again."""
        self._failed_only = not self._failed_only
        self._look_again()

    def filter_changed(self) -> None:
        """Look for it."""
        self._look_again()

    async def do_back(self) -> None:
        """First out of a search, then to where one came from."""
        if self.is_filtering:
            self.set_filter("")
        else:
            self.dismiss()
