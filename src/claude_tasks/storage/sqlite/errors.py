"""Translates SQLite's errors into ours: busy, full, corrupt, read-only, foreign."""

from __future__ import annotations

import sqlite3

from claude_tasks.domain.errors import StorageBusyError, StorageError, StorageValueError
from claude_tasks.domain.hint import Command, Hint
from claude_tasks.storage.sqlite.write_lock import lock_holder
from claude_tasks.system.stall import stall_of

_PRIMARY_CODE_MASK = 0xFF

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
"""SQLITE_PROTOCOL ("locking protocol") means that the lock on the log could not be had: another
process recovers the log and does not finish."""

_TRANSLATION: dict[int, tuple[str, str, str | None]] = {
    sqlite3.SQLITE_FULL: ("storage_full", "the disk is full", "free some space; nothing was lost"),
    sqlite3.SQLITE_IOERR: (
        "storage_io",
        "the disk refused to read or write",
        "check the disk with `dmesg` and `df`",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "storage_corrupt",
        "the database is damaged",
        (
            "stop every claude-tasks process, keep a copy of the file, then try "
            "`sqlite3 tasks.db .recover` or restore a backup; it is never overwritten"
        ),
    ),
    sqlite3.SQLITE_NOTADB: (
        "storage_corrupt",
        "the file is not a SQLite database",
        "it is left as it is: move it away, or set CLAUDE_TASKS_DATA to another folder",
    ),
    sqlite3.SQLITE_READONLY: (
        "storage_readonly",
        "the database cannot be written",
        "check the owner and the mode of the file and its folder",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "storage_cannot_open",
        "the database cannot be opened",
        "check the owner and the mode of the file and its folder",
    ),
    sqlite3.SQLITE_PERM: (
        "storage_cannot_open",
        "access to the database is denied",
        "check the owner and the mode of the file and its folder",
    ),
}


def is_undecodable(error: sqlite3.Error) -> bool:
    """Whether Python's module refused a text that is not UTF-8; such an error has no code."""
    return isinstance(error, sqlite3.OperationalError) and not hasattr(error, "sqlite_errorcode")


def translate(error: sqlite3.Error, path: str) -> StorageError:
    """The error this program raises for one of SQLite's."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & _PRIMARY_CODE_MASK if code is not None else None
    if primary in _BUSY:
        return _busy(path)
    if primary == sqlite3.SQLITE_CONSTRAINT:
        return StorageValueError(f"{path}: a value that cannot be stored: {error}")
    if primary in _TRANSLATION:
        name, message, hint = _TRANSLATION[primary]
        return StorageError(f"{path}: {message} ({error})", hint=hint, code=name)
    return StorageError(f"{path}: {error}")


def _busy(path: str) -> StorageBusyError:
    """The error of a held lock. It names a stopped holder, which would not release it by itself."""
    holder = lock_holder(path)
    stall = None if holder is None else stall_of(holder)
    if stall is None or stall.command is None:
        return StorageBusyError(
            f"{path}: another process keeps the database locked",
            hint=Hint("try again; `", Command("status"), "` shows who is running"),
        )
    return StorageBusyError(
        f"{path}: process {holder} keeps the database locked, and {stall.why}", hint=stall.command
    )
