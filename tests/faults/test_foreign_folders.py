"""What is not ours among the folders of runs and logs stops nothing, and is not believed."""

from __future__ import annotations

import fcntl
import os
import select
from typing import TYPE_CHECKING

from claude_tasks.domain.run import State
from support.installation import EVERY_SECOND
from support.removal import remove_in_use
from support.workshop import Workshop

if TYPE_CHECKING:
    from pathlib import Path

    from support.installation import Installation


def test_what_makes_no_sense_among_the_runs_stops_no_tick(installation: Installation) -> None:
    runs = installation.data / "runs"
    (runs / "901.1").write_text("a file")
    (runs / "902.1" / "spec.json").mkdir(parents=True)
    (runs / "902.1" / "exit.json").write_text("{}")
    (runs / "2.1").mkdir()
    os.mkfifo(runs / "2.1" / "prompt.txt")  # where the second run will want to be
    (runs / "3.1").write_text("a file")
    installation.add(cron_expr=EVERY_SECOND, overlap="allow")
    node = installation.start_leader()
    done = installation.wait_for_runs(5, State.COMPLETED)
    assert {(1, 1), (2, 2), (3, 2)} <= {(run.id, run.claim) for run in done}
    remove_in_use(runs)
    installation.wait_for_runs(len(done) + 2, State.COMPLETED)
    assert node.poll() is None


def test_a_folder_that_turns_into_something_else_ends_its_run_and_no_other(
    installation: Installation,
) -> None:
    held = installation.add(name="held", enabled=False, prompt="[case:slow seconds=60]")
    installation.add(name="good", cron_expr=EVERY_SECOND)
    first = installation.start_leader()
    run = installation.operations.runs.start(held.id)
    installation.supervisor_pid(run)
    first.kill()
    first.wait()
    folder = installation.data / "runs" / f"{run.id}.1"
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("a file")
    node = installation.start_leader()
    [lost] = installation.wait_for_runs(1, State.FAILED)
    assert "it was set aside" in (lost.error or "")
    before = len(installation.runs(State.COMPLETED))
    installation.wait_for_runs(before + 2, State.COMPLETED)
    assert node.poll() is None


def test_a_run_of_another_database_keeps_its_folder_and_its_result(
    installation: Installation,
) -> None:
    """As after a backup was put back: the numbers begin again, and another's agent still works."""
    theirs = installation.data / "runs" / "1.1"
    theirs.mkdir()
    with (theirs / "spec.json").open("w") as spec:
        fcntl.flock(spec, fcntl.LOCK_EX)
        task = installation.add(enabled=False)
        installation.start_leader()
        run = installation.operations.runs.start(task.id)
        installation.wait_for_runs(1, State.COMPLETED)
        assert installation.starts.read_text().split() == [f"{run.id}.2"]
    assert spec.closed


def test_a_link_in_the_place_of_a_task_s_logs_is_not_followed(
    installation: Installation, tmp_path: Path
) -> None:
    task = installation.add(enabled=False)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (installation.data / "logs" / str(task.id)).symlink_to(elsewhere)
    installation.start_leader()
    installation.operations.runs.start(task.id)
    [run] = installation.wait_for_runs(1, State.COMPLETED)
    assert "the run log could not be written: its folder is a link" in (run.error or "")
    assert not list(elsewhere.glob("*.json"))


def test_an_idle_spawner_is_left_in_peace(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.run("hello")
    spawner = workshop.execution._executor._spawner
    spawner._heard_at -= 60  # a minute later
    workshop.execution.settle(at=workshop.clock.now())
    assert not workshop.execution.busy
    assert spawner.descriptor is not None
    assert select.select([spawner.descriptor], [], [], 0.3)[0] == [], "its answer would wake a node"
    workshop.close()
