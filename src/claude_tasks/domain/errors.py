"""One error root: a stable code, a plain message, an optional hint that names what helps."""

from __future__ import annotations

from claude_tasks.domain.hint import Command, Hint


class ClaudeTasksError(Exception):
    """Anything this program refuses or cannot do, with a message on which a person can act.

    ``code`` is stable and meant for scripts; ``hint`` is a sentence or the command that helps.
    """

    code = "error"

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        """Keep the message, the hint and, where one class covers several cases, a finer code."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class InvalidInputError(ClaudeTasksError):
    """A request is not valid; the message names the field and what to write instead."""

    code = "invalid"


class UnknownZoneError(InvalidInputError):
    """A time zone that does not exist."""


class FieldError(InvalidInputError):
    """A value that a field of a task does not accept.

    ``problem`` follows the field's name, which differs by face: " must be a number", ": 'x'".
    """

    def __init__(self, field: str, problem: str, *, hint: str | None = None) -> None:
        """The message begins with the field's own name."""
        super().__init__(f"{field}{problem}", hint=hint)
        self.field = field
        self.problem = problem


class NotFoundError(ClaudeTasksError):
    """No such task or run."""

    code = "not_found"


class ConflictError(ClaudeTasksError):
    """The state of a task or run forbids this now: edited meanwhile, ended, used up."""

    code = "conflict"


class StorageError(ClaudeTasksError):
    """The database cannot be used: corrupt, read-only, full, foreign, on a network file system."""

    code = "storage"


class StorageBusyError(StorageError):
    """Another process held the database's write lock for longer than we wait. Try again."""

    code = "storage_busy"


class StorageValueError(StorageError):
    """A value that no database column can store. Nothing was written."""

    code = "storage_value"


DELETED_TASK = "deleted task"


class IllegibleError(StorageError):
    """A row of the database that cannot be read: it was damaged, or a newer version wrote it."""

    code = "storage_illegible"

    def __init__(self, kind: str, number: object, detail: str, *, name: object = None) -> None:
        """``kind``, ``number`` and ``name`` say which row; ``detail`` what is wrong with it."""
        self.number = number
        row = f'{kind} {number} "{name}"' if isinstance(name, str) else f"{kind} {number}"
        self.what = f"{row}: {detail}"
        self.remedy = Command("rm", number) if kind == "task" else None
        """The command that helps, None where there is none."""
        hint = Hint(Command("doctor"), " names what is wrong")
        if self.remedy is not None:
            hint = Hint("take it away with: ", self.remedy)
        elif kind == DELETED_TASK:
            hint = Hint("its runs stay: ", Command("runs"))
        super().__init__(f"{row}: its row cannot be read: {detail}", hint=hint)


class DatabaseGoneError(ClaudeTasksError):
    """The database was removed or replaced under a running node, which must then start nothing.

    Not a `StorageError`: those may pass, and are tried again.
    """

    code = "database_gone"


class LeadershipLostError(ClaudeTasksError):
    """The lease moved to another epoch: this node must write nothing more as leader."""

    code = "leadership_lost"


class SpawnError(ClaudeTasksError):
    """The agent cannot be started: binary missing, folder gone, a mode the system refuses."""

    code = "spawn"


class UsageUnavailableError(ClaudeTasksError):
    """No source says how much of the usage windows is spent; the code tells why.

    ``retry_after`` is in seconds, None where the source named no time.
    """

    code = "usage_unavailable"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """``code`` says how it failed."""
        super().__init__(message, hint=hint, code=code)
        self.retry_after = retry_after


class ConfigurationError(ClaudeTasksError):
    """A setting, from any source, with an invalid value."""

    code = "configuration"


def traceback_of(error: BaseException) -> BaseException | None:
    """The traceback to log of an unforeseen failure; None for one of our own errors."""
    return None if isinstance(error, ClaudeTasksError) else error
