"""A clock that was ahead, on an injected clock: nothing is silent afterwards, nothing runs twice.

Engines, store and schedules are real; agents are a list of what they were started for.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from claude_tasks.domain.run import Reason, Run, State, Trigger
from claude_tasks.domain.schedule import upcoming
from claude_tasks.domain.store_records import Claimed, Finish, RunFilter
from claude_tasks.domain.task_fields import Catchup, Overlap
from claude_tasks.domain.task_schedule import schedule_of
from claude_tasks.operations.tasks import TaskOperations
from claude_tasks.scheduling.dispatcher import Dispatcher
from claude_tasks.scheduling.engine import Engine
from claude_tasks.scheduling.ticker import Ticker
from claude_tasks.storage.sqlite.store import open_store
from support.builders import ME, completed, lead, spec
from support.clock import START, FakeClock
from support.invariants import check_invariants
from support.profile import examples

if TYPE_CHECKING:
    from pathlib import Path

    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.ports import Store
    from claude_tasks.domain.task import Task

HOUR = 3_600_000
YEAR = 365 * 24 * HOUR
SECONDLY = "* * * * * *"


class _Standing:
    """`claude_tasks.scheduling.leadership.Leadership` of a node that leads."""

    def __init__(self, term: Term) -> None:
        self._term = term

    def term(self) -> Term:
        return self._term


class _NobodyToRescue:
    def resume_own(self) -> int:
        return 0

    def take_over(self, term: Term | None, *, at: int) -> int:
        assert term is not None, at
        return 0

    def tidy(self) -> None: ...


class _Agents:
    """`claude_tasks.domain.ports.Execution`: every agent is done at once, unless it is to fail."""

    descriptor = None
    busy = pending = stuck = False

    def __init__(self, world: World) -> None:
        self._world = world
        self._running: list[Run] = []

    def launch(self, claimed: Claimed) -> None:
        self._world.started.append(claimed.run)
        self._running.append(claimed.run)

    def cancel(self, run_id: int) -> None:
        raise AssertionError(run_id)

    def settle(self, *, at: int) -> int:
        done, self._running = self._running, []
        ends = [Finish(run.id, run.claim, completed(at=at), "its log") for run in done]
        self._world.store.finish_runs(ends, at=at)
        return len(ends)


class World:
    """One database, one clock, and one node after the other on it."""

    def __init__(self, path: Path, clock: FakeClock) -> None:
        self.path = path
        self.clock = clock
        self.started: list[Run] = []
        self.births = 0
        self.store: Store
        self.restart()
        self.tasks = TaskOperations(self.store, clock, actor=ME)

    def restart(self) -> None:
        """Another node takes over, with nothing but what is stored."""
        if self.births:
            self.store.close()
        self.births += 1
        self.store = open_store(str(self.path), at=0)
        self.term = lead(self.store, at=self.clock.now(), node_id=f"node-{self.births}")
        agents: Any = _Agents(self)
        self.agents = agents
        leadership: Any = _Standing(self.term)
        rescuer: Any = _NobodyToRescue()
        self.engine = Engine(
            clock=self.clock,
            ticker=Ticker(self.store, self.clock),
            dispatcher=Dispatcher(
                store=self.store,
                execution=agents,
                node_id=self.term.node_id,
                max_concurrent_runs=1000,
            ),
            rescuer=rescuer,
            execution=agents,
            leadership=leadership,
            changes=self.store,
            require_same=self.store.require_same,
        )
        self.tasks = TaskOperations(self.store, self.clock, actor=ME)

    def add(self, **fields: Any) -> Task:
        return self.tasks.add(spec(**{"overlap": Overlap.ALLOW, **fields}))

    def act(self) -> None:
        """Passes until there is nothing to do, and the ends of the last agents recorded."""
        for _ in range(50):
            if self.engine.run_pass() > 0:
                self.agents.settle(at=self.clock.now())
                return
        raise AssertionError("the engine does not come to rest")

    def live(self, seconds: float, *, step: float = 1.0) -> None:
        """A node works while time passes."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            self.act()

    def ahead(self, milliseconds: int, *, seconds: float = 7) -> None:
        """The clock is wrong by so much for so long, then right again."""
        self.clock.set_wall(self.clock.now() + milliseconds)
        self.live(seconds)
        self.clock.set_wall(self.clock.now() - milliseconds)

    def runs(self, task: Task) -> list[Run]:
        return self.store.list_runs(RunFilter(task_id=task.id, limit=10_000))[::-1]

    def ticks_started(self, task: Task) -> list[int]:
        return [run.tick for run in self.started if run.task_id == task.id and run.tick]

    def check(self) -> None:
        starts = Counter(
            (run.task_id, run.tick) for run in self.started if run.trigger is not Trigger.MANUAL
        )
        assert max(starts.values(), default=1) == 1, [key for key, n in starts.items() if n > 1]
        check_invariants(self.path, settled=False)


