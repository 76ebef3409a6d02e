"""Defects of earlier schedulers of this kind, one test each: none of them may come back."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from claude_tasks.domain.errors import LeadershipLostError, NotFoundError, StorageError
from claude_tasks.domain.run import Reason, State, Trigger
from claude_tasks.domain.store_records import Finish, RunFilter
from claude_tasks.domain.task_schedule import schedule_of
from claude_tasks.domain.tick import plan_ticks
from claude_tasks.execution.command import agent_argv
from claude_tasks.operations.tasks import TaskOperations
from claude_tasks.storage.sqlite.store import open_store
from support.builders import ME, MINUTELY, add_task, completed, lead, node, spec
from support.clock import START
from support.installation import EVERY_SECOND
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from claude_tasks.domain.ports import Store
    from support.clock import FakeClock
    from support.installation import Installation


def now() -> int:
    return time.time_ns() // 1_000_000


def test_a_herd_on_one_tick_loses_none_and_leaves_none_running(
    installation: Installation,
) -> None:
    """Was: "database is locked" lost a fifth of the ticks and left rows running for ever."""
    at = now() + 1500
    count = 60
    installation.operations.tasks.add_all(
        [
            spec(name=f"t{n}", scheduled_at=at, working_dir=str(installation.folder))
            for n in range(count)
        ]
    )
    daemon = installation.start_leader(CLAUDE_TASKS_MAX_CONCURRENT_RUNS=str(count))
    wait_until(lambda: len(installation.runs()) == count, what="every tick has its row")
    daemon.terminate()  # in the middle of it
    assert daemon.wait(timeout=10) == 0
    installation.start_leader(CLAUDE_TASKS_MAX_CONCURRENT_RUNS=str(count))
    installation.wait_for_runs(count, State.COMPLETED, seconds=60)
    installation.check()


def test_an_overdue_one_off_fires_once_and_never_again(installation: Installation) -> None:
    """Was: twice within half a second of the start, and again every ten seconds."""
    task = installation.add(scheduled_at=now() - 60_000)
    daemon = installation.start_leader()
    installation.wait_for_runs(1, State.COMPLETED)
    daemon.terminate()
    daemon.wait()
    installation.start_leader()
    other = installation.add(cron_expr=EVERY_SECOND)
    installation.wait_for_runs(3, State.COMPLETED)
    assert len([run for run in installation.runs() if run.task_id == task.id]) == 1
    installation.operations.tasks.disable(other.id)
    installation.settle()
    installation.check()


def test_a_one_offs_new_time_is_noticed_from_another_process(installation: Installation) -> None:
    """Was: it fired at the old time and was disabled."""
    installation.start_leader()
    task = installation.add(scheduled_at=now() + 700)
    installation.operations.tasks.edit(task.id, {"scheduled_at": now() + 3_600_000})
    other = installation.add(cron_expr=EVERY_SECOND)
    installation.wait_for_runs(2, State.COMPLETED)  # the old time has passed
    assert {run.task_id for run in installation.runs()} == {other.id}
    assert installation.operations.tasks.get(task.id).spec.enabled
    installation.settle()


def test_a_leader_that_lost_the_lease_cannot_fire(open_another: Callable[[], Store]) -> None:
    """Was: leadership survived failing renewals, and nothing was checked when firing."""
    store, other = open_another(), open_another()
    task = add_task(store, at=START, cron_expr=MINUTELY)
    stale = lead(store, at=START)
    lead(other, at=START, node_id="node-b")
    at = START + 60_000
    with pytest.raises(LeadershipLostError):
        store.record_ticks(stale, [plan_ticks(task, at=at)], at=at)
    assert other.count_runs(RunFilter()) == 0


def test_one_task_does_not_run_four_times_at_once(installation: Installation) -> None:
    """Was: no overlap guard."""
    task = installation.add(cron_expr=EVERY_SECOND, prompt="[case:slow seconds=60]")
    installation.start_leader()
    wait_until(lambda: len(installation.runs(State.SKIPPED)) >= 3, what="three ticks turned away")
    installation.operations.tasks.disable(task.id)
    runs = installation.runs()
    [running] = [run for run in runs if run.state is not State.SKIPPED]
    assert running.state is State.RUNNING
    # A machine that stalls for a second also gathers ticks into a missed one.
    assert Reason.OVERLAP in {run.reason for run in runs} <= {None, Reason.OVERLAP, Reason.MISSED}
    installation.operations.runs.cancel(running.id)
    installation.settle()
    installation.check()


def test_there_is_a_global_limit(installation: Installation) -> None:
    """Was: none."""
    at = now() + 500
    for _ in range(6):
        installation.add(scheduled_at=at, prompt="[case:slow seconds=0.5]")
    installation.start_leader(CLAUDE_TASKS_MAX_CONCURRENT_RUNS="2")
    most = 0

    def all_done() -> bool:
        nonlocal most
        most = max(most, len(installation.runs(State.RUNNING)))
        return len(installation.runs(State.COMPLETED)) == 6

    wait_until(all_done)
    assert most == 2
    installation.check()


def test_rows_left_running_are_reconciled(installation: Installation) -> None:
    """Was: stopping left them running for ever."""
    task = installation.add(prompt="[case:slow seconds=1]", enabled=False)
    daemon = installation.start_leader()
    run = installation.operations.runs.start(task.id)
    installation.supervisor_pid(run)
    daemon.kill()
    daemon.wait()
    installation.start_leader()
    installation.wait_for_runs(1, State.COMPLETED)
    installation.check()


def test_an_edit_made_during_a_run_survives_its_end(store: Store, clock: FakeClock) -> None:
    """Was: the whole row was written back: a new prompt lost, a disabled task enabled again."""
    tasks = TaskOperations(store, clock, actor=ME)
    task = tasks.add(spec(cron_expr=MINUTELY))
    term = lead(store, at=clock.now())
    clock.advance(60)
    at = clock.now()
    store.record_ticks(term, [plan_ticks(store.get_task(task.id), at=at)], at=at)
    [claimed] = store.claim_runs("node-a", term=term, limit=8, per_node=False, at=at)
    tasks.edit(task.id, {"prompt": "edited", "enabled": False})
    store.finish_runs([Finish(claimed.run.id, 1, completed(at=at), None)], at=at)
    after = store.get_task(task.id)
    assert (after.spec.prompt, after.spec.enabled, after.next_run_at) == ("edited", False, None)


def test_a_time_limit_is_not_prolonged_by_a_grandchild_that_holds_the_pipe(
    installation: Installation, tmp_path: Path
) -> None:
    """Was: a limit of 2 s lasted 12."""
    stray = tmp_path / "stray"
    installation.start_leader()
    installation.add(prompt=f"[case:escaped seconds=30 pid_file={stray}]", timeout_seconds=2)
    [run] = installation.wait_for_runs(1, State.FAILED)
    assert run.reason is Reason.TIMEOUT
    assert run.duration_ms is not None
    assert run.duration_ms < 4500
    pid = int(stray.read_text().split()[0])
    wait_until(lambda: not psutil.pid_exists(pid))


def test_a_prompt_is_neither_flags_nor_visible_to_other_users(
    installation: Installation,
) -> None:
    """Was: a prompt that starts with a dash became flags; every prompt stood in ``ps``."""
    prompt = "--version is what this secret prompt starts with [case:slow seconds=5]"
    installation.start_leader()
    installation.add(prompt=prompt)
    wait_until(installation.starts.exists)
    lines = [" ".join(process.cmdline()) for process in _processes(installation)]
    assert lines
    assert not [line for line in lines if "secret prompt" in line]
    installation.operations.runs.cancel(installation.runs()[0].id)
    installation.settle()


def _processes(installation: Installation) -> list[psutil.Process]:
    children = [
        child
        for process in installation.processes
        for child in psutil.Process(process.pid).children(recursive=True)
    ]
    return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]


def test_times_sort_right_across_the_end_of_daylight_saving(store: Store) -> None:
    """Was: local times as text; two queries disagreed on the latest run."""
    task = add_task(store, at=START, cron_expr="*/30 1 * * *", timezone="America/New_York")
    before_midnight = 1_793_505_600_000  # 2026-11-01T04:00:00Z, 00:00 in New York
    fired: list[int] = []
    current = task._replace(next_run_at=None)

    tick = schedule_of(current).next_after(before_midnight)
    while tick is not None and len(fired) < 3:
        fired.append(tick)
        tick = schedule_of(current).next_after(tick)
    assert fired == sorted(fired)
    types = {
        type(value)
        for value in store._connection.rows(  # type: ignore[attr-defined]
            "SELECT created_at, updated_at, cursor_at FROM tasks"
        )[0]
    }
    assert types == {int}, "instants are UTC milliseconds, never local text"


def test_a_one_off_is_not_used_up_by_a_skip(store: Store, clock: FakeClock) -> None:
    """Was: skipped or not, it was disabled: lost."""
    task = TaskOperations(store, clock, actor=ME).add(spec(scheduled_at=clock.now() + 1000))
    store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to=None, at=clock.now())
    clock.advance(1)
    term = lead(store, at=clock.now())
    plan = plan_ticks(store.get_task(task.id), at=clock.now())
    store.record_ticks(term, [plan], at=clock.now())
    [scheduled] = [run for run in store.list_runs(RunFilter()) if run.scheduled_for]
    assert scheduled.state is State.QUEUED, "it waits for the manual run instead of yielding"


def test_the_conclusion_of_a_long_output_is_kept_with_its_cost(
    installation: Installation,
) -> None:
    """Was: the first 256 KiB kept, the conclusion thrown away; no cost, tokens or turns."""
    installation.start_leader()
    installation.add(prompt="[case:big_output bytes=5000000]")
    [run] = installation.wait_for_runs(1, State.COMPLETED)
    assert run.cost_usd is not None
    assert run.num_turns is not None
    assert run.input_tokens is not None
    assert run.output


def test_no_task_bypasses_permissions_unless_told_to(store: Store) -> None:
    """Was: the default mode."""
    argv = agent_argv("claude", add_task(store, at=START))
    assert not [word for word in argv if "bypass" in word or "dangerously" in word]


def test_a_database_error_is_never_taken_for_a_missing_task(store: Store) -> None:
    """Was: any database error became 404."""
    store.close()
    with pytest.raises(StorageError):
        store.get_task(1)
    assert not issubclass(StorageError, NotFoundError)


def test_a_total_counts_all_not_the_page(store: Store) -> None:
    """Was: the page size."""
    for _ in range(5):
        task = add_task(store, at=START)
        store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to=None, at=START)
    assert store.count_runs(RunFilter(limit=2)) == 5


def test_a_dead_nodes_reused_pid_blocks_nothing(installation: Installation) -> None:
    """Was: a PID file whose number another process had got."""
    ghost = node("ghost", pid=os.getpid())  # a pid that lives, of a node that does not

    store = open_store(str(installation.database), at=0)
    store.register_node(ghost)
    assert store.take_lease(store.read_lease(), ghost, ttl_ms=600_000, at=now()) is not None
    (installation.data / "nodes" / "ghost.lock").touch()  # its lock, held by nobody
    store.close()
    daemon = installation.start_leader()
    assert installation.leader_pid() == daemon.pid
    wait_until(
        lambda: [entry.id for entry in installation.operations.status.living_nodes()] != [],
    )
