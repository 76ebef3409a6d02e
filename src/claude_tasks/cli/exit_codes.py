"""Exit codes: one table, shown by ``--help``, and the error classes behind it."""

from __future__ import annotations

from claude_tasks.domain.errors import (
    ClaudeTasksError,
    ConfigurationError,
    ConflictError,
    DatabaseGoneError,
    InvalidInputError,
    NotFoundError,
    StorageError,
)

DONE = 0
FAILED = 1
INVALID = 2
NOT_FOUND = 3
CONFLICT = 4
STORAGE = 5
DATABASE_GONE = 6
INTERRUPTED = 130
BROKEN_PIPE = 141
TERMINATED = 143

MEANINGS = {
    DONE: "done",
    FAILED: "failed or refused; for run and --wait: the run did not complete",
    INVALID: "usage, or input or a setting that makes no sense",
    NOT_FOUND: "no such task or run",
    CONFLICT: "not possible as things stand: ended, changed meanwhile, ambiguous name",
    STORAGE: "the database cannot be used",
    DATABASE_GONE: "the database was removed or exchanged while it was in use; it starts no more",
    INTERRUPTED: "interrupted with Ctrl-C",
    BROKEN_PIPE: "nobody read the output any more",
    TERMINATED: "told to end (SIGTERM) while it waited for a run; the run goes on",
}

_BY_CLASS: tuple[tuple[type[ClaudeTasksError], int], ...] = (
    (InvalidInputError, INVALID),
    (ConfigurationError, INVALID),
    (NotFoundError, NOT_FOUND),
    (ConflictError, CONFLICT),
    (StorageError, STORAGE),
    (DatabaseGoneError, DATABASE_GONE),
)


class Terminated(KeyboardInterrupt):
    """SIGTERM while a command waits for a run. Like Ctrl-C, handlers of errors do not catch it."""


def exit_code_of(error: ClaudeTasksError) -> int:
    """The exit code for an error."""
    return next((code for kind, code in _BY_CLASS if isinstance(error, kind)), FAILED)


def table() -> str:
    """The table as text."""
    return "\n".join(f"  {code:<4} {meaning}" for code, meaning in MEANINGS.items())
