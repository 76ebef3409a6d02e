"""Whole nodes driven through anything, on an injected clock.

Hypothesis looks for an order of ticks, renewals, hangs, crashes, failing launches, edits and clock
jumps that breaks an invariant of the design: of safety after every step, and of liveness whenever a
healthy node had its time. See `support.model` for what is real and what is simulated.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from claude_tasks.domain.errors import ConflictError, NotFoundError
from claude_tasks.domain.run import State, Trigger
from claude_tasks.domain.store_records import RunFilter
from claude_tasks.domain.task_fields import Catchup, Overlap
from claude_tasks.execution.contract import EndedBy
from claude_tasks.operations.runs import RunOperations
from claude_tasks.operations.tasks import TaskOperations
from claude_tasks.settings import load_settings
from claude_tasks.storage.sqlite.store import open_store
from support.builders import ME, spec
from support.clock import FakeClock
from support.fresh_database import lay
from support.invariants import check_invariants
from support.model import LIMIT, POISON, ModelNode, World
from support.profile import examples

NODES = 3
"""Two that fail one after the other, and one that finds what both left."""
PLACES = st.integers(0, NODES - 1)
SLACK_SECONDS = 5
"""With the ttl: how long after any fault every due tick has its agent again."""
_PASSES = 4
"""Within a quarter of a second, so that what many tasks are behind by gets its turn as well."""
_MOST_TASKS = 4
_OPEN = RunFilter(states=(State.QUEUED, State.RUNNING), limit=1000)


class Scheduler(RuleBasedStateMachine):
    tasks = Bundle("tasks")
    added = 0

    @initialize()
    def start(self) -> None:
        in_memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.folder = Path(tempfile.mkdtemp(prefix="claude-tasks-model-", dir=in_memory))
        self.settings = load_settings(
            {"CLAUDE_TASKS_DATA": str(self.folder), "CLAUDE_TASKS_CLAUDE_BIN": "/bin/true"}
        )
        self.settings.folder.create()
        # Simulated agents leave no processes behind, and looking for them takes its time.
        self.no_strays = mock.patch("claude_tasks.execution.run_folder.end_strays", return_value=0)
        self.no_strays.start()
        self.clock = FakeClock()
        self.world = World(self.settings)
        lay(self.settings.folder.database)
        self.owner = open_store(self.settings.folder.database, at=0)
        self.task_operations = TaskOperations(self.owner, self.clock, actor=ME)
        self.run_operations = RunOperations(self.owner, self.clock, ask_to_end=lambda _: False)
        self.births = 0
        self.nodes = [self.new_node() for _ in range(NODES)]
        self.steady = self.task_operations.add(spec(name="steady", cron_expr="* * * * * *"))
        for each in self.nodes:
            each.keep()

    def new_node(self) -> ModelNode:
        self.births += 1
        return ModelNode(f"node-{self.births}", self.settings, self.clock, self.world)

    @precondition(lambda self: self.added < _MOST_TASKS)
    @rule(
        target=tasks,
        cron=st.sampled_from(["* * * * * *", "*/7 * * * * *", "* * * * *", "@every 5s"]),
        overlap=st.sampled_from(list(Overlap)),
        catchup=st.sampled_from(list(Catchup)),
        name=st.sampled_from(["review", "review", POISON]),
    )
    def add_recurring(self, cron: str, overlap: Overlap, catchup: Catchup, name: str) -> Any:
        self.added += 1
        task = self.task_operations.add(
            spec(name=name, cron_expr=cron, overlap=overlap, catchup=catchup)
        )
        return multiple(task.id)

    @precondition(lambda self: self.added < _MOST_TASKS)
    @rule(target=tasks, delay=st.integers(-5, 60))
    def add_one_off(self, delay: int) -> Any:
        self.added += 1
        at = self.clock.now() + delay * 1000
        return multiple(self.task_operations.add(spec(scheduled_at=at)).id)

    @rule(seconds=st.sampled_from([0.3, 1, 2, 6, 14, 16, 70]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([0.5, 1, 3]), times=st.integers(1, 3))
    def all_goes_well_for_a_while(self, seconds: float, times: int) -> None:
        for _ in range(times):
            self.clock.advance(seconds)
            for each in self.nodes:
                each.keep()
                each.schedule()

    @rule(place=PLACES, seconds=st.sampled_from([1, 4, 5.5, 9]))
    def only_one_is_awake(self, place: int, seconds: float) -> None:
        self.clock.advance(seconds)
        self.nodes[place].keep()
        self.nodes[place].schedule()

    @rule(days=st.sampled_from([-1, 1]))
    def the_wall_clock_is_set(self, days: int) -> None:
        self.clock.set_wall(self.clock.now() + days * 3_600_000)

    @rule(place=PLACES)
    def keep_lease(self, place: int) -> None:
        self.nodes[place].keep()

    @rule(place=PLACES)
    def pass_of_engine(self, place: int) -> None:
        self.nodes[place].schedule()

    @rule(place=PLACES, after=st.integers(1, 60), seconds=st.sampled_from([0.3, 1, 7]))
    def hang_in_a_pass(self, place: int, after: int, seconds: float) -> None:
        self.clock.advance(seconds)
        self.nodes[place].keep()
        self.nodes[place].schedule(hang_after=after)

    @rule(place=PLACES, after=st.integers(1, 12), seconds=st.sampled_from([0.3, 5.5]))
    def hang_in_the_keeper(self, place: int, after: int, seconds: float) -> None:
        self.clock.advance(seconds)
        self.nodes[place].keep(hang_after=after)

    @rule(place=PLACES, again_after=st.sampled_from([0, 0, 1, 3]))
    def come_back(self, place: int, again_after: int) -> None:
        self.nodes[place].wake(hang_after=again_after)

    @rule(place=PLACES, after=st.integers(1, 60))
    def robbed_in_the_middle_of_a_pass(self, place: int, after: int) -> None:
        self.hang_in_a_pass(place, after, 1)
        for _ in range(5):
            self.only_one_is_awake((place + 1) % NODES, 4)
        self.nodes[place].wake()

    @rule(place=PLACES, after=st.integers(1, 60), then=st.integers(1, 40), dies=st.booleans())
    def who_takes_over_fails_too(self, place: int, after: int, then: int, dies: bool) -> None:  # noqa: FBT001
        """It sleeps on a claim; who adopts that dies or hangs in the middle; a third finds both."""
        self.hang_in_a_pass(place, after, 1)
        second, third = (place + 1) % NODES, (place + 2) % NODES
        for _ in range(5):
            self.clock.advance(4)
            self.nodes[second].keep()
        self.nodes[second].schedule(hang_after=then)
        if dies:
            self.nodes[second].crash()
            self.nodes[second] = self.new_node()
        for _ in range(6):
            self.only_one_is_awake(third, 4)
        self.nodes[place].wake()

    @rule(task_id=tasks, cron=st.sampled_from(["*/4 * * * * *", "@every 11s"]))
    def edit_in_the_middle_of_a_pass(self, task_id: int, cron: str) -> None:
        for place in range(NODES):
            self.hang_in_a_pass(place, 9, 1)
        self.change(task_id, {"cron_expr": cron})
        for each in self.nodes:
            each.wake()
        check_invariants(self.settings.folder.database, settled=False)

    @rule(place=PLACES, full=st.booleans())
    def the_disk_fills_or_has_room(self, place: int, full: bool) -> None:  # noqa: FBT001 (drawn)
        self.nodes[place].plan.full = full

    @rule(place=PLACES)
    def resign(self, place: int) -> None:
        if not self.nodes[place].hangs:
            self.nodes[place].keeper.resign()

    @rule(place=PLACES, after=st.integers(0, 60))
    def kill(self, place: int, after: int) -> None:
        """Also in the middle of a pass."""
        if after:
            self.nodes[place].schedule(hang_after=after)
        self.nodes[place].crash()
        self.nodes[place] = self.new_node()

    @rule(number=st.integers(0, 5))
    def an_agent_ends(self, number: int) -> None:
        living = self.world.living
        if living:
            self.world.end(living[number % len(living)], at=self.clock.now())

    @rule(task_id=tasks, cron=st.sampled_from(["*/2 * * * * *", "@every 9s", "0 * * * *"]))
    def reschedule(self, task_id: int, cron: str) -> None:
        self.change(task_id, {"cron_expr": cron})

    @rule(task_id=tasks, delay=st.integers(-5, 60))
    def move(self, task_id: int, delay: int) -> None:
        self.change(task_id, {"cron_expr": "", "scheduled_at": self.clock.now() + delay * 1000})

    @rule(task_id=tasks, enabled=st.booleans())
    def switch(self, task_id: int, enabled: bool) -> None:  # noqa: FBT001 (drawn by name)
        self.change(task_id, {"enabled": enabled})

    @rule(task_id=tasks)
    def delete_or_restore(self, task_id: int) -> None:
        try:
            self.task_operations.remove(task_id)
        except NotFoundError:
            self.task_operations.restore(task_id)

    @rule(task_id=tasks)
    def run_now(self, task_id: int) -> None:
        with contextlib.suppress(NotFoundError):
            self.run_operations.start(task_id)

    @rule(number=st.integers(0, 3))
    def cancel(self, number: int) -> None:
        active = self.owner.list_runs(_OPEN._replace(limit=number + 1))
        if active:
            self.run_operations.cancel(active[-1].id)

    @rule(place=PLACES, sleeper_hangs=st.booleans())
    def one_healthy_node_has_its_time(self, place: int, sleeper_hangs: bool) -> None:  # noqa: FBT001
        """Whatever happened: with one healthy node and free places, every due tick starts."""
        sleeper = (place + 1) % NODES
        if sleeper_hangs and not self.nodes[sleeper].hangs:
            self.hang_in_a_pass(sleeper, 11, 0.3)
        self.be_healthy(self.nodes[place], seconds=self.settings.lease_ttl + SLACK_SECONDS)
        since = self.clock.now()
        self.be_healthy(self.nodes[place], seconds=3)
        runs = self.owner.list_runs(RunFilter(task_id=self.steady.id, limit=20))
        started = {run.tick for run in runs if run.started_at is not None}
        due = range(-(-since // 1000) * 1000, self.clock.now() - 1000, 1000)
        late = [tick for tick in due if tick not in started]
        assert not late, f"due at {late}, and no agent was started: {runs}"

    def be_healthy(self, awake: ModelNode, *, seconds: float) -> None:
        """A node with room and a clock that goes right; agents end, so that places are free."""
        awake.plan.full = False
        awake.wake()
        for _ in range(round(seconds / 0.25)):
            self.clock.advance(0.25)
            awake.keep()
            for _ in range(_PASSES):
                awake.schedule()
                self.world.end_all(at=self.clock.now())
                if self.owner.count_runs(_OPEN) == 0:
                    break

    def change(self, task_id: int, changes: dict[str, Any]) -> None:
        with contextlib.suppress(NotFoundError, ConflictError):
            self.task_operations.edit(task_id, changes)

    @invariant()
    def at_most_one_node_trusts_itself(self) -> None:
        if hasattr(self, "nodes"):
            leaders = [each.name for each in self.nodes if each.leadership.term() is not None]
            assert len(leaders) <= 1, leaders

    @invariant()
    def no_claim_starts_twice_and_no_row_two_claims_at_once(self) -> None:
        if hasattr(self, "world"):
            assert not self.world.starts or max(self.world.starts.values()) == 1
            runs = Counter(run_id for run_id, _ in self.world.living)
            assert not runs or max(runs.values()) == 1, self.world.living

    @invariant()
    def a_run_whose_agent_lives_has_not_ended(self) -> None:
        if hasattr(self, "world"):
            for run_id, claim in self.world.living:
                run = self.owner.get_run(run_id)
                assert run.state is State.RUNNING, run
                assert run.claim == claim, run

    @invariant()
    def a_task_runs_no_more_than_its_rule_allows(self) -> None:
        if hasattr(self, "owner"):
            running = self.owner.list_runs(RunFilter(states=(State.RUNNING,), limit=1000))
            assert len(running) <= LIMIT
            per_task = Counter(run.task_id for run in running)
            for task_id, count in per_task.items():
                task = self.owner.get_task(task_id, include_deleted=True)
                assert count == 1 or task.spec.overlap is Overlap.ALLOW

    def teardown(self) -> None:
        if not hasattr(self, "nodes"):
            return
        try:
            check_invariants(self.settings.folder.database, settled=False)
            self.everything_ends()
            check_invariants(self.settings.folder.database)
            assert self.leftovers() == []
        finally:
            self.world.end_all(at=self.clock.now())
            for each in self.nodes:
                each.crash()
            self.owner.close()
            self.no_strays.stop()
            shutil.rmtree(self.folder)

    def everything_ends(self) -> None:
        """Nothing new fires, agents end, and the survivors clear up what is left."""
        for each in self.nodes:
            each.wake()
            each.plan.full = False
        for summary in self.owner.list_tasks():
            if summary.task.spec.enabled:
                self.task_operations.disable(summary.task.id)
        for _ in range(400):
            for claim in self.world.living:
                self.world.end(claim, at=self.clock.now(), ended_by=EndedBy.EXIT)
            self.clock.advance(1)
            for each in self.nodes:
                each.keep()
                each.schedule()
            if self.owner.count_runs(_OPEN) == 0 and not self.leftovers():
                return

    def leftovers(self) -> list[str]:
        return os.listdir(self.settings.folder.runs)


Scheduler.TestCase.settings = settings(
    # `make test` walks the same paths each time; `make chaos` looks for new ones.
    max_examples=int(os.environ.get("MODEL_EXAMPLES", examples(quick=25, full=100))),
    derandomize="MODEL_EXAMPLES" not in os.environ,
    report_multiple_bugs=False,
    stateful_step_count=40,
    deadline=None,
    # A failure is shown at once; `make chaos` takes the time to look for the shortest way to it.
    phases=[
        phase for phase in Phase if phase is not Phase.shrink or "MODEL_EXAMPLES" in os.environ
    ],
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestScheduler = Scheduler.TestCase


def test_a_task_moved_to_a_tick_that_was_given_again_is_spent_with_that_tick() -> None:
    scheduler = Scheduler()
    scheduler.start()
    [task_id] = scheduler.add_recurring(
        cron="* * * * * *", overlap=Overlap.SKIP, catchup=Catchup.LATEST, name="review"
    ).values
    scheduler.the_wall_clock_is_set(days=1)
    scheduler.delete_or_restore(task_id)
    scheduler.delete_or_restore(task_id)
    scheduler.the_wall_clock_is_set(days=-1)
    scheduler.one_healthy_node_has_its_time(place=0, sleeper_hangs=False)

    scheduler.move(task_id, delay=0)

    at = scheduler.owner.get_task(task_id).spec.scheduled_at
    scheduler.be_healthy(scheduler.nodes[0], seconds=3)
    runs = scheduler.owner.list_runs(RunFilter(task_id=task_id, limit=1000))
    assert [run.trigger for run in runs if run.tick == at] == [Trigger.CLOCK_SET]
    assert not scheduler.owner.get_task(task_id).spec.enabled
    scheduler.teardown()
