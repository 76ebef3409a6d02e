"""A node that hangs is replaced, and what it held goes on: its runs, its queue, its places."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import psutil
import pytest

from claude_tasks.domain.run import Reason, State
from support.installation import EVERY_SECOND, FAULTY_NODE, TTL, stopped
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from claude_tasks.domain.run import Run
    from support.installation import Installation

SETTLED_SECONDS = TTL + 5
"""What a hung node held is settled within this."""


def run_of(installation: Installation, name: str) -> Run:
    return next(run for run in installation.runs() if run.task_name == name)


def in_flight(installation: Installation, count: int) -> None:
    wait_until(
        lambda: (
            installation.starts.exists() and len(installation.starts.read_text().split()) >= count
        ),
        what=f"{count} agents were started",
    )


def test_what_a_stopped_leader_ran_is_recorded_and_its_places_are_free(
    installation: Installation,
) -> None:
    installation.environment["CLAUDE_TASKS_MAX_CONCURRENT_RUNS"] = "4"
    held = [
        installation.add(
            name=overlap, cron_expr="@every 1s", overlap=overlap, prompt="[case:slow seconds=2]"
        )
        for overlap in ("skip", "queue", "cancel_other", "allow")
    ]
    leader = installation.start_leader()
    follower = installation.start()
    in_flight(installation, 4)
    installation.stop(leader)
    others = installation.add(name="unrelated", cron_expr=EVERY_SECOND)
    wait_until(
        lambda: installation.leader_pid() == follower.pid, seconds=SETTLED_SECONDS, what="takeover"
    )
    for task in [*held, others]:
        wait_until(
            lambda task=task: any(  # type: ignore[misc]
                run.task_id == task.id and run.state is State.COMPLETED and run.lease_epoch == 2
                for run in installation.runs()
            ),
            seconds=SETTLED_SECONDS,
            what=f"{task.name} runs again while the old leader is still stopped",
        )
    assert stopped(leader.pid)
    leader.send_signal(signal.SIGCONT)
    installation.settle()
    installation.check()


@pytest.mark.parametrize("instant", ["TEST_STOP_BEFORE_LAUNCH", "TEST_STOP_BEFORE_REQUEST"])
def test_a_claim_that_was_put_back_is_not_started_by_the_node_that_slept_on_it(
    installation: Installation, tmp_path: Path, instant: str
) -> None:
    trap = tmp_path / "trap"
    task = installation.add(name="once", enabled=False)
    leader = installation.start_leader(*FAULTY_NODE, **{instant: str(trap)})
    follower = installation.start()
    wait_until(lambda: len(installation.operations.status.living_nodes()) == 2)
    trap.touch()
    run = installation.operations.runs.start(task.id)
    wait_until(lambda: stopped(leader.pid), what="the leader sleeps on its claim")
    wait_until(
        lambda: installation.operations.runs.get(run.id).state is State.COMPLETED,
        seconds=2 * SETTLED_SECONDS,
        what="the run was put back, and started by the next leader",
    )
    assert installation.leader_pid() == follower.pid
    leader.send_signal(signal.SIGCONT)
    wait_until(lambda: "queued again" in installation.log() or not folders(installation))
    again = installation.operations.runs.start(task.id)
    installation.wait_for_runs(2, State.COMPLETED)
    assert installation.starts.read_text().split() == [f"{run.id}.2", f"{again.id}.1"]
    installation.settle()
    wait_until(lambda: not folders(installation), what="the sleeper clears up after itself")
    installation.check()


def folders(installation: Installation) -> list[str]:
    return os.listdir(installation.data / "runs")


def test_a_run_of_a_stopped_node_goes_on_and_can_be_cancelled(installation: Installation) -> None:
    task = installation.add(enabled=False, prompt="[case:slow seconds=60]")
    leader = installation.start_leader()
    follower = installation.start()
    run = installation.operations.runs.start(task.id)
    in_flight(installation, 1)
    installation.stop(leader)
    wait_until(lambda: installation.leader_pid() == follower.pid, seconds=SETTLED_SECONDS)
    wait_until(
        lambda: "adopted run" in installation.log(1), seconds=SETTLED_SECONDS, what="it is adopted"
    )
    assert installation.operations.runs.get(run.id).state is State.RUNNING
    installation.operations.runs.cancel(run.id)
    [cancelled] = installation.wait_for_runs(1, State.CANCELLED)
    assert cancelled.reason is Reason.CANCELLED
    assert stopped(leader.pid)
    leader.send_signal(signal.SIGCONT)
    installation.settle()
    installation.check()


def test_a_run_of_a_stopped_node_keeps_its_time_limit(installation: Installation) -> None:
    task = installation.add(enabled=False, prompt="[case:slow seconds=60]", timeout_seconds=2)
    leader = installation.start_leader()
    installation.start()
    installation.operations.runs.start(task.id)
    in_flight(installation, 1)
    installation.stop(leader)
    [ended] = installation.wait_for_runs(1, State.FAILED, seconds=2 * SETTLED_SECONDS)
    assert ended.reason is Reason.TIMEOUT
    assert stopped(leader.pid)
    installation.check()


def test_what_waits_for_a_stopped_follower_goes_to_the_leader(installation: Installation) -> None:
    task = installation.add(enabled=False)
    installation.start_leader()
    follower = installation.start()
    wait_until(lambda: len(installation.operations.status.living_nodes()) == 2)
    [node] = [
        node for node in installation.operations.status.living_nodes() if node.pid == follower.pid
    ]
    installation.stop(follower)
    installation.operations.runs.start(task.id, assigned_to=node.id)
    installation.wait_for_runs(1, State.COMPLETED, seconds=SETTLED_SECONDS)
    assert stopped(follower.pid)
    installation.check()


def test_a_stopped_spawner_is_replaced_and_its_runs_start(installation: Installation) -> None:
    slow = installation.add(enabled=False, prompt="[case:slow seconds=3]")
    task = installation.add(enabled=False)
    leader = installation.start_leader()
    survivor = installation.operations.runs.start(slow.id)
    in_flight(installation, 1)
    [spawner] = psutil.Process(leader.pid).children()
    spawner.suspend()
    run = installation.operations.runs.start(task.id)
    wait_until(
        lambda: installation.operations.runs.get(run.id).state is State.COMPLETED,
        seconds=SETTLED_SECONDS,
        what="the run starts under another spawner",
    )
    wait_until(lambda: installation.operations.runs.get(survivor.id).state is State.COMPLETED)
    assert not spawner.is_running() or spawner.status() == psutil.STATUS_ZOMBIE
    installation.check()


def test_a_node_with_a_stopped_spawner_ends_when_it_is_told(installation: Installation) -> None:
    leader = installation.start_leader()
    [spawner] = psutil.Process(leader.pid).children()
    spawner.suspend()
    leader.send_signal(signal.SIGTERM)
    assert leader.wait(timeout=5) == 0


def before(run: Run, tick: int) -> bool:
    return run.scheduled_for is not None and run.scheduled_for <= tick


def test_a_run_that_ended_while_nobody_lived_does_not_overlap_the_next(
    installation: Installation,
) -> None:
    installation.add(cron_expr="@every 3s", prompt="[case:slow seconds=1]")
    first = installation.start_leader()
    in_flight(installation, 1)
    first.kill()
    first.wait()
    run = installation.runs()[0]
    wait_until(
        (installation.data / "runs" / f"{run.id}.{run.claim}" / "exit.json").exists,
        what="the run ended under its supervisor",
    )
    due = installation.query("SELECT next_run_at FROM tasks")[0][0]
    wait_until(
        lambda: installation.operations.status.status().at > due, what="the next tick is due"
    )
    installation.start_leader()
    runs = installation.wait_for_runs(2, State.COMPLETED)
    caught_up = runs[1].scheduled_for or 0
    assert caught_up >= due, "later where the start took longer than a tick"
    skips = [run.reason for run in installation.runs(State.SKIPPED) if before(run, caught_up)]
    assert Reason.OVERLAP not in skips
    installation.settle()
    installation.check()
