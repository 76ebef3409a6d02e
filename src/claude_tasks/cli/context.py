"""What a command works with: settings, operations, the clock, the streams. Opened when needed."""

from __future__ import annotations

import os

from claude_tasks.domain.errors import InvalidInputError, NotFoundError
from claude_tasks.domain.hint import Command, Hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from claude_tasks.cli.render import Printer
    from claude_tasks.domain.ports import Store
    from claude_tasks.domain.task import Task
    from claude_tasks.operations.facade import Operations
    from claude_tasks.operations.lookup import TaskLookup
    from claude_tasks.settings import Settings


class Context:
    """The surroundings of one command."""

    def __init__(
        self,
        environment: Mapping[str, str],
        printer: Printer,
        stdin: TextIO,
        *,
        data: str | None = None,
    ) -> None:
        """``data`` is the flag; it wins over the environment."""
        self.environment = environment
        self.printer = printer
        self.stdin = stdin
        self._data = data
        if data is not None and data.strip():
            from claude_tasks.settings import absolute

            printer.data = absolute(os.path.expanduser(data), "--data")
        self._settings: Settings | None = None
        self._operations: Operations | None = None
        self._store: Store | None = None
        self._zone: str | None = None

    @property
    def settings(self) -> Settings:
        """The settings in force. Errors: `ConfigurationError`."""
        if self._data is not None and not self._data.strip():
            raise InvalidInputError("--data: it is empty", hint="name a folder", code="usage")
        if self._settings is None:
            from claude_tasks.settings import load_settings

            self._settings = load_settings(self.environment, {"data": self._data})
        return self._settings

    @property
    def operations(self) -> Operations:
        """All use cases. Errors: `StorageError`."""
        if self._operations is None:
            from claude_tasks.wiring.operations import local_actor, open_operations

            actor = local_actor(self.environment)
            self._operations = open_operations(self.settings, actor=actor)
        return self._operations

    @property
    def tasks(self) -> TaskLookup:
        """Looking at tasks alone, which loads faster than `operations`. Errors: `StorageError`."""
        from claude_tasks.operations.lookup import TaskLookup
        from claude_tasks.wiring.data import open_data

        if self._store is None:
            self._store = open_data(self.settings)
        return TaskLookup(self._store)

    @property
    def zone(self) -> str:
        """This machine's time zone. Says so, once, where TZ names none that is known."""
        if self._zone is None:
            from claude_tasks.system.local_zone import local_zone

            self._zone = local_zone(self.environment, warn=self.printer.note)
        return self._zone

    def find_task(self, reference: str) -> Task:
        """A task that lives. Errors: `NotFoundError`, which says so where it was deleted."""
        try:
            return self.operations.tasks.get(reference)
        except NotFoundError:
            deleted = self._deleted(reference)
            if deleted is None:
                raise
        raise NotFoundError(
            f'Task {deleted.id} "{deleted.name}" was deleted',
            hint=Hint("bring it back with: ", Command("restore", deleted.id)),
        )

    def _deleted(self, reference: str) -> Task | None:
        from claude_tasks.domain.errors import ClaudeTasksError

        try:
            return self.operations.tasks.get(reference, include_deleted=True)
        except ClaudeTasksError:  # none, or several of that name: then it is just not found
            return None

    def settle(self) -> None:
        """Record runs that ended while no node lived, so that they are not shown as running."""
        status = self.operations.status
        if not status.has_leftovers() or status.living_nodes():
            return
        from claude_tasks.cli.log_output import start_plain_logging
        from claude_tasks.wiring.node import settle_leftovers

        start_plain_logging(self.printer.stderr)
        settle_leftovers(self.settings)

    def use_flags(self, **flags: object) -> None:
        """Flags of a command that win over settings. Errors: `ConfigurationError`."""
        from claude_tasks.settings import load_settings

        self._settings = load_settings(self.environment, {"data": self._data, **flags})

    def use_settings(self, settings: Settings) -> None:
        """Work with these settings from now on."""
        self._settings = settings

    def now(self) -> int:
        """Milliseconds since the epoch, UTC."""
        import time

        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        """Wait."""
        import time

        time.sleep(seconds)

    def folder_here(self) -> str:
        """The current directory, absolute. Errors: `InvalidInputError` where it is gone."""
        try:
            return os.getcwd()
        except FileNotFoundError:
            raise InvalidInputError(
                "the current folder no longer exists",
                hint="cd to a folder that exists, or give an absolute path with --dir",
            ) from None

    def read_stdin(self) -> str:
        """All of standard input. Errors: `InvalidInputError` where it is no text."""
        try:
            return self.stdin.read()
        except UnicodeDecodeError as error:
            raise InvalidInputError("standard input: not UTF-8 text") from error

    def close(self) -> None:
        """Close the database."""
        for opened in (self._operations, self._store):
            if opened is not None:
                opened.close()
        self._operations = self._store = None
