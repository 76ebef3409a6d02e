"""Store, ticker and two leaders driven through anything, on an injected clock.

Hypothesis looks for an order of ticks, renewals, pauses inside the tick, crashes, edits and clock
jumps that breaks an invariant of the design. Agents are a small model of the real ones: they live
on when their node dies, and remember how often each claim was started.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)

from claude_tasks.domain.errors import ConflictError, LeadershipLostError, NotFoundError
from claude_tasks.domain.run import Reason, Run, State
from claude_tasks.domain.store_records import Claimed, Finish, RunFilter
from claude_tasks.domain.task import Catchup, Overlap, Task
from claude_tasks.domain.tick import plan_ticks
from claude_tasks.operations.runs import RunOperations
from claude_tasks.operations.tasks import TaskOperations
from claude_tasks.scheduling.beats import BeatKeeper, BeatWatch
from claude_tasks.scheduling.dispatcher import Dispatcher
from claude_tasks.scheduling.engine import Engine
from claude_tasks.scheduling.leadership import LeaseKeeper, Standing
from claude_tasks.scheduling.lifetime import LifetimeLock, Register
from claude_tasks.scheduling.rescuer import Rescuer
from claude_tasks.scheduling.ticker import Ticker
from claude_tasks.settings import Settings, load_settings
from claude_tasks.storage.sqlite.store import open_store
from support.builders import completed, node, spec
from support.clock import FakeClock
from support.invariants import check_invariants

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.planned import TickPlan
    from claude_tasks.domain.ports import Store

Claim = tuple[int, int]


class Agents:
    """The agents of the world: they do not die with the node that started them."""

    def __init__(self) -> None:
        self.starts: Counter[Claim] = Counter()
        self.living: set[Claim] = set()
        self.cancelled: set[Claim] = set()

    def start(self, claim: Claim) -> None:
        self.starts[claim] += 1
        self.living.add(claim)


class ModelExecution:
    """`claude_tasks.domain.ports.Execution` over the world's agents."""

    descriptor = None

    def __init__(self, store: Store, agents: Agents) -> None:
        self._store = store
        self._agents = agents
        self._watched: dict[Claim, Run] = {}

    pending = stuck = False

    @property
    def busy(self) -> bool:
        return bool(self._watched)

    def start(self) -> None: ...

    def stop(self) -> None:
        self._watched.clear()

    def launch(self, claimed: Claimed) -> None:
        self._agents.start((claimed.run.id, claimed.run.claim))
        self._watched[claimed.run.id, claimed.run.claim] = claimed.run

    def refuse(self, claimed: Claimed, why: str, *, at: int) -> None:
        raise AssertionError(f"without a preflight nothing is refused: {claimed}, {why}, {at}")

    def adopt(self, run: Run, task: Task | None, *, hung: str | None = None) -> None:
        assert task is not None
        assert task.id == run.task_id
        assert hung is None
        self._watched[run.id, run.claim] = run

    def watches(self, run: Run) -> bool:
        return (run.id, run.claim) in self._watched

    def cancel(self, run_id: int) -> None:
        for claim in [claim for claim in self._watched if claim[0] == run_id]:
            self._agents.living.discard(claim)
            self._agents.cancelled.add(claim)

    def tidy(self, is_dead: Callable[[str], bool]) -> None: ...

    def settle(self, *, at: int) -> int:
        over = [claim for claim in self._watched if claim not in self._agents.living]
        for claim in over:
            run = self._watched.pop(claim)
            if self._agents.starts[claim] == 0:
                self._store.requeue_run(
                    run.id, claim=run.claim, attempt=run.attempt, not_before=0, spent=None, at=at
                )
                continue
            outcome = completed(at=at)
            if claim in self._agents.cancelled:
                outcome = outcome._replace(state=State.CANCELLED, reason=Reason.CANCELLED)
            self._store.finish_runs([Finish(run.id, run.claim, outcome, "its log")], at=at)
        return len(over)