@pytest.fixture
def world(tmp_path: Path, clock: FakeClock) -> World:
    return World(tmp_path / "tasks.db", clock)


@pytest.mark.parametrize("ahead", [2 * HOUR, 3 * YEAR])
def test_a_clock_that_was_ahead_leaves_no_silence(world: World, ahead: int) -> None:
    task = world.add(cron_expr=SECONDLY)
    world.live(3)
    world.ahead(ahead)
    world.act()
    before = len(world.started)
    world.live(5)
    ticks = world.ticks_started(task)[before:]
    now = world.clock.now() // 1000 * 1000
    assert ticks == [now - 4000, now - 3000, now - 2000, now - 1000, now]
    assert all(run.trigger is Trigger.CLOCK_SET for run in world.started[before:])
    assert all(run.scheduled_for is None for run in world.started[before:])
    world.check()


def test_the_ticks_that_ran_early_are_not_started_again_when_their_time_comes(
    world: World,
) -> None:
    task = world.add(cron_expr="*/10 * * * * *")
    world.live(20)
    world.ahead(60_000, seconds=20)
    early = [tick for tick in world.ticks_started(task) if tick > world.clock.now()]
    assert len(early) >= 2
    world.live(120)
    ticks = world.ticks_started(task)
    assert len(ticks) == len(set(ticks))
    assert set(upcoming(schedule_of(task), early[-1], 3)) <= set(ticks)
    world.check()


def test_another_node_settles_what_one_that_is_gone_left(world: World) -> None:
    task = world.add(cron_expr=SECONDLY)
    world.clock.set_wall(world.clock.now() + YEAR)
    world.live(3)
    world.clock.set_wall(world.clock.now() - YEAR)
    world.restart()
    world.act()
    before = len(world.ticks_started(task))
    world.live(3)
    assert len(world.ticks_started(task)) == before + 3
    world.restart()
    world.live(3)
    assert len(world.ticks_started(task)) == before + 6
    world.check()


def test_what_was_only_counted_stays_as_it_was_written(world: World) -> None:
    task = world.add(cron_expr="0 * * * *")
    world.live(1)
    world.ahead(5 * HOUR)
    [gap] = [run for run in world.runs(task) if run.state is State.SKIPPED]
    world.live(4 * HOUR / 1000, step=600)
    assert world.store.get_run(gap.id) == gap
    again = [run for run in world.runs(task) if run.trigger is Trigger.CLOCK_SET]
    assert [run.covers for run in again] == upcoming(schedule_of(task), START, 4)
    assert gap.skipped_count == 4
    world.check()


def test_a_second_false_future_within_the_first_loses_and_doubles_nothing(world: World) -> None:
    task = world.add(cron_expr="* * * * *")
    world.live(10)
    world.ahead(3 * HOUR, seconds=90)
    world.live(120)
    world.ahead(HOUR, seconds=90)
    world.live(120)
    world.ahead(4 * HOUR, seconds=90)
    world.restart()
    world.live(5 * HOUR / 1000, step=30)
    started = set(world.ticks_started(task))
    due = upcoming(schedule_of(task), START + 20_000, 300)
    # What came due while the clock was wrong is missed, as `latest` has it, but for the newest.
    assert len([tick for tick in due if tick not in started]) <= 3
    world.check()


def test_a_tick_that_came_due_while_the_clock_was_wrong_runs_once_it_is_right(
    world: World,
) -> None:
    task = world.add(cron_expr="*/5 * * * *")  # the next is 100 s away
    world.live(98)
    world.ahead(2 * HOUR, seconds=7)
    assert START + 100_000 not in world.ticks_started(task)
    world.act()
    assert START + 100_000 in world.ticks_started(task)
    world.check()


def test_a_task_made_while_the_clock_was_ahead_counts_from_the_true_now(world: World) -> None:
    world.clock.set_wall(START + 3 * YEAR)
    every = world.add(cron_expr="@every 7s")
    once = world.add(name="now", scheduled_at=None)
    world.clock.set_wall(START)
    world.act()
    assert [run.task_id for run in world.started] == [once.id]
    assert world.store.get_task(every.id).anchor_at == START
    world.live(15)
    assert world.ticks_started(every) == [START + 7000, START + 14_000]
    world.check()


def test_a_skip_of_one_tick_was_decided_and_stays(world: World) -> None:
    task = world.add(cron_expr="0 * * * *", overlap=Overlap.SKIP)
    run = world.store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to="nobody", at=START)
    world.ahead(HOUR)
    [skip] = world.runs(task)[1:]
    assert skip.reason is Reason.OVERLAP
    world.store.request_cancel(run.id, at=world.clock.now())
    world.live(HOUR / 1000, step=300)
    assert world.ticks_started(task) == []
    world.live(HOUR / 1000, step=300)
    assert world.ticks_started(task) == upcoming(schedule_of(task), START + HOUR, 1)
    world.check()


