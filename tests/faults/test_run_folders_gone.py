"""The folder of a run under way is removed, replaced or filled: no run starts twice or for ever."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import psutil
import pytest

from claude_tasks.domain.run import Reason, State
from claude_tasks.execution.run_folder import REMOVED
from support.installation import EVERY_SECOND
from support.removal import remove_in_use
from support.waiting import wait_until

if TYPE_CHECKING:
    from support.installation import Installation

_AGENT = """#!/usr/bin/env python3
import json, os, sys, time
if "--version" in sys.argv:
    sys.exit(print("2.1.330 (Claude Code)"))
prompt, folder = sys.stdin.read().strip(), os.environ["CLAUDE_TASKS_RUN"]
if prompt in ("deep", "many"):
    time.sleep(1)
if prompt == "deep":
    os.chdir(folder)
    for _ in range(3000):
        os.mkdir("d")
        os.chdir("d")
    os.chdir("/")
elif prompt == "many":
    for number in range(20000):
        open(f"{folder}/{number}", "w").close()
elif prompt != "well":
    for name in os.listdir(folder):
        os.unlink(f"{folder}/{name}")
    os.rmdir(folder)
    if prompt == "file":
        open(folder, "w").close()
    else:
        os.symlink(folder if prompt == "loop" else "/nowhere", folder)
    time.sleep(1)
print(json.dumps({"type": "result", "subtype": "success", "is_error": False, "result": "ok",
                  "num_turns": 1, "session_id": "x", "total_cost_usd": 0.5}), flush=True)
