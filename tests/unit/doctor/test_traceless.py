"""A look at a database leaves every byte and every file as it was, in each state it may be in."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.errors import StorageError
from claude_tasks.domain.run import Reason, State, Trigger
from claude_tasks.domain.store_records import Finish
from claude_tasks.storage.sqlite.inspection import Inspection, inspect
from claude_tasks.storage.sqlite.store import open_store
from support.builders import add_task, completed
from unit.doctor.made import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from claude_tasks.domain.ports import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database that nobody has open."""
    path = tmp_path / "tasks.db"
    with contextlib.closing(open_store(str(path), at=0)) as store:
        add_task(store, at=0, name="first")
    return path


@pytest.fixture
def held(path: Path) -> Iterator[Store]:
    """A store that is open on it."""
    with contextlib.closing(open_store(str(path), at=0)) as store:
        add_task(store, at=0, name="second")
        yield store


def names(inspection: Inspection) -> list[str]:
    assert inspection.damage() == []
    assert inspection.schema() == inspection.newest_schema
    assert inspection.journal_mode() == "wal"
    return sorted(summary.task.name for summary in inspection.list_tasks())


def test_one_that_nobody_has_open(path: Path) -> None:
    before = files(path.parent)
    assert inspect(str(path), names) == ["first"]
    assert files(path.parent) == before


def test_one_in_use_with_its_newest_commits(path: Path, held: Store) -> None:
    before = files(path.parent)
    assert inspect(str(path), names) == ["first", "second"]
    assert files(path.parent) == before
    add_task(held, at=0, name="third")
    before = files(path.parent)
    assert inspect(str(path), names) == ["first", "second", "third"]
    assert files(path.parent) == before


def test_one_whose_last_writer_was_killed(path: Path) -> None:
    code = (
        "import sqlite3,os,sys;c=sqlite3.connect(sys.argv[1],isolation_level=None);"
        "c.execute(\"UPDATE tasks SET name = 'renamed'\");os.kill(os.getpid(),9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, path], check=False)
    assert killed.returncode == -signal.SIGKILL
    before = files(path.parent)
    assert {f"{path}-wal", f"{path}-shm"} <= set(before)
    assert inspect(str(path), names) == ["renamed"]
    assert files(path.parent) == before
    os.unlink(f"{path}-shm")
    before = files(path.parent)
    assert inspect(str(path), lambda seen: (seen.complete, names(seen))) == (False, ["first"])
    assert files(path.parent) == before


def test_the_look_leaves_the_holders_locks_alone(path: Path, held: Store) -> None:
    inspect(str(path), names)
    code = "import sqlite3,sys;sqlite3.connect(sys.argv[1]).execute('SELECT * FROM tasks')"
    subprocess.run([sys.executable, "-c", code, path], check=True)
    assert os.path.exists(f"{path}-wal"), "it was taken for the last process to leave"
    add_task(held, at=0, name="third")
    assert inspect(str(path), names) == ["first", "second", "third"]


def test_one_that_is_opened_during_the_look_is_looked_at_again(path: Path) -> None:
    with contextlib.ExitStack() as opened:
        looks: list[int] = []

        def look(seen: Inspection) -> list[str]:
            if not looks:
                late = opened.enter_context(contextlib.closing(open_store(str(path), at=0)))
                add_task(late, at=0, name="late")
            looks.append(1)
            return names(seen)

        assert inspect(str(path), look) == ["first", "late"]
        assert len(looks) == 2


@pytest.mark.parametrize("content", [b"no database at all " * 500, b"SQLite format 3\0" * 600])
def test_one_that_is_none_is_refused_and_left(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    before = files(path.parent)
    with pytest.raises(StorageError) as refused:
        inspect(str(path), names)
    assert refused.value.code.startswith("storage_")
    assert files(path.parent) == before


def test_one_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StorageError) as refused:
        inspect(str(path), Inspection.schema)
    assert refused.value.code == "storage_foreign"


def test_an_empty_one_has_no_schema(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    assert inspect(str(path), lambda seen: (seen.damage(), seen.schema())) == ([], 0)


def test_a_rollback_journal_is_told_from_wal(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
    assert inspect(str(path), Inspection.journal_mode) == "delete"


def test_damage_is_named(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        [(page,)] = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'task_runs_by_task'"
        )
        [(size,)] = connection.execute("PRAGMA page_size")
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    damage = inspect(str(path), Inspection.damage)
    assert damage


def end(store: Store, task_id: int, state: State, reason: Reason | None, *, at: int) -> int:
    run = store.add_run(task_id, trigger=Trigger.MANUAL, assigned_to="node", at=at)
    [claimed] = store.claim_runs("node", term=None, limit=1, per_node=True, at=at)
    outcome = completed(at=at, state=state, reason=reason)
    assert store.finish_runs([Finish(run.id, claimed.run.claim, outcome, None)], at=at) == [True]
    return run.id


def test_failing_always_and_lost_are_found(path: Path, held: Store) -> None:
    first, second = held.find_tasks("first")[0].id, held.find_tasks("second")[0].id
    lost = [end(held, first, State.FAILED, Reason.LOST, at=at) for at in range(100, 105)]
    end(held, second, State.COMPLETED, None, at=100)
    for at in range(101, 105):
        end(held, second, State.FAILED, Reason.EXIT, at=at)

    def look(seen: Inspection) -> tuple[object, object]:
        return seen.failing_always(last=5), seen.lost_since(103)

    assert inspect(str(path), look) == (
        [(first, "first")],
        [(lost[4], "first"), (lost[3], "first")],
    )
    end(held, first, State.COMPLETED, None, at=110)
    end(held, second, State.FAILED, Reason.EXIT, at=110)
    failing = inspect(str(path), lambda seen: seen.failing_always(last=5))
    assert failing == [(second, "second")]