class ModelNode:
    """One incarnation of one node, stepped by hand."""

    def __init__(self, name: str, settings: Settings, clock: FakeClock, agents: Agents) -> None:
        self.name = name
        self.clock = clock
        self.store = open_store(settings.folder.database, at=0)
        self.record = node(name, started_at=clock.now())
        self.lock = LifetimeLock(settings.folder.nodes, name)
        self.lock.acquire()
        self.store.register_node(self.record)
        self.standing = Standing(clock)
        self.execution = ModelExecution(self.store, agents)
        register = Register(self.store, settings.folder.nodes)
        self.ticker = Ticker(self.store, clock)
        self.engine = Engine(
            clock=clock,
            ticker=self.ticker,
            dispatcher=Dispatcher(
                store=self.store,
                execution=self.execution,
                node_id=name,
                max_concurrent_runs=3,
            ),
            rescuer=Rescuer(
                store=self.store, execution=self.execution, register=register, node_id=name
            ),
            execution=self.execution,
            standing=self.standing,
            changes=self.store,
        )
        watch = BeatWatch()
        self.keeper = LeaseKeeper(
            store=self.store,
            register=register,
            node=self.record,
            standing=self.standing,
            clock=clock,
            settings=settings,
            beats=BeatKeeper(
                store=self.store,
                node=self.record,
                clock=clock,
                progress=self.engine.progressed_at,
                watch=watch,
            ),
            watch=watch,
        )
        self.held_plan: tuple[Term, list[TickPlan]] | None = None

    def read_and_pause(self) -> None:
        """Stopped right before the tick transaction, with the plan made."""
        term = self.standing.term()
        if term is not None and self.held_plan is None:
            at = self.clock.now()
            tasks = self.store.due_tasks(at=at, limit=100)
            self.held_plan = (term, [plan_ticks(task, at=at) for task in tasks])

    def resume(self) -> None:
        """Woken up, however much later: the transaction decides."""
        if self.held_plan is not None:
            (term, plans), self.held_plan = self.held_plan, None
            lease = self.store.read_lease()
            before = self.store.count_runs(RunFilter())
            try:
                self.store.record_ticks(term, plans, at=self.clock.now())
            except LeadershipLostError:
                pass
            else:
                assert (lease.holder, lease.epoch) == term, "a stale leader got through"
                return
            assert self.store.count_runs(RunFilter()) == before, "a stale leader wrote"

    def crash(self) -> None:
        self.lock.release(tidy=False)
        self.store.close()


