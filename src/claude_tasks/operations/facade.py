"""All operations on one store, as a face takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.ports import ChangeFeed
    from claude_tasks.operations.notifications import NotificationOperations
    from claude_tasks.operations.runs import RunOperations
    from claude_tasks.operations.settings import SettingsOperations
    from claude_tasks.operations.status import StatusOperations
    from claude_tasks.operations.tasks import TaskOperations
    from claude_tasks.operations.usage import UsageOperations


class Operations(NamedTuple):
    """What a face can ask for. ``close`` lets the store go."""

    tasks: TaskOperations
    runs: RunOperations
    status: StatusOperations
    settings: SettingsOperations
    usage: UsageOperations
    notifications: NotificationOperations
    changes: ChangeFeed
    close: Callable[[], None]
