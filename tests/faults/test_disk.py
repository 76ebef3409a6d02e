"""The disk is full, or read-only: refused with a clear error, nothing lost, nothing overwritten."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.errors import StorageError
from claude_tasks.domain.run import State
from claude_tasks.storage.sqlite.store import open_store
from claude_tasks.system.data_folder import DataFolder
from support.builders import add_task
from support.clock import START
from support.installation import EVERY_SECOND, Installation, missing_ticks
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = 65534


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    point = tmp_path / "disk"
    point.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(point)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield point
    subprocess.run(["umount", "--lazy", str(point)], check=True)


def fill(folder: Path) -> Path:
    """Use up what is left of the disk."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        block = b"x" * 65536
        while block:
            try:
                file.write(block)
            except OSError:
                block = block[: len(block) // 2]
    return ballast


def test_a_full_disk_stops_scheduling_and_loses_no_tick_once_there_is_room(
    small_disk: Path, tmp_path: Path
) -> None:
    installation = Installation(small_disk, logs=tmp_path)  # it can still say what is wrong
    try:
        task = installation.add(cron_expr=EVERY_SECOND)
        daemon = installation.start_leader()
        installation.wait_for_runs(2, State.COMPLETED)
        ballast = fill(small_disk)
        # Ticks pass and nothing can be written: not even the lease, so the leader steps down.
        wait_until(lambda: "leadership lost" in installation.log())
        assert "the disk is full" in installation.log()
        assert installation.log().count("WARNING") < 10, "a full disk must not flood the log"
        assert daemon.poll() is None, "the daemon survives a full disk"
        ballast.unlink()
        before = len(installation.runs(State.COMPLETED))
        installation.wait_for_runs(before + 2, State.COMPLETED)
        installation.settle()
        assert missing_ticks(installation, task.id) == []
        installation.check()
    finally:
        installation.close()


def as_nobody(action: Callable[[], None]) -> str:
    """Do something without any privilege; the code of the error it ended with, or ''."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        answer = "crashed"
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            action()
            answer = ""
        except StorageError as error:
            answer = error.code
        finally:
            os.write(writing, answer.encode())
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading, encoding="ascii") as file:
        return file.read()


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder that nobody in particular may enter, below folders of the test's user."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o755)
    return tmp_path


def test_a_database_that_may_not_be_written_is_refused(open_folder: Path) -> None:
    path = open_folder / "tasks.db"
    store = open_store(str(path), at=START)
    add_task(store, at=START)
    store.close()
    path.chmod(0o444)
    content = path.read_bytes()
    assert as_nobody(lambda: open_store(str(path), at=START).close()) == "storage_readonly"
    assert path.read_bytes() == content


def test_a_folder_that_may_not_be_written_is_refused(open_folder: Path) -> None:
    folder = open_folder / "closed"
    folder.mkdir(mode=0o555)
    assert as_nobody(DataFolder(str(folder / "data")).create) == "storage_readonly"
    assert list(folder.iterdir()) == []


def test_a_damaged_database_stops_the_daemon_and_stays_as_it_is(
    installation: Installation,
) -> None:
    for _ in range(30):
        installation.add(prompt="x" * 3000)
    installation.operations.close()
    content = bytearray(installation.database.read_bytes())
    content[4096:40960] = os.urandom(36864)
    installation.database.write_bytes(content)
    daemon = installation.start("-m", "claude_tasks", "daemon")
    assert daemon.wait(timeout=20) != 0
    log = installation.log()
    assert "damaged" in log
    assert "Traceback" not in log
    assert installation.database.read_bytes() == content
