"""The database is exchanged or removed under a living node: it starts nothing more, and says so."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from claude_tasks.cli.exit_codes import DATABASE_GONE, STORAGE
from claude_tasks.domain.errors import StorageError
from claude_tasks.domain.run import State
from claude_tasks.settings import load_settings
from claude_tasks.wiring.data import open_data
from support.installation import DAEMON, EVERY_SECOND, missing_ticks, pause
from support.profile import some
from support.removal import remove_in_use
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.installation import Installation

SERVE = ("-m", "claude_tasks", "serve", "--port", "0")


def copy_of(installation: Installation) -> Path:
    """A backup, as SQLite makes it beside a living daemon."""
    path = installation.folder / "backup.db"
    with (
        closing(sqlite3.connect(installation.database)) as source,
        closing(sqlite3.connect(path)) as target,
    ):
        source.backup(target)
    return path


@pytest.mark.parametrize("command", [DAEMON, SERVE], ids=["daemon", "serve"])
def test_a_node_whose_database_is_replaced_ends_and_its_successor_fires_each_tick_once(
    installation: Installation, command: tuple[str, ...]
) -> None:
    task = installation.add(cron_expr=EVERY_SECOND)
    node = installation.start_leader(*command)
    installation.wait_for_runs(1, State.COMPLETED)
    backup = copy_of(installation)
    installation.operations.close()
    os.replace(backup, installation.database)
    for ending in ("-wal", "-shm"):
        (installation.data / f"tasks.db{ending}").unlink(missing_ok=True)
    assert node.wait(timeout=10) == DATABASE_GONE
    assert "another database has taken the place of the one in use" in installation.log()
    installation.reopen()
    installation.start_leader(*command)
    before = len(installation.runs(State.COMPLETED))
    installation.wait_for_runs(before + 2, State.COMPLETED)
    installation.settle()
    assert missing_ticks(installation, task.id) == []


@pytest.mark.parametrize("what", ["the file", "the folder"])
def test_a_node_whose_data_was_removed_ends_starts_nothing_and_makes_nothing_again(
    installation: Installation, what: str
) -> None:
    installation.add(cron_expr=EVERY_SECOND)
    node = installation.start_leader()
    installation.wait_for_runs(1, State.COMPLETED)
    installation.operations.close()
    if what == "the folder":
        remove_in_use(installation.data)
    else:
        for ending in ("", "-wal", "-shm"):
            (installation.data / f"tasks.db{ending}").unlink()
    assert node.wait(timeout=10) == DATABASE_GONE
    assert "the database was removed while it was in use" in installation.log()
    started = installation.starts.read_text()
    assert not installation.database.exists()
    assert installation.data.exists() == (what == "the file")
    assert installation.starts.read_text() == started


@pytest.mark.parametrize(
    "endings", some([("-wal",), ("-wal", "-shm"), ("-shm",)], quick=2), ids="".join
)
def test_a_node_whose_log_was_removed_ends_and_another_fires_each_tick_once(
    installation: Installation, endings: tuple[str, ...]
) -> None:
    installation.add(cron_expr=EVERY_SECOND)
    node = installation.start_leader()
    installation.wait_for_runs(2, State.COMPLETED)
    installation.operations.close()
    for ending in endings:
        (installation.data / f"tasks.db{ending}").unlink()
    assert node.wait(timeout=10) == DATABASE_GONE
    assert "tasks.db-" in installation.log()
    installation.reopen()
    before = len(installation.runs(State.COMPLETED))
    installation.start_leader()
    installation.wait_for_runs(before + 2, State.COMPLETED)
    installation.settle()
    ticks = [run.scheduled_for for run in installation.runs()]
    assert len(ticks) == len(set(ticks))


def test_a_database_whose_path_leads_in_a_circle_is_gone(installation: Installation) -> None:
    installation.add(cron_expr=EVERY_SECOND)
    node = installation.start_leader()
    installation.wait_for_runs(1, State.COMPLETED)
    installation.operations.close()
    installation.database.rename(installation.data / "old.db")
    installation.database.symlink_to("tasks.db")
    assert node.wait(timeout=10) == DATABASE_GONE


@pytest.mark.parametrize("name", ["tasks.db", "tasks.db-shm"])
def test_a_pipe_in_the_place_of_a_file_holds_no_command(
    installation: Installation, name: str
) -> None:
    installation.add(enabled=False)
    installation.operations.close()
    path = installation.data / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    for command in (("doctor", "nodes", "database"), ("list",)):
        done = subprocess.run(
            [sys.executable, "-m", "claude_tasks", *command],
            env={**os.environ, **installation.environment},
            capture_output=True,
            timeout=20,
            check=False,
        )
        assert done.returncode in (0, 1, 5), done.stderr
        assert b"Traceback" not in done.stderr
    path.unlink()


def test_an_agent_goes_on_when_its_database_goes(installation: Installation) -> None:
    installation.add(enabled=False, prompt="[case:slow seconds=2]")
    node = installation.start_leader()
    run = installation.operations.runs.start(1)
    pid = installation.supervisor_pid(run)
    backup = copy_of(installation)
    installation.operations.close()
    os.replace(backup, installation.database)
    assert node.wait(timeout=10) == DATABASE_GONE
    assert os.path.exists(f"/proc/{pid}"), "its supervisor was ended with the node"
    ended = installation.data / "runs" / f"{run.id}.1" / "exit.json"
    wait_until(ended.exists, what="the agent ended by itself")
    installation.reopen()


def test_an_end_that_waited_for_the_write_lock_goes_into_the_new_database(
    installation: Installation,
) -> None:
    """The old file takes writes as before, and the folder that tells the new one would be gone."""
    installation.add(enabled=False, prompt="[case:slow seconds=1]")
    node = installation.start_leader()
    run = installation.operations.runs.start(1)
    installation.supervisor_pid(run)
    ended = installation.data / "runs" / f"{run.id}.1" / "exit.json"

    def the_engine_waits_to_record_it() -> None:
        wait_until(ended.exists, what="the agent has ended")
        pause(0.5)

    installation.replace_database(meanwhile=the_engine_waits_to_record_it)
    assert node.wait(timeout=10) == DATABASE_GONE
    assert "Traceback" not in installation.log()
    assert ended.exists(), "its end was written where nobody reads it"
    installation.reopen()
    installation.start_leader()
    installation.wait_for_runs(1, State.COMPLETED)
    installation.check()


@pytest.mark.parametrize("command", [DAEMON, SERVE, ("-m", "claude_tasks", "list")])
def test_no_database_is_made_where_runs_or_logs_are_left(
    installation: Installation, command: tuple[str, ...]
) -> None:
    installation.start_leader()
    installation.add(enabled=False)
    installation.operations.runs.start(1)
    installation.wait_for_runs(1, State.COMPLETED)
    installation.processes[0].terminate()
    installation.processes[0].wait()
    installation.operations.close()
    for ending in ("", "-wal", "-shm"):
        (installation.data / f"tasks.db{ending}").unlink(missing_ok=True)
    assert installation.start(*command).wait(timeout=20) == STORAGE
    assert "is gone, but runs or logs of it are still there" in installation.log(1)
    assert "mv " in installation.log(1), "the command that helps"
    assert not installation.database.exists()


def test_a_living_node_opens_what_is_there_and_makes_nothing(tmp_path: Path) -> None:
    settings = load_settings({"CLAUDE_TASKS_DATA": str(tmp_path / "data")})
    with pytest.raises(StorageError, match="is gone"):
        open_data(settings, existing=True)
    assert not (tmp_path / "data").exists()


def test_two_spellings_of_a_folder_are_one(installation: Installation) -> None:
    alias = installation.folder / "alias"
    alias.symlink_to(installation.data)
    task = installation.add(cron_expr=EVERY_SECOND, prompt="[case:slow seconds=3]", overlap="allow")
    first = installation.start_leader()
    second = installation.start(CLAUDE_TASKS_DATA=str(alias))
    wait_until(lambda: len(installation.operations.status.living_nodes()) == 2)
    installation.wait_for_runs(1, State.RUNNING)
    first.kill()
    wait_until(lambda: installation.leader_pid() == second.pid)
    # It knows the agents of the first by the folder in their environment.
    run = installation.wait_for_runs(1, State.RUNNING)[0]  # the newest: it lives long enough
    os.kill(installation.supervisor_pid(run), 9)
    wait_until(lambda: installation.operations.runs.get(run.id).state is State.FAILED)
    installation.settle()
    assert missing_ticks(installation, task.id) == []
    installation.check()
