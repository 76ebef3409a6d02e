"""What a run's end means for usage: it teaches, it waits for the reset, it is not used up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.run import Reason, State, Trigger
from claude_tasks.domain.store_records import RunFilter
from claude_tasks.domain.usage import Failure, Reading, Window
from claude_tasks.execution.contract import EndedBy, ExitFacts, Said
from claude_tasks.execution.run_folder import RunFolder
from claude_tasks.execution.run_log import snapshot_of
from claude_tasks.execution.watched import Ended
from claude_tasks.scheduling.ticker import Ticker
from claude_tasks.settings import load_settings
from claude_tasks.wiring.node import build_execution
from support.builders import add_task, lead
from support.clock import START, FakeClock

if TYPE_CHECKING:
    from pathlib import Path

    from claude_tasks.domain.ports import Store
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.task import Task

MINUTE = 60_000
RESET = START + 30 * MINUTE
LIMIT = {"status": "rejected", "rateLimitType": "five_hour", "utilization": 1.0,
         "resetsAt": RESET // 1000}  # fmt: skip


class World:
    """A store, a recorder on it, and runs that end as told."""

    def __init__(self, store: Store, folder: Path, **settings: str) -> None:
        self.store = store
        environment = {"CLAUDE_TASKS_DATA": str(folder / "data")}
        environment |= {f"CLAUDE_TASKS_{name.upper()}": text for name, text in settings.items()}
        self.settings = load_settings(environment)
        self.settings.folder.create()
        self.recorder = build_execution(self.settings, store, "a")._recorder
        self.term = lead(store, at=START)

    def run_of(self, task: Task, *, at: int = START) -> Run:
        """A run of a task, claimed; of a one-off the run of its tick."""
        if task.is_one_off:
            Ticker(self.store, FakeClock(at)).take_due(self.term, at=at)
        else:
            self.store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to=None, at=at)
        return self.claim(at=at)

    def claim(self, *, at: int) -> Run:
        [entry] = self.store.claim_runs("a", term=self.term, limit=9, per_node=False, at=at)
        return entry.run

    def end(self, run: Run, *, at: int = START, **facts: Any) -> Run:
        """It ended, as ``exit.json`` would say."""
        task = self.store.get_task(run.task_id)
        folder = RunFolder.of(self.settings.folder.runs, run.id, run.claim)
        told = ExitFacts(
            **{"ended_by": EndedBy.EXIT, "exit_code": 0, "started_at": at, "ended_at": at, **facts}
        )
        self.recorder.record([Ended(run, told, snapshot_of(task), folder)], at=at)
        return self.store.get_run(run.id)

    def meets_the_limit(self, run: Run, *, at: int = START) -> Run:
        said = Said(is_error=True, has_result=True, output="limit reached",
                    session_id="session-1", rate_limit=LIMIT, rate_limit_at=at)  # fmt: skip
        return self.end(run, at=at, exit_code=1, transcript=said)


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return World(store, tmp_path)


def recurring(world: World, **fields: Any) -> Task:
    return add_task(world.store, at=START, cron_expr="0 3 1 1 *", **fields)


@pytest.mark.parametrize(
    ("rule", "settings", "state"),
    [
        (None, "skip", State.FAILED),
        (None, "defer", State.QUEUED),
        ("defer", "skip", State.QUEUED),
        ("skip", "defer", State.FAILED),
    ],
)
def test_a_run_that_meets_the_limit_waits_where_its_rule_says_so(
    store: Store, tmp_path: Path, rule: str | None, settings: str, state: State
) -> None:
    world = World(store, tmp_path, on_usage_limit=settings)
    run = world.meets_the_limit(world.run_of(recurring(world, on_usage_limit=rule)))
    assert (run.state, run.reason) == (state, Reason.USAGE_LIMIT)
    if state is State.QUEUED:
        assert (run.not_before, run.deferred_until, run.resumes) == (RESET, RESET, 1)
        assert run.session_id == "session-1"


def test_a_one_off_waits_for_the_reset_unless_its_owner_said_skip(world: World) -> None:
    task = add_task(world.store, at=START, scheduled_at=START)
    assert world.meets_the_limit(world.run_of(task)).state is State.QUEUED


def test_nothing_waits_for_a_reset_where_usage_is_of_no_interest(
    store: Store, tmp_path: Path
) -> None:
    world = World(store, tmp_path, on_usage_limit="defer", disable_usage_check="1")
    run = world.meets_the_limit(world.run_of(add_task(store, at=START, scheduled_at=START)))
    assert (run.state, run.reason) == (State.FAILED, Reason.USAGE_LIMIT)


def test_a_run_that_somebody_cancels_does_not_wait_for_the_reset(world: World) -> None:
    run = world.run_of(recurring(world, on_usage_limit="defer"))
    world.store.request_cancel(run.id, at=START)
    assert world.meets_the_limit(run).state is State.FAILED


def test_a_run_goes_on_once_and_no_more(world: World) -> None:
    run = world.meets_the_limit(world.run_of(recurring(world, on_usage_limit="defer")))
    again = world.claim(at=RESET)
    assert (again.id, again.resumes, again.session_id) == (run.id, 1, "session-1")
    run = world.meets_the_limit(again, at=RESET)
    assert (run.state, run.reason) == (State.FAILED, Reason.USAGE_LIMIT)


def test_a_reset_that_nobody_could_wait_for_is_no_reset(world: World) -> None:
    run = world.run_of(recurring(world, on_usage_limit="defer"))
    said = Said(is_error=True, session_id="session-1",
                rate_limit={"status": "rejected", "resetsAt": 2**33})  # fmt: skip
    run = world.end(run, exit_code=1, transcript=said)
    assert run.not_before == START + 60 * MINUTE


def test_a_failed_preflight_keeps_the_session_of_what_came_before(world: World) -> None:
    world.meets_the_limit(world.run_of(recurring(world, on_usage_limit="defer")))
    run = world.end(
        world.claim(at=RESET), at=RESET, ended_by=EndedBy.PREFLIGHT, error="nobody answered"
    )
    assert (run.state, run.reason) == (State.FAILED, Reason.PREFLIGHT)
    assert run.session_id == "session-1"


@pytest.mark.parametrize(("late", "wait"), [(0, 1), (10, 10), (600, 60)])
def test_a_one_off_that_failed_its_preflight_is_tried_again_the_rarer_the_longer_it_waits(
    world: World, late: int, wait: int
) -> None:
    task = add_task(world.store, at=START, scheduled_at=START)
    at = START + late * MINUTE
    run = world.end(
        world.run_of(task, at=at), at=at, ended_by=EndedBy.PREFLIGHT, error="nobody answered"
    )
    assert run.state is State.FAILED
    task = world.store.get_task(task.id)
    assert (task.spec.enabled, task.next_run_at) == (True, at + wait * MINUTE)


def known(world: World, *, at: int) -> Reading:
    reading = Reading((Window("five_hour", 95, RESET), Window("seven_day", 5, None)), "cli", at)
    world.store.record_reading(reading)
    return reading


def tells(share: float, *, at: int | None) -> dict[str, Any]:
    info = {"status": "allowed", "rateLimitType": "five_hour", "utilization": share}
    return {"transcript": Said(rate_limit=info, rate_limit_at=at)}


def test_what_a_run_was_told_corrects_what_is_known(world: World) -> None:
    known(world, at=START)
    world.end(world.run_of(recurring(world)), at=START + MINUTE, **tells(0.5, at=START + 1000))
    reading = world.store.read_usage().reading
    assert reading is not None
    assert (reading.at, reading.window("five_hour").utilization) == (START, 50)


@pytest.mark.parametrize("told_at", [START - 1, START + 2 * MINUTE, None])
def test_news_older_than_what_is_known_or_from_the_future_change_nothing(
    world: World, told_at: int | None
) -> None:
    before = known(world, at=START)
    world.end(world.run_of(recurring(world)), at=START + MINUTE, **tells(0.1, at=told_at))
    assert world.store.read_usage().reading == before


def test_what_a_run_was_told_ends_neither_a_failure_nor_its_back_off(world: World) -> None:
    known(world, at=START)
    failure = Failure("usage_rate_limited", "too many", START + 1, START + 900_000, 3)
    world.store.record_failure(failure)
    assert world.store.begin_asking("somebody", at=START + 2, until=START + 30_000)
    world.end(world.run_of(recurring(world)), at=START + 10, **tells(0.5, at=START + 5))
    assert world.store.read_usage().failure == failure
    assert not world.store.begin_asking("another", at=START + 20, until=START + 31_000)
    assert world.store.list_runs(RunFilter())[0].state is State.COMPLETED
