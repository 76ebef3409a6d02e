"""The database opens, can be written, is whole, of this program's schema, in WAL mode, local."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from claude_tasks.doctor.finding import (
    allow,
    failed,
    passed,
    shell,
    some,
    warned,
    why_barred,
)
from claude_tasks.domain.hint import Command, Hint

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import (
        DatabaseFacts,
    )
    from claude_tasks.doctor.finding import Finding


_MOVE = "export CLAUDE_TASKS_DATA=~/.claude-tasks"
_APPLICATION_ID = 1668052065
"""What marks a database as ours (0x636C7461); `.recover` of some versions drops it."""
_OF_AN_INDEX = ("missing from index", "entries in index", "entry in index")
_RECOVERED = ".recovered"

_NAME = "database"


def judge(database: DatabaseFacts) -> Finding:
    """The worst of what is wrong with it."""
    if database.network is not None:
        return failed(_NAME, database.network.text, _MOVE)
    if not database.exists:
        return _left_over(database) or passed(
            _NAME, f"none yet: the first start makes {database.path}"
        )
    if database.trouble is not None:
        return _troubled(database)
    if database.damage:
        return failed(_NAME, *_damaged(database, some([*database.damage])))
    return (
        _check_schema(database)
        or _check_writing(database)
        or _check_reading(database)
        or _in_order(database)
    )


def _left_over(database: DatabaseFacts) -> Finding | None:
    """Warn of a rescued file beside the database: the tasks may be in that file."""
    if not database.left_over:
        return None
    old = database.left_over[0]
    if not old.endswith(_RECOVERED):
        text = f"{database.path} holds nothing, and the damaged {old} lies beside it"
        return warned(_NAME, f"{text}: put a backup into its place, or go on without")
    text = f"{database.path} holds nothing, and {old} lies beside it: move that into its place"
    return warned(_NAME, text, f"mv {shell(old)} {shell(database.path)}")


def _check_schema(database: DatabaseFacts) -> Finding | None:
    schema, newest = database.schema, database.newest_schema
    if schema > newest:
        text = f"written by a newer version (schema {schema}, this one knows {newest})"
        return failed(_NAME, text, "pip install --upgrade claude-tasks")
    if schema == 0:
        return _left_over(database) or passed(
            _NAME, f"{database.path} is empty: the next start fills it"
        )
    return None


def _check_writing(database: DatabaseFacts) -> Finding | None:
    """Judged by owner and mode: even a write that is rolled back would change a file."""
    if database.barred:
        texts = [why_barred(barred) for barred in database.barred]
        return failed(_NAME, some(texts), allow(database.barred[0]))
    return None


def _check_reading(database: DatabaseFacts) -> Finding | None:
    if database.unseen is not None:
        text = f"{database.unseen}: the newest changes were not looked at; any start reads them"
        return warned(_NAME, text, Command("status"))
    if database.schema < database.newest_schema:
        text = f"schema {database.schema}: the next start brings it to {database.newest_schema}"
        return warned(_NAME, text, Command("status"))
    if database.journal_mode != "wal":
        text = f"journal mode is {database.journal_mode}, not WAL: readers and writers collide"
        return warned(_NAME, text, _sql(database.path, "PRAGMA journal_mode = WAL"))
    return None


def _in_order(database: DatabaseFacts) -> Finding:
    whole = "its pages are whole (too large to look at more)" if database.is_large else "whole"
    mode = database.journal_mode.upper()
    return passed(_NAME, f"{database.path}: {whole}, schema {database.schema}, {mode}")


def _troubled(database: DatabaseFacts) -> Finding:
    """The finding where the database could not be opened or read."""
    trouble, path = database.trouble, database.path
    assert trouble is not None  # that is what it is about
    if trouble.code == "storage_corrupt":
        return failed(_NAME, *_damaged(database, trouble.message))
    if trouble.code == "storage_no_folder":
        return warned(_NAME, trouble.text)
    if trouble.code == "storage_unfinished":
        text = f"{trouble.message}: any start does that; until then nothing more can be told"
        return warned(_NAME, text, Command("status"))
    if trouble.code == "storage_unknown":
        text = Hint(trouble.text, "; put it aside, and a backup into its place")
        return failed(_NAME, text, _put_aside(path))
    old = os.path.dirname(path)
    fixes: dict[str, str] = {
        "storage_foreign": _MOVE,
        "storage_busy": Command("status"),
        "storage_gone": shell("mv", "-i", old, f"{old}.old"),
    }
    if trouble.code not in fixes and database.barred:
        text = f"{trouble.message}: {why_barred(database.barred[0])}"
        return failed(_NAME, text, allow(database.barred[0]))
    return failed(_NAME, trouble.text, fixes.get(trouble.code, shell("ls", "-ld", path)))


def _damaged(database: DatabaseFacts, what: str) -> tuple[str, str]:
    """The finding about damage, with the commands that rescue data; the damaged file stays."""
    path = database.path
    if "not a SQLite database" in what or "not a database" in what:
        text = f"{what}; put it aside, and a backup into its place"
        return text, _put_aside(path)
    if database.damage and all(any(w in it for w in _OF_AN_INDEX) for it in database.damage):
        text = f"{path}: indexes are damaged, its tables are whole: {what}"
        return f"{text}; stop every node, then make them anew", _sql(path, "REINDEX")
    rescued = next((it for it in database.left_over if it.endswith(_RECOVERED)), None)
    if rescued is not None:
        text = f"{path} is damaged: {what}; what was rescued is in {rescued}"
        swap = f"{_put_aside(path)} && rm -f {shell(path)}-wal {shell(path)}-shm"
        into = f"mv {shell(rescued)} {shell(path)}"
        return f"{text}: stop every node, put it into its place", f"{swap} && {into}"
    text = f"{path} is damaged: {what}; stop every node, rescue what can be read into a new file"
    return f"{text}, look at it, put it into its place; or put a backup there", _recover(path)


def _put_aside(path: str) -> str:
    return f"mv -i {shell(path)} {shell(f'{path}.damaged')}"


def _recover(path: str) -> str:
    """The rescue commands. Each runs only if the one before succeeded; no empty file is left.

    Not every sqlite3 has ``.recover``; ``.dump`` rescues less, and ends in a ROLLBACK.
    """
    old, script, new = (shell(path + ending) for ending in ("", ".sql", ".recovered"))
    holds_rows = f"grep -q '^INSERT' {script}"
    marks = shell(f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA journal_mode = WAL;")
    return (
        f"{{ {{ sqlite3 {old} .recover > {script} && {holds_rows}; }}"
        f" || sqlite3 {old} .dump | sed 's/^ROLLBACK.*/COMMIT;/' > {script}; }}"
        f" && {holds_rows} && echo {marks} >> {script}"
        f" && sqlite3 -bail {new} < {script} && chmod 600 {new} && rm {script}"
    )


def _sql(path: str, statement: str) -> str:
    """With Python's SQLite: there is no other on many machines."""
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute(sys.argv[2])"
    return shell("python3", "-c", code, path, statement)
