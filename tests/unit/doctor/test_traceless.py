"""A look at a database leaves every byte and every file as it was, in each state it may be in."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING, cast

import pytest

from claude_tasks.doctor.database_facts import NodeSigns, database_facts
from claude_tasks.domain.errors import StorageError
from claude_tasks.domain.instant import DAY_MS
from claude_tasks.domain.run import Reason, State, Trigger
from claude_tasks.domain.store_records import Finish, TaskEdit
from claude_tasks.storage.sqlite.inspection import Inspection, inspect
from claude_tasks.storage.sqlite.store import open_store
from support.builders import ME, add_task, completed, node
from unit.doctor.made import NoSigns, files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from claude_tasks.doctor.database_facts import Inspect
    from claude_tasks.doctor.facts import DatabaseFacts
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
    assert inspect(str(path), lambda seen: (seen.unseen, names(seen))) == (
        "its log lacks its index",
        ["first"],
    )
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


CUT_SHORT = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = DELETE")
connection.execute("PRAGMA cache_size = 5")
connection.execute("CREATE TABLE filler (x)")
connection.execute("BEGIN IMMEDIATE")
for _ in range(500):
    connection.execute("INSERT INTO filler VALUES (randomblob(2000))")
os.kill(os.getpid(), 9)
"""


def test_a_transaction_cut_short_is_no_damage(path: Path) -> None:
    """SQLite undoes it at the next start; without that the file is half of two states."""
    subprocess.run([sys.executable, "-c", CUT_SHORT, path], check=False)
    assert os.path.getsize(f"{path}-journal") > 0
    before = files(path.parent)
    with pytest.raises(StorageError) as refused:
        inspect(str(path), names)
    assert refused.value.code == "storage_unfinished"
    assert files(path.parent) == before
    with contextlib.closing(sqlite3.connect(path)) as undone:
        assert undone.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


WRITES = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("PRAGMA journal_mode = DELETE")
connection.execute("PRAGMA synchronous = OFF")
connection.execute("CREATE TABLE filler (x)")
while True:
    connection.execute("BEGIN IMMEDIATE")
    for _ in range(50):
        connection.execute("INSERT INTO filler VALUES (randomblob(2000))")
    connection.execute("DELETE FROM filler WHERE rowid % 3 = 0")
    connection.execute("COMMIT")
    print(flush=True)
"""


def test_a_writer_without_wal_is_no_damage(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITES, path], stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout is not None
            for _ in range(8):
                writer.stdout.readline()
                looked = inspect(str(path), lambda seen: (seen.damage(), seen.journal_mode()))
                assert looked == ([], "delete")
        finally:
            writer.kill()


def test_locks_that_this_process_holds_without_wal_are_kept(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as own:
        own.execute("PRAGMA journal_mode = DELETE")
        own.execute("BEGIN IMMEDIATE")
        assert inspect(str(path), Inspection.journal_mode) == "delete"
        code = (
            "import sqlite3,sys;c=sqlite3.connect(sys.argv[1],timeout=0,isolation_level=None);"
            "c.execute('BEGIN IMMEDIATE')"
        )
        other = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=False)
        assert b"locked" in other.stderr


def test_a_log_that_is_none_is_passed_over_at_once(path: Path) -> None:
    code = (
        "import sqlite3,os,sys;c=sqlite3.connect(sys.argv[1],isolation_level=None);"
        "c.execute(\"UPDATE tasks SET name = 'renamed'\");os.kill(os.getpid(),9)"
    )
    subprocess.run([sys.executable, "-c", code, path], check=False)
    with open(f"{path}-wal", "r+b") as log:
        log.seek(9)  # within the header: its checksum no longer fits
        log.write(b"odd")
    before = files(path.parent)
    began = time.monotonic()
    unseen, found = inspect(str(path), lambda seen: (seen.unseen, names(seen)))
    assert unseen == "its log does not begin as one does"
    assert found == ["first"]
    assert time.monotonic() - began < 5, "SQLite tries for ten seconds"
    assert files(path.parent) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_root_takes_no_log_from_its_owner(path: Path) -> None:
    code = (
        "import sqlite3,os,sys;c=sqlite3.connect(sys.argv[1],isolation_level=None);"
        "c.execute(\"UPDATE tasks SET name = 'renamed'\");os.kill(os.getpid(),9)"
    )
    subprocess.run([sys.executable, "-c", code, path], check=False)
    os.chown(path, 65534, 65534)
    before = files(path.parent)
    assert "another user" in str(inspect(str(path), lambda seen: seen.unseen))
    assert files(path.parent) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_root_takes_no_rollback_journal_from_its_owner(path: Path) -> None:
    subprocess.run([sys.executable, "-c", CUT_SHORT, path], check=False)
    os.chown(path, 65534, 65534)
    before = files(path.parent)
    with pytest.raises(StorageError) as refused:
        inspect(str(path), names)
    assert refused.value.code == "storage_unfinished"
    assert files(path.parent) == before


def test_an_index_that_lacks_a_row_is_damage(path: Path) -> None:
    """``quick_check`` calls that whole."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE odd (x)")
        connection.execute("CREATE INDEX odd_x ON odd (x)")
        connection.execute("PRAGMA writable_schema = ON")
        [row] = connection.execute("SELECT * FROM sqlite_master WHERE name = 'odd_x'").fetchall()
        connection.execute("DELETE FROM sqlite_master WHERE name = 'odd_x'")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO odd VALUES (1)")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    damage = inspect(str(path), Inspection.damage)
    assert any("missing from index odd_x" in text for text in damage)