def test_a_step_smaller_than_clocks_differ_changes_nothing(world: World) -> None:
    task = world.add(cron_expr=SECONDLY)
    world.live(5)
    count = len(world.started)
    world.clock.set_wall(world.clock.now() - 4000)
    world.live(3)
    assert len(world.started) == count
    assert world.store.last_clock_step() is None
    world.live(5)
    assert len(world.ticks_started(task)) == len(set(world.ticks_started(task))) > count
    world.check()


def test_a_clock_that_was_never_set_settles_nothing(world: World) -> None:
    task = world.add(cron_expr=SECONDLY)
    world.live(5)
    cursor = world.store.get_task(task.id).cursor_at
    world.clock.set_wall(0)
    world.live(3)
    assert world.store.get_task(task.id).cursor_at == cursor
    assert world.store.last_clock_step() is None


def test_a_clock_that_is_behind_for_a_while_tells_no_tales(world: World) -> None:
    """A small computer without a battery begins with the time at which it went down, or earlier."""
    task = world.add(cron_expr="* * * * *")
    world.live(600, step=10)
    ran = len(world.started)
    world.clock.set_wall(world.clock.now() - 5 * 60_000)
    world.restart()
    world.live(20, step=5)
    assert len(world.started) == ran
    world.clock.set_wall(world.clock.now() + 7 * 60_000)
    world.act()
    [gap] = [run for run in world.runs(task) if run.state is State.SKIPPED]
    assert gap.skipped_count == 1, "only what nobody ran was missed"
    assert len(world.started) == ran + 1
    world.check()


def test_several_passes_settle_what_one_may_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claude_tasks.scheduling.ticker.TASKS_A_PASS", 3)
    for number in range(8):
        world.add(name=f"task {number}", cron_expr="*/10 * * * * *")
    world.ahead(HOUR)
    world.act()
    assert not world.store.left_by_clock(at=world.clock.now())
    assert len(steps_of(world)) == 1, "one step, however many passes it took"
    world.check()


def steps_of(world: World) -> list[Any]:
    with contextlib.closing(sqlite3.connect(world.path)) as file:
        return file.execute("SELECT * FROM clock_steps").fetchall()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("live"), st.integers(1, 9).map(lambda n: n * 10)),
        st.tuples(st.just("ahead"), st.sampled_from([3, 8, 40, 600, 7200, 100_000_000])),
        st.tuples(st.just("behind"), st.sampled_from([3, 20, 200])),
        st.tuples(st.just("right"), st.just(0)),
        st.tuples(st.just("restart"), st.just(0)),
        st.tuples(st.just("down"), st.integers(1, 200)),
        st.tuples(st.just("edit"), st.integers(0, 3)),
        st.tuples(st.just("add"), st.integers(0, 3)),
    ),
    min_size=3,
    max_size=14,
)
CRONS = ["*/10 * * * * *", "* * * * *", "@every 25s", "*/5 * * * *"]


@settings(
    max_examples=int(os.environ.get("MODEL_EXAMPLES", examples(quick=10, full=25))),
    derandomize="MODEL_EXAMPLES" not in os.environ,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[phase for phase in Phase if phase is not Phase.shrink],
)
@given(steps=STEPS, catchup=st.sampled_from(list(Catchup)))
def test_whatever_the_clock_does_no_tick_starts_twice_and_none_due_is_lost(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], catchup: Catchup
) -> None:
    world = World(tmp_path_factory.mktemp("clock") / "tasks.db", FakeClock())
    made = [world.add(name=cron, cron_expr=cron, catchup=catchup) for cron in CRONS]
    true = made[0]  # never edited
    off = 0
    required: set[int] = set()
    for what, amount in steps:
        if what == "live":
            since = world.clock.now()
            world.live(amount, step=10)
            if off == 0:
                required |= _between(true, since, world.clock.now())
        elif what in ("ahead", "behind", "right"):
            wanted = {"ahead": amount, "behind": -amount, "right": 0}[what] * 1000
            world.clock.set_wall(world.clock.now() - off + wanted)
            off = wanted
            world.act()
        elif what == "restart":
            world.restart()
        elif what == "down":
            world.clock.advance(amount)
        elif what == "edit":
            cron = CRONS[amount]
            world.tasks.edit(made[1 + amount % 3].id, {"cron_expr": cron})
        else:
            made.append(world.add(name="more", cron_expr=CRONS[amount], catchup=catchup))
        world.check()
    world.clock.set_wall(world.clock.now() - off)
    world.act()
    since = world.clock.now()
    world.live(300, step=10)
    required |= _between(true, since, world.clock.now())
    world.check()
    started = set(world.ticks_started(true))
    skipped = {run.tick for run in world.runs(true) if run.reason is Reason.OVERLAP}
    assert not required - started - skipped, "ticks that came due under a right clock did not run"


def _between(task: Task, after: int, until: int) -> set[int]:
    return {tick for tick in upcoming(schedule_of(task), after, 100) if tick <= until}