class Scheduler(RuleBasedStateMachine):
    tasks = Bundle("tasks")

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="claude-tasks-model-"))
        self.settings = load_settings({"CLAUDE_TASKS_DATA": str(self.folder)})
        self.settings.folder.create()
        self.clock = FakeClock()
        self.agents = Agents()
        self.owner = open_store(self.settings.folder.database, at=0)
        self.task_operations = TaskOperations(self.owner, self.clock)
        self.run_operations = RunOperations(self.owner, self.clock, ask_to_end=lambda _: False)
        self.births = 0
        self.nodes = [self.new_node(), self.new_node()]
        self.task_operations.add(spec(cron_expr="* * * * * *"))
        for each in self.nodes:
            each.keeper.step()

    def new_node(self) -> ModelNode:
        self.births += 1
        return ModelNode(f"node-{self.births}", self.settings, self.clock, self.agents)

    @rule(
        target=tasks,
        cron=st.sampled_from(["* * * * * *", "*/7 * * * * *", "* * * * *", "@every 5s"]),
        overlap=st.sampled_from(list(Overlap)),
        catchup=st.sampled_from(list(Catchup)),
    )
    def add_recurring(self, cron: str, overlap: Overlap, catchup: Catchup) -> Any:
        task = self.task_operations.add(spec(cron_expr=cron, overlap=overlap, catchup=catchup))
        return multiple(task.id)

    @rule(target=tasks, delay=st.integers(-5, 60))
    def add_one_off(self, delay: int) -> Any:
        at = self.clock.now() + delay * 1000
        return multiple(self.task_operations.add(spec(scheduled_at=at)).id)

    @rule(seconds=st.sampled_from([0.3, 1, 2, 6, 14, 16, 70]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([0.5, 1, 3]), times=st.integers(1, 3))
    def all_goes_well_for_a_while(self, seconds: float, times: int) -> None:
        for _ in range(times):
            self.clock.advance(seconds)
            for place in (0, 1):
                self.keep_lease(place)
                self.pass_of_engine(place)

    @rule(place=st.integers(0, 1), seconds=st.sampled_from([1, 4, 5.5, 9]))
    def only_one_is_awake(self, place: int, seconds: float) -> None:
        self.clock.advance(seconds)
        self.keep_lease(place)
        self.pass_of_engine(place)

    @rule(days=st.sampled_from([-1, 1]))
    def the_wall_clock_is_set(self, days: int) -> None:
        self.clock.set_wall(self.clock.now() + days * 3_600_000)

    @rule(place=st.integers(0, 1))
    def keep_lease(self, place: int) -> None:
        self.nodes[place].keeper.step()

    @rule(place=st.integers(0, 1))
    def pass_of_engine(self, place: int) -> None:
        if self.nodes[place].held_plan is None:
            self.nodes[place].engine.try_pass()

    @rule(place=st.integers(0, 1))
    def pause_in_tick(self, place: int) -> None:
        self.nodes[place].read_and_pause()

    @rule(place=st.integers(0, 1))
    def resume_from_pause(self, place: int) -> None:
        self.nodes[place].resume()

    @rule(task_id=tasks, cron=st.sampled_from(["*/4 * * * * *", "@every 11s"]))
    def edit_between_plan_and_transaction(self, task_id: int, cron: str) -> None:
        self.clock.advance(2)
        for each in self.nodes:
            each.read_and_pause()
        self.change(task_id, {"cron_expr": cron})
        for each in self.nodes:
            each.resume()
        check_invariants(self.settings.folder.database, settled=False)

    @rule(place=st.integers(0, 1))
    def robbed_between_plan_and_transaction(self, place: int) -> None:
        self.clock.advance(1)
        self.nodes[place].read_and_pause()
        for _ in range(4):
            self.only_one_is_awake(1 - place, 5.5)
        self.nodes[place].resume()

    @rule(place=st.integers(0, 1))
    def fail_between_claim_and_launch(self, place: int) -> None:
        awake = self.nodes[place]
        with contextlib.suppress(LeadershipLostError):
            awake.store.claim_runs(
                awake.name,
                term=awake.standing.term(),
                limit=3,
                per_node=False,
                at=self.clock.now(),
            )

    @rule(place=st.integers(0, 1))
    def resign(self, place: int) -> None:
        self.nodes[place].keeper.resign()

    @rule(place=st.integers(0, 1))
    def kill(self, place: int) -> None:
        self.nodes[place].crash()
        self.nodes[place] = self.new_node()

    @rule(place=st.integers(0, 1))
    def kill_between_claim_and_launch(self, place: int) -> None:
        self.fail_between_claim_and_launch(place)
        self.kill(place)

    @rule(number=st.integers(0, 5))
    def an_agent_ends(self, number: int) -> None:
        living = sorted(self.agents.living)
        if living:
            self.agents.living.discard(living[number % len(living)])

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
        active = self.owner.list_runs(
            RunFilter(states=(State.QUEUED, State.RUNNING), limit=number + 1)
        )
        if active:
            self.run_operations.cancel(active[-1].id)

    def change(self, task_id: int, changes: dict[str, Any]) -> None:
        with contextlib.suppress(NotFoundError, ConflictError):
            self.task_operations.edit(task_id, changes)

    @invariant()
    def at_most_one_node_trusts_itself(self) -> None:
        if hasattr(self, "nodes"):
            leaders = [each.name for each in self.nodes if each.standing.term() is not None]
            assert len(leaders) <= 1, leaders

    @invariant()
    def no_claim_starts_twice(self) -> None:
        if hasattr(self, "agents"):
            assert not self.agents.starts or max(self.agents.starts.values()) == 1

    @invariant()
    def a_run_whose_agent_lives_has_not_ended(self) -> None:
        if hasattr(self, "agents"):
            for run_id, _ in self.agents.living:
                assert not self.owner.get_run(run_id).state.is_terminal

    @invariant()
    def a_task_runs_no_more_than_its_rule_allows(self) -> None:
        if hasattr(self, "owner"):
            running = self.owner.list_runs(RunFilter(states=(State.RUNNING,), limit=1000))
            assert len(running) <= 3
            per_task = Counter(run.task_id for run in running)
            for task_id, count in per_task.items():
                task = self.owner.get_task(task_id, include_deleted=True)
                assert count == 1 or task.overlap is Overlap.ALLOW

    def teardown(self) -> None:
        if not hasattr(self, "nodes"):
            return
        try:
            check_invariants(self.settings.folder.database, settled=False)
            self.everything_ends()
            check_invariants(self.settings.folder.database)
        finally:
            for each in self.nodes:
                each.crash()
            self.owner.close()
            shutil.rmtree(self.folder)

    def everything_ends(self) -> None:
        """Nothing new fires, agents end, and the survivors clear up what is left."""
        for each in self.nodes:
            each.resume()
        for summary in self.owner.list_tasks():
            if summary.task.enabled:
                self.task_operations.disable(summary.task.id)
        for _ in range(400):
            self.agents.living.clear()
            self.clock.advance(4)
            for each in self.nodes:
                each.keeper.step()
                each.engine.try_pass()
            active = RunFilter(states=(State.QUEUED, State.RUNNING))
            if self.owner.count_runs(active) == 0:
                return


Scheduler.TestCase.settings = settings(
    # `make test` walks the same hundred paths each time; `make chaos` looks for new ones.
    max_examples=int(os.environ.get("MODEL_EXAMPLES", "100")),
    derandomize="MODEL_EXAMPLES" not in os.environ,
    report_multiple_bugs=False,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestScheduler = Scheduler.TestCase
