"""The database file: created private, refused when it is not ours, never overwritten."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from claude_tasks.domain.errors import DatabaseGoneError, StorageBusyError, StorageError
from claude_tasks.storage.named_sql import load
from claude_tasks.storage.sqlite import migrate
from claude_tasks.storage.sqlite.connection import APPLICATION_ID, Connection, prepare_file
from claude_tasks.storage.sqlite.errors import translate
from claude_tasks.storage.sqlite.store import open_store
from claude_tasks.system.data_folder import DataFolder, file_system_of
from claude_tasks.system.process_state import is_stopped
from support.builders import add_task
from support.clock import START
from support.waiting import wait_until

_OLD_TASK = (
    "INSERT INTO tasks (id, name, prompt, cron_expr, timezone, working_dir, enabled, "
    "allowed_tools, disallowed_tools, extra_args, timeout_seconds, overlap, catchup, "
    "catchup_window_seconds, jitter_seconds, max_retries, tags, revision, anchor_at, "
    "cursor_at, created_at, updated_at) VALUES (1, 't', 'p', '@daily', 'UTC', '/', 1, "
    "'[]', '[]', '[]', 60, 'allow', 'latest', 60, 0, 0, '[]', 1, 0, 0, 0, 0)"
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "tasks.db")


def schema_of(path: str) -> list[tuple[str, str]]:
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        return sorted((name, re.sub(r"\s+", " ", sql)) for name, sql in rows)
    finally:
        connection.close()


def test_a_new_database_is_private_durable_and_marked(path: str) -> None:
    open_store(path, at=START).close()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert connection.execute("SELECT version, name FROM schema_migrations").fetchall() == [
        (1, "initial"),
        (2, "usage"),
        (3, "notifications"),
        (4, "delivery_ends"),
        (5, "deferrals"),
        (6, "node_address"),
        (7, "verdicts"),
        (8, "liveness"),
        (9, "addresses_and_revisions"),
        (10, "history"),
        (11, "known_states"),
    ]
    connection.close()


def test_every_connection_waits_for_the_disk(path: str) -> None:
    open_store(path, at=START).close()
    connection = Connection(path, busy_timeout=1)
    assert connection.value("PRAGMA synchronous") == 2, "FULL"
    assert connection.value("PRAGMA foreign_keys") == 1
    connection.close()


def test_a_second_store_in_a_process_keeps_the_locks_of_the_first(path: str) -> None:
    """Closing any descriptor of the file would drop them, and the log be removed under us."""
    first = open_store(path, at=START)
    second = open_store(path, at=START)
    task = add_task(first, at=START)
    other_process = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        "print(c.execute('SELECT count(*) FROM tasks').fetchone()); c.close()"
    )
    subprocess.run([sys.executable, "-c", other_process, path], check=True, capture_output=True)
    assert os.path.exists(f"{path}-wal"), "a living process's write-ahead log was removed"
    assert second.get_task(task.id) == task
    first.close()
    second.close()


def test_a_file_that_was_exchanged_takes_no_more_writes(path: str) -> None:
    store = open_store(path, at=START)
    exchange(path)
    with pytest.raises(DatabaseGoneError, match="another database has taken the place"):
        add_task(store, at=START)
    assert store.list_tasks() == [], "it was written where nobody looks"
    store.close()


def test_a_commit_that_the_exchange_overtook_is_not_called_done(path: str) -> None:
    open_store(path, at=START).close()
    connection = Connection(path, busy_timeout=1)
    with pytest.raises(DatabaseGoneError), connection.write():
        exchange(path)
    connection.close()


def exchange(path: str) -> None:
    """Another, new database in its place."""
    other = f"{path}.other"
    open_store(other, at=START).close()
    os.replace(other, path)


def test_migrations_are_numbered_without_gaps_and_the_newest_is_known() -> None:
    versions = [migration.version for migration in migrate.migrations()]
    assert versions == list(range(1, len(versions) + 1))
    assert versions[-1] == migrate.NEWEST


def test_a_migrated_schema_equals_a_fresh_one(tmp_path: Path) -> None:
    fresh, migrated = str(tmp_path / "fresh.db"), str(tmp_path / "migrated.db")
    open_store(fresh, at=START).close()
    for version in range(1, migrate.NEWEST + 1):
        prepare_file(migrated)
        connection = Connection(migrated, busy_timeout=1)
        migrate.bring_up_to_date(connection, at=START, until=version)
        connection.close()
    assert schema_of(migrated) == schema_of(fresh)


def test_runs_deferred_before_the_upgrade_are_known_to_wait(path: str) -> None:
    prepare_file(path)
    connection = Connection(path, busy_timeout=1)
    migrate.bring_up_to_date(connection, at=START, until=4)
    connection.close()
    with closing(sqlite3.connect(path)) as old, old:
        old.execute(_OLD_TASK)
        for run_id, reason in enumerate(("usage_threshold", "usage_limit", None), 1):
            old.execute(
                "INSERT INTO task_runs (id, task_id, trigger, state, reason, attempt, claim, "
                "not_before, queued_at) VALUES (?, 1, 'manual', 'queued', ?, 1, 0, 77, 0)",
                (run_id, reason),
            )
    store = open_store(path, at=START)
    assert [store.get_run(run_id).deferred_until for run_id in (1, 2, 3)] == [77, 77, None]
    store.close()


def old_database(path: str) -> None:
    """A database of schema 7 with runs and a message that was sent."""
    prepare_file(path)
    connection = Connection(path, busy_timeout=1)
    migrate.bring_up_to_date(connection, at=START, until=7)
    connection.close()
    with closing(sqlite3.connect(path)) as old, old:
        old.execute(_OLD_TASK)
        for run_id, state, resumes in ((7, "failed", 0), (8, "queued", 1), (9, "running", 0)):
            old.execute(
                "INSERT INTO task_runs (id, task_id, trigger, scheduled_for, state, attempt, "
                "claim, not_before, queued_at, session_id, resumes) "
                "VALUES (?, 1, 'schedule', ?, ?, 1, 1, 0, 0, 'its-session', ?)",
                (run_id, run_id, state, resumes),
            )
        old.execute(
            "INSERT INTO deliveries (task_id, run_id, channel, target, event, state, attempts, "
            "created_at) VALUES (1, 7, 'webhook', 'http://127.0.0.1', 'failed', 'sent', 1, 0)"
        )


def rows_of(path: str, table: str, columns: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT {columns} FROM {table} ORDER BY id").fetchall()


def test_a_table_made_anew_keeps_every_row_and_what_refers_to_it(path: str) -> None:
    old_database(path)
    columns = "id, task_id, trigger, scheduled_for, state, claim, session_id, resumes"
    before = rows_of(path, "task_runs", columns)
    store = open_store(path, at=START)
    assert rows_of(path, "task_runs", columns) == before
    assert [store.get_run(run_id).resume_of for run_id in (7, 8, 9)] == [None, "its-session", None]
    store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.execute("UPDATE task_runs SET state = 'failed' WHERE id = 9")
        assert connection.execute("SELECT run_id FROM outbox").fetchall() == [(7,), (9,)]
        with pytest.raises(sqlite3.IntegrityError, match="never rewritten"):
            connection.execute("UPDATE task_runs SET output = 'x' WHERE id = 7")


def test_addresses_move_to_rows_of_their_own(path: str) -> None:
    old_database(path)
    with closing(sqlite3.connect(path)) as old, old:
        old.execute(
            "UPDATE tasks SET slack_webhook = 'https://s', webhook_url = '', apprise_url = 'json://a',"
            " overlap = 'queue', tags = '[\"a\"]'"
        )
    before = rows_of(path, "tasks", "id, name, prompt, revision, cursor_at, last_run_id")
    store = open_store(path, at=START)
    assert rows_of(path, "tasks", "id, name, prompt, revision, cursor_at, last_run_id") == before
    spec = store.get_task(1).spec
    assert (spec.discord_webhook, spec.slack_webhook, spec.webhook_url, spec.apprise_url) == (
        None, "https://s", None, "json://a",
    )  # fmt: skip
    assert (spec.overlap, spec.tags) == ("queue", ("a",))
    assert list(store.task_revisions(1, limit=9)) == []
    assert add_task(store, at=START).id == 2
    store.close()
    assert os.path.exists(f"{path}.schema-7")


def test_a_migration_keeps_a_copy_of_what_was_there(path: str) -> None:
    old_database(path)
    before = rows_of(path, "task_runs", "id, state")
    open_store(path, at=START).close()
    copy = f"{path}.schema-7"
    assert stat.S_IMODE(os.stat(copy).st_mode) == 0o600
    assert rows_of(copy, "task_runs", "id, state") == before
    assert rows_of(copy, "deliveries", "run_id, state") == [(7, "sent")]
    assert not os.path.exists(f"{path}.schema-0"), "an empty file needs no copy"


def test_without_room_for_the_copy_nothing_is_migrated(path: str) -> None:
    old_database(path)
    os.mkdir(f"{path}.schema-7")  # in the place of the copy
    with pytest.raises(StorageError, match="could not be kept"):
        open_store(path, at=START)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT MAX(version) FROM schema_migrations").fetchall() == [(7,)]


def test_a_migration_that_fails_leaves_nothing_behind(
    path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "0001_broken.sql"
    broken.write_text("CREATE TABLE one (x);\nCREATE TABLE one (x);\n")
    monkeypatch.setattr(
        migrate, "migrations", lambda: [migrate.Migration(1, "broken", str(broken))]
    )
    with pytest.raises(StorageError, match="already exists"):
        open_store(path, at=START)
    assert schema_of(path) == []


def test_statements_are_split_without_breaking_triggers() -> None:
    statements = migrate.split_statements(
        "CREATE TABLE a (x);\nCREATE TRIGGER t AFTER INSERT ON a\nBEGIN\n  SELECT 1;\nEND;\n"
    )
    assert len(statements) == 2


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: str) -> None:
    content = b"Dear diary, " * 1000
    Path(path).write_bytes(content)
    with pytest.raises(StorageError) as caught:
        open_store(path, at=START)
    assert caught.value.code == "storage_corrupt"
    assert Path(path).read_bytes() == content


def test_a_foreign_database_is_refused_and_left_alone(path: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE tasks (id INTEGER PRIMARY KEY, theirs TEXT)")
    connection.commit()
    connection.close()
    content = Path(path).read_bytes()
    with pytest.raises(StorageError) as caught:
        open_store(path, at=START)
    assert caught.value.code == "storage_foreign"
    assert Path(path).read_bytes() == content
    assert not os.path.exists(f"{path}-wal")


def test_a_database_of_a_newer_version_is_refused(path: str) -> None:
    open_store(path, at=START).close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO schema_migrations VALUES (99, 'future', 0)")
    connection.commit()
    connection.close()
    with pytest.raises(StorageError, match="newer claude-tasks") as caught:
        open_store(path, at=START)
    assert caught.value.code == "storage_newer"


def test_a_damaged_database_is_refused_and_left_alone(path: str) -> None:
    store = open_store(path, at=START)
    for _ in range(50):
        add_task(store, at=START, prompt="x" * 2000)
    store.close()
    content = bytearray(Path(path).read_bytes())
    content[4096 : len(content) // 2] = os.urandom(len(content) // 2 - 4096)
    Path(path).write_bytes(content)
    with pytest.raises(StorageError) as caught:
        open_store(path, at=START).list_tasks()
    assert caught.value.code == "storage_corrupt"
    assert caught.value.hint
    assert Path(path).read_bytes() == content


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError) as caught:
        DataFolder(str(tmp_path / "file" / "data")).create()
    assert caught.value.hint is not None
    assert "CLAUDE_TASKS_DATA" in caught.value.hint


def test_folders_are_private(tmp_path: Path) -> None:
    folder = DataFolder(str(tmp_path / "data"))
    folder.create()
    for path in (folder.root, folder.logs, folder.runs, folder.nodes):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o700


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = [("/", "ext4"), (str(tmp_path), "nfs4")]
    monkeypatch.setattr("claude_tasks.system.data_folder._linux_mounts", lambda: mounts)
    monkeypatch.setattr("claude_tasks.system.data_folder.sys.platform", "linux")
    assert file_system_of(str(tmp_path / "below")) == "nfs4"
    assert file_system_of("/elsewhere") == "ext4"
    with pytest.raises(StorageError, match="network file system") as caught:
        DataFolder(str(tmp_path)).create()
    assert caught.value.code == "storage_network"


def test_a_lock_held_by_another_is_busy_and_nothing_is_written(path: str) -> None:
    store = open_store(path, at=START, busy_timeout=0.05)
    other = sqlite3.connect(path)
    other.isolation_level = None
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageBusyError) as caught:
        add_task(store, at=START)
    assert caught.value.code == "storage_busy"
    other.execute("ROLLBACK")
    other.close()
    assert store.list_tasks() == []
    store.close()


def test_who_hangs_while_it_makes_the_schema_is_named_and_waited_for_so_long_only(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "PATIENCE_SECONDS", 0.1)
    hold = (
        "import fcntl, sys; lock = open(sys.argv[1], 'w'); fcntl.flock(lock, fcntl.LOCK_EX); "
        "print(flush=True); input()"
    )
    command = [sys.executable, "-c", hold, f"{path}.init-lock"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(StorageBusyError, match=f"process {holder.pid} makes"):
            open_store(path, at=START)
        holder.send_signal(signal.SIGSTOP)
        wait_until(lambda: is_stopped(holder.pid))
        with pytest.raises(StorageBusyError) as caught:
            open_store(path, at=START)
        holder.send_signal(signal.SIGCONT)
        holder.communicate(b"\n")
    assert caught.value.hint == f"it is stopped: kill -CONT {holder.pid}"
    open_store(path, at=START).close()


WRITES = "c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN IMMEDIATE')"
CLOSES = "f = open(sys.argv[1], 'rb+'); fcntl.lockf(f, fcntl.LOCK_EX, 510, 0x40000002)"
"""As SQLite locks the file while the last connection is closed: nobody can even open it."""


@pytest.mark.parametrize("does", [WRITES, CLOSES])
def test_who_hangs_with_the_database_locked_is_named_with_the_command(path: str, does: str) -> None:
    open_store(path, at=START).close()
    program = f"import fcntl, sqlite3, sys; {does}; print(flush=True); input()"
    command = [sys.executable, "-c", program, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.send_signal(signal.SIGSTOP)
        wait_until(lambda: is_stopped(holder.pid))
        with pytest.raises(StorageBusyError, match=f"process {holder.pid} keeps") as caught:
            add_task(open_store(path, at=START, busy_timeout=0.1), at=START)
        holder.send_signal(signal.SIGCONT)
        holder.communicate(b"\n")
    assert caught.value.hint == f"kill -CONT {holder.pid}"
    store = open_store(path, at=START)
    add_task(store, at=START)
    store.close()


def test_a_log_whose_recovery_hangs_reads_as_busy(path: str) -> None:
    """SQLite's words for the locks of a recovery; it tries for ten seconds before it says them."""
    error = sqlite3.OperationalError("locking protocol")
    error.sqlite_errorcode = sqlite3.SQLITE_PROTOCOL
    assert isinstance(translate(error, path), StorageBusyError)


def test_a_full_disk_is_named_and_loses_nothing(path: str) -> None:
    store = open_store(path, at=START)
    kept = add_task(store, at=START)
    connection = store._connection  # type: ignore[attr-defined]
    pages = connection.value("PRAGMA page_count")
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError) as caught:
        add_task(store, at=START, prompt="x" * 100_000)
    assert caught.value.code == "storage_full"
    connection.execute("PRAGMA max_page_count = 1000000")
    assert [summary.task for summary in store.list_tasks()] == [kept]
    add_task(store, at=START, prompt="x" * 100_000)
    store.close()


def test_every_statement_says_what_it_is_for() -> None:
    folder = Path(migrate.__file__).parent.parent / "sql"
    rooms = [path.stem for path in folder.glob("*.sql")]
    assert len(rooms) >= 6
    for room in rooms:
        for name, text in load(room).items():
            assert text.startswith("--"), f"{room}.{name} has no purpose"