"""


def agent_is_started(installation: Installation) -> None:
    wait_until(installation.starts.exists, what="an agent was started")


def who_watches(installation: Installation) -> str:
    [(node,)] = installation.query("SELECT claimed_by FROM task_runs")
    return str(node)


def start_another(installation: Installation, before: str) -> None:
    """A node that watches the one run from now on, instead of that one."""
    installation.start()
    wait_until(lambda: who_watches(installation) not in (before, "None"), what="it is adopted")


def remove_folders(installation: Installation) -> None:
    for name in os.listdir(installation.data / "runs"):
        remove_in_use(installation.data / "runs" / name)


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_a_run_whose_folder_was_removed_is_not_started_again(
    installation: Installation, fault: signal.Signals
) -> None:
    release = installation.data / "release"
    installation.add(enabled=False, prompt=f"[case:held until={release}]")
    node = installation.start_leader()
    installation.operations.runs.start(1)
    agent_is_started(installation)
    remove_folders(installation)
    launched = who_watches(installation)
    node.send_signal(fault)
    start_another(installation, launched)
    release.touch()
    [run] = installation.wait_for_runs(1, State.COMPLETED)
    assert run.claim == 1
    assert len(installation.starts.read_text().splitlines()) == 1
    node.send_signal(signal.SIGCONT)
    installation.check()


def test_a_run_of_which_nothing_on_disk_tells_is_not_started_again(
    installation: Installation,
) -> None:
    release = installation.data / "release"
    task = installation.add(enabled=False, prompt=f"[case:held until={release}]")
    logs = installation.data / "logs" / str(task.id)
    node = installation.start_leader()
    logs.touch()  # so that it cannot be written beside the events that the agent was started
    installation.operations.runs.start(task.id)
    agent_is_started(installation)
    remove_folders(installation)
    launched = who_watches(installation)
    node.kill()
    node.wait()
    start_another(installation, launched)
    release.touch()
    [run] = installation.wait_for_runs(1, State.COMPLETED)
    assert run.claim == 1
    assert len(installation.starts.read_text().splitlines()) == 1


@pytest.mark.parametrize("removed", ["its folder", "all folders"])
def test_a_run_whose_folder_and_supervisor_are_gone_is_lost(
    installation: Installation, removed: str
) -> None:
    installation.add(enabled=False, prompt="[case:slow seconds=60]")
    node = installation.start_leader()
    run = installation.operations.runs.start(1)
    supervisor = installation.supervisor_pid(run)
    agent_is_started(installation)
    children = psutil.Process(supervisor).children(recursive=True)
    node.kill()
    node.wait()
    remove_folders(installation)
    if removed == "all folders":
        os.rmdir(installation.data / "runs")
    for process in (psutil.Process(supervisor), *children):
        process.kill()
    [owner] = installation.data.glob("logs/*/*.run")
    os.utime(owner, (0, 0))  # the clock may have stood anywhere when its agent started
    installation.start_leader()
    [run] = installation.wait_for_runs(1, State.FAILED)
    assert (run.reason, run.claim) == (Reason.LOST, 1)
    assert "its folder was removed" in (run.error or "")
    assert len(installation.starts.read_text().splitlines()) == 1


@pytest.mark.parametrize("what", ["file", "link", "loop"])
def test_what_took_the_place_of_a_runs_folder_holds_neither_it_nor_others(
    installation: Installation, what: str
) -> None:
    installation.agent.write_text(_AGENT)
    installation.add(prompt="well", cron_expr=EVERY_SECOND, overlap="allow")
    evil = installation.add(prompt=what, enabled=False, timeout_seconds=2)
    installation.start_leader(CLAUDE_TASKS_MAX_CONCURRENT_RUNS="1")
    installation.wait_for_runs(1, State.COMPLETED)
    run = installation.operations.runs.start(evil.id)
    wait_until(
        lambda: installation.operations.runs.get(run.id).state.is_terminal,
        seconds=60,
        what="the run ends",
    )
    before = len(installation.runs(State.COMPLETED))
    installation.wait_for_runs(before + 2, State.COMPLETED)


@pytest.mark.parametrize("what", ["deep", "many"])
def test_what_an_agent_leaves_in_its_folder_stops_no_rescue_and_no_tick(
    installation: Installation, what: str
) -> None:
    installation.agent.write_text(_AGENT)
    installation.add(prompt="well", cron_expr=EVERY_SECOND)
    evil = installation.add(prompt=what, enabled=False)
    node = installation.start_leader()
    run = installation.operations.runs.start(evil.id)
    installation.supervisor_pid(run)
    installation.stop(node)  # so that it does not tidy up itself
    folder = installation.data / "runs" / f"{run.id}.1"
    wait_until((folder / "exit.json").exists, what="it left what it leaves")
    node.kill()
    node.wait()
    installation.start_leader()
    wait_until(lambda: installation.operations.runs.get(run.id).state.is_terminal)
    before = len(installation.runs(State.COMPLETED))
    installation.wait_for_runs(before + 2, State.COMPLETED)
    # Of this claim, in place or moved aside: what a tick's run left waits for the next tidying up.
    names = (folder.name, f"{REMOVED}{folder.name}.")
    wait_until(
        lambda: not [it for it in os.listdir(folder.parent) if it.startswith(names)],
        what="it is removed",
    )
    assert "Traceback" not in installation.log()


def test_a_file_in_the_place_of_all_run_folders_leaves_no_run_under_way(
    installation: Installation,
) -> None:
    for _ in range(2):
        task = installation.add(enabled=False, prompt="[case:slow seconds=3]")
        installation.operations.runs.start(task.id)
    installation.start_leader()
    installation.wait_for_runs(2, State.RUNNING)
    agent_is_started(installation)
    wait_until(lambda: len(installation.starts.read_text().splitlines()) == 2)
    (installation.data / "runs").rename(installation.data / "aside")
    (installation.data / "runs").touch()
    lost = installation.wait_for_runs(2, State.FAILED)
    assert {run.reason for run in lost} == {Reason.LOST}
    (installation.data / "runs").unlink()
    installation.operations.runs.start(task.id)
    [run] = installation.wait_for_runs(1, State.COMPLETED)
    assert run.id == 3
