"""The database: opens, writable, whole, of this program's schema, in WAL mode, on a local disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.doctor.finding import failed, passed, shell, some, warned

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import DatabaseFacts
    from claude_tasks.doctor.finding import Finding

_NAME = "database"
_MOVE = "export CLAUDE_TASKS_DATA=~/.claude-tasks"


def check_database(database: DatabaseFacts) -> Finding:
    """The worst of what is wrong with it."""
    if database.network is not None:
        return failed(_NAME, database.network.text, _MOVE)
    if not database.exists:
        return passed(_NAME, f"none yet: the first start makes {database.path}")
    if database.trouble is not None:
        return failed(_NAME, database.trouble.text, _fix_for(database))
    if database.damage:
        return failed(
            _NAME, f"{database.path} is damaged: {some([*database.damage])}", _recover(database)
        )
    return _check_schema(database) or _check_writing(database) or _in_order(database)


def _check_schema(database: DatabaseFacts) -> Finding | None:
    schema, newest = database.schema, database.newest_schema
    if schema > newest:
        text = f"written by a newer claude-tasks (schema {schema}, this one knows {newest})"
        return failed(_NAME, text, "pip install --upgrade claude-tasks")
    if schema == 0:
        return passed(_NAME, f"{database.path} is empty: the next start fills it")
    return None


def _check_writing(database: DatabaseFacts) -> Finding | None:
    """Judged by owner and mode: a write that is rolled back would leave a trace all the same."""
    if not database.writable:
        text = f"{database.path} cannot be written by this user"
        owner = 'sudo chown "$(id -u)"'
        return failed(_NAME, text, f"{owner} {shell(database.path)}")
    if database.schema < database.newest_schema:
        text = f"schema {database.schema}: the next start brings it to {database.newest_schema}"
        return warned(_NAME, text, "claude-tasks status")
    if database.journal_mode not in (None, "wal"):
        text = f"journal mode is {database.journal_mode}, not WAL: readers and writers collide"
        return warned(_NAME, text, shell("sqlite3", database.path, "PRAGMA journal_mode = WAL"))
    if not database.complete:
        text = "its write-ahead log could not be read along: the newest changes were not looked at"
        return warned(_NAME, text, "claude-tasks status")
    return None


def _in_order(database: DatabaseFacts) -> Finding:
    mode = "" if database.journal_mode is None else f", {database.journal_mode.upper()}"
    return passed(_NAME, f"{database.path}: whole, schema {database.schema}{mode}")


def _fix_for(database: DatabaseFacts) -> str:
    code = "" if database.trouble is None else database.trouble.code
    if code == "storage_corrupt":
        return _recover(database)
    if code == "storage_foreign":
        return _MOVE
    if code == "storage_busy":
        return "claude-tasks status"
    return shell("ls", "-l", database.path)


def _recover(database: DatabaseFacts) -> str:
    """Into a new file: the damaged one stays as it is until somebody has looked at the result."""
    old, new = shell(database.path), shell(f"{database.path}.recovered")
    return f"sqlite3 {old} .recover | sqlite3 {new}"