@pytest.mark.parametrize(
    ("change", "part", "says"),
    [
        ("DELETE FROM scheduler_leases", "lease", "it is missing"),
        ("UPDATE scheduler_leases SET renewed_at = 'x'", "lease", "renewed_at is 'x'"),
        (
            "UPDATE tasks SET extra_args = 'x' WHERE id = 1",
            "tasks",
            'task 1 "first": Expecting',
        ),
        ("UPDATE tasks SET anchor_at = 'x' WHERE id = 1", "tasks", "anchor_at is 'x'"),
        ("UPDATE tasks SET name = x'ff' WHERE id = 1", "tasks", "name is b"),
        ("UPDATE task_runs SET reason = 'odd'", "runs", "'odd' is not a valid Reason"),
        ("UPDATE nodes SET role = 'odd'", "nodes", "'odd' is not a valid Role"),
        ("UPDATE nodes SET beat_monotonic = 'x'", "nodes", "beat_monotonic is 'x'"),
        ("DROP TABLE nodes", "nodes", "no such table: nodes"),
        ("DROP TABLE scheduler_leases", "lease", "no such table: scheduler_leases"),
        ("DROP TABLE deliveries", "messages", "no such table: deliveries"),
    ],
)
def test_what_cannot_be_read_hides_nothing_else(
    path: Path, held: Store, change: str, part: str, says: str
) -> None:
    held.register_node(node())
    held.add_run(2, trigger=Trigger.MANUAL, assigned_to=None, at=0)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA ignore_check_constraints = ON")
        other.execute(change)
    facts = facts_of(path)
    assert facts.contents is not None
    [illegible] = facts.contents.illegible
    assert illegible.part == part
    assert says in illegible.text
    assert illegible.of_all == change.startswith("DROP")
    read = (facts.contents.tasks, facts.contents.nodes, facts.contents.running)
    assert sum(map(len, read)) == 3 + (part in ("messages", "lease"))


def facts_of(path: Path, *, at: int = 0, dead: bool | None = False) -> DatabaseFacts:
    signs = NodeSigns(lambda _registered, _node: dead, lambda _node: True, NoSigns(), "1.0.0", 0.0)
    return database_facts(str(path), cast("Inspect", inspect), signs, at=at, thorough=True)


def test_only_enabled_tasks_are_judged(path: Path, held: Store) -> None:
    first = held.get_task(1)
    edit = TaskEdit(
        1,
        first.revision,
        first.cursor_at,
        first.next_run_at,
        {"enabled": False, "next_run_at": None},
    )
    assert held.edit_task(edit, actor=ME, at=0)
    contents = facts_of(path).contents
    assert contents is not None
    assert [fact.task.name for fact in contents.tasks] == ["second"]


@pytest.mark.parametrize(("at", "found"), [(DAY_MS + 50, 1), (DAY_MS + 51, 0)])
def test_lost_runs_are_those_of_the_last_day(path: Path, held: Store, at: int, found: int) -> None:
    end(held, 1, State.FAILED, Reason.LOST, at=50)
    contents = facts_of(path, at=at).contents
    assert contents is not None
    assert len(contents.lost) == found


def test_a_queued_run_waits_from_when_it_may_start(path: Path, held: Store) -> None:
    held.add_run(1, trigger=Trigger.MANUAL, assigned_to="gone", at=1000)
    contents = facts_of(path, at=5000, dead=True).contents
    assert contents is not None
    [run] = contents.running
    assert (run.watched, run.queued_for_ms) == (False, 4000)


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
