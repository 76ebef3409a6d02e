"""The faults at length: many candidates, random blows, and the whole database checked afterwards.

``CHAOS_SECONDS`` says for how long, ``CHAOS_SEED`` repeats a run.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from claude_tasks.domain.run import Reason, State
from support.installation import EVERY_SECOND, TTL, missing_ticks, pause
from support.waiting import wait_until

if TYPE_CHECKING:
    import subprocess

    from support.installation import Installation

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]

SECONDS = float(os.environ.get("CHAOS_SECONDS", "60"))
SEED = int(os.environ.get("CHAOS_SEED", str(random.SystemRandom().randrange(10**6))))
CANDIDATES = 6


def test_random_faults_lose_no_tick_and_double_none(installation: Installation) -> None:
    print(f"CHAOS_SEED={SEED}")
    chance = random.Random(SEED)
    tasks = [
        installation.add(name="steady", cron_expr=EVERY_SECOND),
        installation.add(
            name="slow", cron_expr=EVERY_SECOND, overlap="queue", prompt="[case:slow seconds=1.5]"
        ),
        installation.add(
            name="wide", cron_expr=EVERY_SECOND, overlap="allow", prompt="[case:slow seconds=2]"
        ),
        installation.add(name="every", cron_expr="@every 2s", catchup="all"),
    ]
    processes = [installation.start() for _ in range(CANDIDATES)]
    blows = 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        pause(chance.uniform(0.2, 2.0))
        place = chance.randrange(CANDIDATES)
        blow = chance.choice(["kill", "kill", "term", "stop", "stop-leader", "edit"])
        blows += 1
        if blow == "stop-leader":
            leader = installation.leader_pid()
            place = next((n for n, p in enumerate(processes) if p.pid == leader), place)
        _strike(installation, processes, place, blow, chance)
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
    if all(process.poll() is not None for process in processes):
        installation.start()
    wait_until(lambda: installation.leader_pid() is not None, seconds=60)
    before = len(installation.runs(State.COMPLETED))
    installation.wait_for_runs(before + 2, State.COMPLETED, seconds=60)
    for task in tasks:
        installation.operations.tasks.disable(task.id)
    for run in installation.runs(State.QUEUED):
        with contextlib.suppress(Exception):
            installation.operations.runs.cancel(run.id)
    wait_until(
        lambda: not installation.runs(State.QUEUED) and not installation.runs(State.RUNNING),
        seconds=120,
        what="everything ends",
    )
    installation.check()
    for task in tasks[:3]:
        assert missing_ticks(installation, task.id) == []
    runs = installation.runs()
    lost = [run for run in runs if run.reason is Reason.LOST]
    print(
        f"{blows} faults, {installation.epoch()} epochs, {len(runs)} rows, "
        f"{len([r for r in runs if r.state is State.COMPLETED])} completed, {len(lost)} lost"
    )
    assert not lost, "no supervisor was killed"


def _strike(
    installation: Installation,
    processes: list[subprocess.Popen[bytes]],
    place: int,
    blow: str,
    chance: random.Random,
) -> None:
    process = processes[place]
    if blow == "edit":
        summary = chance.choice(installation.operations.tasks.list())
        installation.operations.tasks.edit(summary.task.id, {"model": f"m{chance.random()}"})
        return
    if blow.startswith("stop"):
        process.send_signal(signal.SIGSTOP)
        pause(chance.choice([0.3, TTL + 1.5]))
        process.send_signal(signal.SIGCONT)
        return
    process.send_signal(signal.SIGKILL if blow == "kill" else signal.SIGTERM)
    process.wait(timeout=30)
    processes[place] = installation.start()


def test_fifty_contenders_from_cold_make_one_leader(installation: Installation) -> None:
    count = 50
    installation.start_from_cold(count)
    assert installation.epoch() == 1
    assert all(process.poll() is None for process in installation.processes)


def test_a_database_locked_for_thirty_seconds_loses_no_tick(installation: Installation) -> None:
    task = installation.add(cron_expr=EVERY_SECOND)
    installation.start_leader()
    installation.start()
    installation.wait_for_runs(1, State.COMPLETED)
    installation.lock_database(30)
    before = len(installation.runs(State.COMPLETED))
    installation.wait_for_runs(before + 2, State.COMPLETED, seconds=60)
    installation.settle()
    assert missing_ticks(installation, task.id) == []
    installation.check()


@pytest.mark.parametrize("mode", ["", "mode=text", "mode=oneline"])
def test_a_gigabyte_of_output_is_bounded(installation: Installation, mode: str) -> None:
    installation.start_leader()
    task = installation.add(prompt=f"[case:big_output bytes=1000000000 {mode}]", enabled=False)
    run = installation.operations.runs.start(task.id)
    supervisor = psutil.Process(
        installation.supervisor_pid(installation.operations.runs.get(run.id))
    )
    most = 0

    def ended() -> bool:
        nonlocal most
        with contextlib.suppress(psutil.NoSuchProcess):
            most = max(most, supervisor.memory_info().rss)
        return installation.operations.runs.get(run.id).state.is_terminal

    wait_until(ended, seconds=300)
    assert most < 64 * 1024 * 1024
    size = sum(path.stat().st_size for path in (installation.data / "logs").rglob("*.jsonl"))
    assert size < 18 * 1024 * 1024
    installation.check()
