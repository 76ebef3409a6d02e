"""Bring a database to the current schema: numbered steps, forward only, each in one transaction.

A database that holds anything is copied first, to ``tasks.db.schema-<N>``: going back to the
version before an upgrade is then a matter of moving a file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.errors import StorageBusyError, StorageError
from claude_tasks.domain.hint import Command, Hint
from claude_tasks.storage.sqlite.connection import APPLICATION_ID, Connection
from claude_tasks.storage.sqlite.write_lock import flock_holder
from claude_tasks.system.process_state import is_stopped

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDER = os.path.join(os.path.dirname(__file__), "migrations")
_ENDING = ".sql"

PATIENCE_SECONDS = 10.0
"""How long a process waits while another creates or upgrades the schema."""
_LOOK_SECONDS = 0.02

_LEDGER = """
CREATE TABLE schema_migrations (
    version     INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL,
    applied_at  INTEGER NOT NULL
)
"""


class Migration(NamedTuple):
    """One step: its number, its name, the file that holds it."""

    version: int
    name: str
    path: str


def migrations() -> list[Migration]:
    """Every step, in order."""
    return [
        Migration(int(name[:4]), name[5:].removesuffix(_ENDING), os.path.join(_FOLDER, name))
        for name in sorted(_files())
    ]


def _files() -> list[str]:
    """``NNNN_name.sql``: the names of the files."""
    return [name for name in os.listdir(_FOLDER) if name.endswith(_ENDING)]


NEWEST = max(int(name[:4]) for name in _files())
"""The schema this code works with: that of the last file."""


def bring_up_to_date(connection: Connection, *, at: int, until: int | None = None) -> None:
    """Apply what is missing. Errors: `StorageError` for a foreign or a newer database."""
    wanted = NEWEST if until is None else until
    if _version(connection) == wanted:
        return
    with _one_at_a_time(connection.path):
        if _version(connection) == 0:
            # The switch to WAL is permanent and cannot be part of a transaction.
            connection.execute("PRAGMA journal_mode = WAL")
        elif _version(connection) < wanted:
            _keep_copy(connection)
        for migration in migrations():
            if _version(connection) < migration.version <= wanted:
                _apply(connection, migration, at=at)


def _version(connection: Connection) -> int:
    """The schema's number, 0 for an empty file."""
    if connection.value("PRAGMA application_id") == APPLICATION_ID:
        version = int(connection.value("SELECT MAX(version) FROM schema_migrations"))
        if version > NEWEST:
            raise StorageError(
                f"{connection.path}: written by a newer claude-tasks (schema {version})",
                hint="upgrade this one",
                code="storage_newer",
            )
        return version
    if connection.value("SELECT COUNT(*) FROM sqlite_master"):
        raise StorageError(
            f"{connection.path}: a database, but not one of this program's",
            hint="it is left as it is: set CLAUDE_TASKS_DATA to another folder",
            code="storage_foreign",
        )
    return 0


def _keep_copy(connection: Connection) -> None:
    """Make an online copy of the whole database, its log included.

    An existing copy stems from a failed attempt and is replaced. Errors: `StorageError`, and then
    nothing has changed.
    """
    copy = f"{connection.path}.schema-{_version(connection)}"
    draft = f"{copy}.new"
    try:
        connection.copy_to(draft)
        os.replace(draft, copy)
    except OSError as error:
        raise StorageError(
            f"{copy}: the copy before the upgrade could not be kept: {error.strerror}",
            hint="the database is as it was; make room or the folder writable, and start again",
        ) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)


def _apply(connection: Connection, migration: Migration, *, at: int) -> None:
    with open(migration.path, encoding="utf-8") as file:
        script = file.read()
    with connection.schema_change():
        if _version(connection) >= migration.version:
            return  # another process was faster
        if migration.version == 1:
            connection.execute(_LEDGER)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        for statement in split_statements(script):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO schema_migrations (version, name, applied_at) VALUES (:v, :n, :at)",
            {"v": migration.version, "n": migration.name, "at": at},
        )


def split_statements(script: str) -> list[str]:
    """The statements of a script. ``executescript`` would commit the open transaction."""
    from sqlite3 import complete_statement  # noqa: PLC0415 (only migrations need it)

    statements: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if complete_statement(pending):
            statements.append(pending.strip())
            pending = ""
    return statements


@contextmanager
def _one_at_a_time(path: str) -> Iterator[None]:
    """Processes that start at once on a new folder create the schema one after the other.

    The switch to WAL mode does not honour the busy timeout, so SQLite's own lock is not enough.
    Errors: `StorageBusyError` where the process before does not finish.
    """
    name = f"{path}.init-lock"
    lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + PATIENCE_SECONDS
        while not _locked(lock):
            if time.monotonic() >= until:
                raise _kept_waiting(path, flock_holder(name))
            time.sleep(_LOOK_SECONDS)
        yield
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _kept_waiting(path: str, holder: int | None) -> StorageBusyError:
    who = "another process" if holder is None else f"process {holder}"
    hint: str
    if holder is None:
        doctor = Command("doctor", "nodes")
        hint = Hint("try again; ", doctor, " names a process that hangs")
    elif is_stopped(holder):
        hint = f"it is stopped: kill -CONT {holder}"
    else:
        hint = f"try again; what it is: ps -fp {holder}"
    return StorageBusyError(f"{path}: {who} makes or upgrades it, and has not ended", hint=hint)
