"""The leader dies, hangs or sleeps: another takes over, no tick is lost, none fires twice."""

from __future__ import annotations

import itertools
import signal
from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.run import State, Trigger
from support.installation import (
    EVERY_SECOND,
    FAULTY_NODE,
    TTL,
    missing_ticks,
    stopped,
)
from support.profile import some
from support.waiting import wait_until

HOUR = 3_600_000

if TYPE_CHECKING:
    from pathlib import Path

    from support.installation import Installation


def test_two_processes_on_one_folder_fire_each_tick_once(installation: Installation) -> None:
    task = installation.add(cron_expr=EVERY_SECOND)
    installation.start_leader()
    installation.start()
    wait_until(lambda: len(installation.operations.status.living_nodes()) == 2)
    installation.wait_for_runs(4, State.COMPLETED)
    installation.settle()
    assert missing_ticks(installation, task.id) == []
    assert {run.lease_epoch for run in installation.runs()} == {1}
    assert len({run.claimed_by for run in installation.runs(State.COMPLETED)}) == 1
    installation.check()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_follower_takes_over_when_the_leader_is_ended(
    installation: Installation, how: signal.Signals
) -> None:
    task = installation.add(cron_expr=EVERY_SECOND)
    leader = installation.start_leader()
    follower = installation.start()
    installation.wait_for_runs(2, State.COMPLETED)
    wait_until(lambda: len(installation.operations.status.living_nodes()) == 2)
    leader.send_signal(how)
    wait_until(lambda: installation.leader_pid() == follower.pid, what="the follower leads")
    assert installation.epoch() == 2
    leader.wait()
    before = len(installation.runs(State.COMPLETED))
    installation.wait_for_runs(before + 2, State.COMPLETED)
    installation.settle()
    assert missing_ticks(installation, task.id) == []
    installation.check()


def test_a_paused_leader_writes_nothing_after_takeover(installation: Installation) -> None:
    task = installation.add(cron_expr=EVERY_SECOND)
    leader = installation.start_leader()
    follower = installation.start()
    installation.wait_for_runs(1, State.COMPLETED)
    installation.stop(leader)
    wait_until(lambda: installation.leader_pid() == follower.pid, seconds=TTL + 5, what="takeover")
    leader.send_signal(signal.SIGCONT)
    before = len(installation.runs(State.COMPLETED))
    installation.wait_for_runs(before + 2, State.COMPLETED)
    installation.settle()
    assert installation.leader_pid() == follower.pid
    assert missing_ticks(installation, task.id) == []
    installation.check()


def test_a_leader_stopped_inside_the_tick_transaction_is_ended_so_that_others_can_write(
    installation: Installation, tmp_path: Path
) -> None:
    trap = tmp_path / "stop-in-tick"
    task = installation.add(cron_expr=EVERY_SECOND)
    leader = installation.start_leader(*FAULTY_NODE, TEST_STOP_IN_TICK=str(trap))
    follower = installation.start()
    wait_until(lambda: len(installation.operations.status.living_nodes()) == 2)
    installation.wait_for_runs(1, State.COMPLETED)
    trap.touch()
    wait_until(lambda: stopped(leader.pid), what="the leader is stopped in its transaction")
    # The stopped process holds the write lock: nobody can write, so nobody could take over.
    wait_until(lambda: installation.leader_pid() == follower.pid, seconds=TTL + 5)
    assert leader.wait() == -signal.SIGKILL
    before = len(installation.runs(State.COMPLETED))
    installation.wait_for_runs(before + 2, State.COMPLETED)
    installation.settle()
    assert missing_ticks(installation, task.id) == []
    installation.check()


def test_a_database_locked_for_longer_than_the_ttl_loses_no_tick(
    installation: Installation,
) -> None:
    task = installation.add(cron_expr=EVERY_SECOND)
    installation.start_leader()
    installation.start()
    installation.wait_for_runs(1, State.COMPLETED)
    installation.lock_database(TTL + 2)
    before = len(installation.runs(State.COMPLETED))
    installation.wait_for_runs(before + 2, State.COMPLETED)
    installation.settle()
    assert missing_ticks(installation, task.id) == []
    installation.check()


def test_many_contenders_from_cold_make_one_leader_and_one_schema(
    installation: Installation,
) -> None:
    count = 20
    installation.start_from_cold(count)
    assert installation.epoch() == 1
    assert sum("leadership gained" in installation.log(n) for n in range(count)) == 1
    assert all(process.poll() is None for process in installation.processes)


@pytest.mark.parametrize("days", [1, -1])
def test_a_wall_clock_that_is_set_doubles_no_tick_and_keeps_the_leader(
    installation: Installation, tmp_path: Path, days: int
) -> None:
    offset = tmp_path / "offset"
    offset.write_text("0")
    task = installation.add(cron_expr=EVERY_SECOND)
    installation.start_leader(*FAULTY_NODE, TEST_CLOCK_OFFSET=str(offset))
    installation.wait_for_runs(2, State.COMPLETED)
    offset.write_text(str(days * 86_400_000))
    wait_until(lambda: "the wall clock jumped" in installation.log())
    if days > 0:
        installation.wait_for_runs(4, State.COMPLETED)
        # A machine that stalls for a second makes a small gap of its own.
        gaps = [run.skipped_count or 0 for run in installation.runs(State.SKIPPED)]
        assert max(gaps) > 1000
    else:
        # The instants of yesterday had no ticks of this task: it ticks there, too.
        before = len(installation.runs(State.COMPLETED))
        installation.wait_for_runs(before + 2, State.COMPLETED)
        offset.write_text("0")
        before = len(installation.runs(State.COMPLETED))
        installation.wait_for_runs(before + 2, State.COMPLETED)
    installation.settle()
    assert installation.epoch() == 1
    if days < 0:
        assert missing_ticks(installation, task.id) == []
    installation.check()


@pytest.mark.parametrize(
    ("ahead", "restarts"),
    some(itertools.product([2 * HOUR, 3 * 365 * 24 * HOUR], [False, True]), quick=2),
)
def test_a_clock_that_was_ahead_for_seconds_silences_nothing(
    installation: Installation, tmp_path: Path, *, ahead: int, restarts: bool
) -> None:
    offset = tmp_path / "offset"
    offset.write_text(str(ahead))  # as a machine boots whose hardware clock is wrong
    installation.add(cron_expr=EVERY_SECOND)
    first = installation.start_leader(*FAULTY_NODE, TEST_CLOCK_OFFSET=str(offset))
    installation.wait_for_runs(2, State.COMPLETED)
    if restarts:
        first.kill()
        first.wait()
    offset.write_text("0")
    if restarts:
        found = installation.operations.status.status()
        assert [(each.fix, each.task_id) for each in found.clock_troubles] == [
            ("claude-tasks daemon", 1)
        ]
        installation.start_leader(*FAULTY_NODE, TEST_CLOCK_OFFSET=str(offset))
    before = len(installation.runs(State.COMPLETED))
    installation.wait_for_runs(before + 3, State.COMPLETED)
    again = [run for run in installation.runs() if run.trigger is Trigger.CLOCK_SET]
    assert all(run.covers is not None for run in again)
    assert len(again) >= 3
    assert installation.operations.status.status().clock_troubles == ()
    installation.settle()
    installation.check()
