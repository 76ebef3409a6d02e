"""What does not slow down as runs pile up: lists, pages, search, figures."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import TYPE_CHECKING

from bench.report import Line, Section, at_most, times
from bench.sandbox import Sandbox
from bench.statistics_of import median
from claude_tasks.domain.run import State
from claude_tasks.domain.store_records import MOST_COUNTED, RunFilter
from claude_tasks.storage.sqlite.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.report import Section as SectionType
    from claude_tasks.domain.ports import Store

_FEW = 1_000
_TASKS = 50
_AT_ONCE = 500
_RARE = "zanzibar"
_SEARCH_MS, _FIGURES_MS = 50.0, 100.0

_ADD = """
INSERT INTO task_runs (task_id, trigger, state, attempt, claim, not_before, queued_at, started_at,
    ended_at, scheduled_for, output, cost_usd)
WITH RECURSIVE numbers (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)
SELECT 1 + n % :tasks, 'schedule', 'completed', 1, 1, 0, :from + n * 1000, :from + n * 1000 + 80,
    :from + n * 1000 + 9000, :from + n * 1000,
    hex(randomblob(60)) || CASE WHEN n % 10007 = 7 THEN ' zanzibar ' ELSE ' ' END
        || hex(randomblob(60)),
    0.01
FROM numbers
"""


def measure(*, quick: bool) -> SectionType:
    """The same questions with few runs and with many, in one data folder."""
    many = 20_000 if quick else 300_000
    with Sandbox() as box:
        for n in range(_TASKS):
            box.operations.tasks.add(box.spec(f"task {n}", cron_expr="0 3 1 1 *"))
        with contextlib.closing(open_store(str(box.data / "tasks.db"), at=_now())) as store:
            _add_runs(box, store, 1, _FEW)
            before = _ask(store)
            begun = time.monotonic()
            _add_runs(box, store, _FEW + 1, many)
            filled = time.monotonic() - begun
            after = _ask(store)
    return Section(
        f"A history of {many:,} runs",
        f"Medians of 15 calls on one connection, {_TASKS} tasks, texts of 240 characters, the rare "
        f"text in one of 10,007 runs. The peer is the same question with {_FEW:,} runs; the ratio "
        f"is many over few. Filling took {filled:.0f} s.",
        [_line(what, after[what], before[what]) for what in after],
    )


def _line(what: str, many: float, few: float) -> Line:
    compared = {"peer": f"{few:.2f} ms", "ratio": times(many, few)}
    if what.startswith("search"):
        return at_most(what, many, _SEARCH_MS, "ms", **compared)
    if what == "figures":
        return at_most(what, many, _FIGURES_MS, "ms", **compared)
    return Line(what, "-", f"{many:.2f} ms", **compared)


def _ask(store: Store) -> dict[str, float]:
    """Milliseconds of each question."""
    questions: dict[str, Callable[[], object]] = {
        "list of tasks": store.list_tasks,
        "newest 20 runs": lambda: store.list_runs(RunFilter()),
        "20 runs of one task": lambda: store.list_runs(RunFilter(task_id=7)),
        "failed runs, of which there are none": lambda: store.list_runs(
            RunFilter(states=(State.FAILED,))
        ),
        "count for a page": lambda: store.count_runs(RunFilter(), most=MOST_COUNTED),
        "search, rare text": lambda: store.list_runs(RunFilter(text=_RARE)),
        "search, text that none says": lambda: store.list_runs(RunFilter(text="nowhere at all")),
        "search, two characters": lambda: store.list_runs(RunFilter(text="qq")),
        "figures": store.run_figures,
    }
    assert len(store.list_runs(RunFilter())) == RunFilter().limit, "rows that can be read"
    return {what: _milliseconds(ask) for what, ask in questions.items()}


def _milliseconds(ask: Callable[[], object]) -> float:
    taken = []
    for _ in range(15):
        begun = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - begun) * 1000)
    return median(taken)


def _add_runs(box: Sandbox, store: Store, first: int, last: int) -> None:
    """Ended runs, announced as the notifier does: that is where they enter the history."""
    values = {"first": first, "last": last, "tasks": _TASKS, "from": _now() - (last + 60) * 1000}
    with contextlib.closing(sqlite3.connect(box.data / "tasks.db")) as file, file:
        file.execute(_ADD, values)
    while ended := store.unannounced(limit=_AT_ONCE):
        store.announce([each.run_id for each in ended], [], at=_now())


def _now() -> int:
    return time.time_ns() // 1_000_000
