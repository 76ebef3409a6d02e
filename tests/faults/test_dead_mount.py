"""A task on a mount that never answers stops nobody but itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.run import Reason, State
from claude_tasks.system.path_probe import Looked, look_at
from support.dead_mount import dead_mount
from support.installation import EVERY_SECOND, FAULTY_NODE, SOURCE, missing_ticks
from support.server import Server
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.dead_mount import DeadMount
    from support.installation import Installation

ANSWER_SECONDS = 2.0
TASK = {"name": "task", "prompt": "hello", "cron_expr": "0 3 1 1 *"}
SILENT_SECONDS = 2.0
"""Instead of half a minute, after which a supervisor counts as silent."""


@pytest.fixture(params=[False, True], ids=["waits that KILL ends", "waits that nothing ends"])
def mount(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DeadMount]:
    with dead_mount(tmp_path / "mount", takes_requests=request.param) as made:
        yield made


@pytest.fixture
def killable(tmp_path: Path) -> Iterator[DeadMount]:
    with dead_mount(tmp_path / "mount") as made:
        yield made


@pytest.fixture
def unkillable(tmp_path: Path) -> Iterator[DeadMount]:
    with dead_mount(tmp_path / "mount", takes_requests=True) as made:
        yield made


def test_dead_paths_do_not_keep_others_from_being_looked_at(
    mount: DeadMount, tmp_path: Path
) -> None:
    dead = [str(mount.path / str(number)) for number in range(20)]
    living = [str(tmp_path / str(number)) for number in range(20)]
    begun = time.monotonic()
    found = look_at([str(tmp_path), *dead, *living])
    assert time.monotonic() - begun < ANSWER_SECONDS
    assert found.pop(str(tmp_path)) is Looked.FOLDER
    assert {path for path, looked in found.items() if looked is Looked.NO_ANSWER} == set(dead)
    mount.let_go()
    wait_until(lambda: look_at(dead[:1]) != {dead[0]: Looked.NO_ANSWER}, what="they are let go")


def command(
    installation: Installation, *words: str
) -> tuple[subprocess.CompletedProcess[str], float]:
    """A command's result, and how long it took."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "claude_tasks", *words],
        env={**os.environ, **installation.environment, "PYTHONPATH": str(SOURCE)},
        cwd=installation.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done, time.monotonic() - begun


def test_every_face_answers_whatever_a_folder_does(
    installation: Installation, unkillable: DeadMount
) -> None:
    mount = unkillable
    task = installation.add(name="healthy", cron_expr="@daily")
    commands: list[tuple[str, ...]] = [
        ("status",),
        ("doctor",),
        ("why", str(task.id)),
        ("list",),
        ("show", str(task.id)),
        ("completion", "--task-names"),
    ]
    usual = {words: command(installation, *words)[1] for words in commands}
    dir_ = ("--dir", str(mount.path / "project"))
    added, seconds = command(installation, "add", "x", "y", "--every", "1d", "--json", *dir_)
    assert (added.returncode, seconds < ANSWER_SECONDS + usual["list",]) == (0, True)
    assert f"{mount.path}/project does not answer" in added.stderr
    dead = json.loads(added.stdout)
    assert dead["working_dir"] == str(mount.path / "project"), "it is stored all the same"
    edited, seconds = command(installation, "edit", str(task.id), "--dir", str(mount.path))
    assert (edited.returncode, seconds < ANSWER_SECONDS + usual["list",]) == (0, True)
    assert f"{mount.path} does not answer" in edited.stderr
    said = {}
    for words in commands:
        done, seconds = command(installation, *words)
        assert seconds < ANSWER_SECONDS + usual[words], words
        said[words[0]] = done.stdout
    assert "2 of 2 enabled cannot run" in said["doctor"]
    assert f"{mount.path} does not answer" in said["doctor"]
    assert "does not answer" in said["status"]
    assert "! folder" in said["why"]


def test_a_document_with_a_dead_folder_is_imported(
    installation: Installation, killable: DeadMount
) -> None:
    path = installation.folder / "tasks.json"
    task = {"name": "a", "prompt": "b", "cron_expr": "@daily", "working_dir": str(killable.path)}
    path.write_text(json.dumps({"tasks": [task, {**task, "working_dir": "/gone"}]}))
    done, _ = command(installation, "import", str(path))
    assert done.returncode == 0
    assert f"{killable.path} does not answer" in done.stderr
    assert "/gone is not there" in done.stderr


def test_a_dead_folder_holds_up_no_client_of_the_api(
    installation: Installation, killable: DeadMount
) -> None:
    server = Server(installation, "--scheduler", "false")
    tasks = [server.add(working_dir=f"{killable.path}/{number}") for number in range(8)]
    with ThreadPoolExecutor(8) as clients:
        asked = [clients.submit(server.get, f"/tasks/{task['id']}/why") for task in tasks]
        begun = time.monotonic()
        while not all(future.done() for future in asked):
            server.get("/scheduler")
            assert time.monotonic() - begun < 2 * ANSWER_SECONDS
    for future in asked:
        found = {finding["topic"]: finding for finding in future.result()["findings"]}
        assert "does not answer" in found["folder"]["text"]
    [finding] = [it for it in server.get("/doctor")["findings"] if it["id"] == "tasks"]
    assert "8 of 8 enabled cannot run" in finding["detail"]
    assert "does not answer" in finding["detail"]
    answer = server.client.put(f"/tasks/{tasks[0]['id']}", json={**TASK, "working_dir": "/gone"})
    assert answer.status_code == 200
    assert server.stop() == 0


def test_others_tick_on_time_and_the_run_itself_ends(
    installation: Installation, killable: DeadMount
) -> None:
    """Of its time limit, of a cancel: its supervisor hears neither, and is killed in the end."""
    healthy = installation.add(name="healthy", cron_expr=EVERY_SECOND)
    stuck = installation.add(name="stuck", enabled=False, timeout_seconds=1)
    below = installation.add(name="below", enabled=False, timeout_seconds=600)
    installation.operations.tasks.edit(stuck.id, {"working_dir": str(killable.path)})
    installation.operations.tasks.edit(below.id, {"working_dir": f"{killable.path}/project"})
    leader = installation.start_leader(*FAULTY_NODE, TEST_SILENT_SECONDS=str(SILENT_SECONDS))
    late = installation.operations.runs.start(stuck.id)
    unwanted = installation.operations.runs.start(below.id)
    installation.supervisor_pid(installation.operations.runs.get(unwanted.id))
    installation.operations.runs.cancel(unwanted.id)
    for run, state, reason in (
        (late, State.FAILED, Reason.TIMEOUT),
        (unwanted, State.CANCELLED, Reason.CANCELLED),
    ):
        wait_until(
            lambda run=run: installation.operations.runs.get(run.id).state.is_terminal,  # type: ignore[misc]
            what=f"run {run.id} ends",
        )
        ended = installation.operations.runs.get(run.id)
        assert (ended.state, ended.reason) == (state, reason)
    installation.operations.runs.start(stuck.id)
    done = len(installation.runs(State.COMPLETED))
    installation.wait_for_runs(done + 2, State.COMPLETED)
    assert missing_ticks(installation, healthy.id) == []
    leader.send_signal(signal.SIGTERM)
    assert leader.wait(timeout=5) == 0


@pytest.mark.parametrize("folder", [".", "below"])
def test_a_start_folder_that_is_removed_stops_only_what_works_there(
    installation: Installation, tmp_path: Path, folder: str
) -> None:
    start = tmp_path / "start"
    start.mkdir()
    healthy = installation.add(name="healthy", cron_expr=EVERY_SECOND)
    relative = installation.add(name="relative", enabled=False)
    installation.operations.tasks.edit(relative.id, {"working_dir": folder})
    usual, installation.folder = installation.folder, start
    installation.start_leader()
    installation.folder = usual
    start.rmdir()
    run = installation.operations.runs.start(relative.id)
    wait_until(lambda: installation.operations.runs.get(run.id).state.is_terminal)
    failed = installation.operations.runs.get(run.id)
    assert (failed.state, failed.reason) == (State.FAILED, Reason.SPAWN)
    where = str(start) if folder == "." else f"{start}/{folder}"
    assert f"{where} does not exist" in str(failed.error)
    assert "edit the task's --dir" in str(failed.error)
    installation.wait_for_runs(2, State.COMPLETED)
    assert missing_ticks(installation, healthy.id) == []


def test_a_daemon_started_where_no_folder_is_any_more_says_so_of_relative_tasks_alone(
    installation: Installation, tmp_path: Path
) -> None:
    start = tmp_path / "start"
    start.mkdir()
    installation.add(name="healthy", cron_expr=EVERY_SECOND)
    relative = installation.add(name="relative", enabled=False)
    installation.operations.tasks.edit(relative.id, {"working_dir": "."})
    leader = installation.start_leader(
        "-c",
        "import os, sys; os.chdir(sys.argv[1]); os.rmdir(sys.argv[1]);"
        "os.execv(sys.executable, [sys.executable, '-m', 'claude_tasks', 'daemon'])",
        str(start),
    )
    run = installation.operations.runs.start(relative.id)
    wait_until(lambda: installation.operations.runs.get(run.id).state.is_terminal)
    failed = installation.operations.runs.get(run.id)
    assert (failed.state, failed.reason) == (State.FAILED, Reason.SPAWN)
    assert "edit the task's --dir" in str(failed.error)
    installation.wait_for_runs(2, State.COMPLETED)
    leader.send_signal(signal.SIGTERM)
    assert leader.wait(timeout=5) == 0
