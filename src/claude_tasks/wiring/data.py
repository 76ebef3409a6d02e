"""The data folder's store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.storage.sqlite.store import DEFAULT_BUSY_TIMEOUT, open_store
from claude_tasks.system.clock import SystemClock

if TYPE_CHECKING:
    from claude_tasks.domain.ports import Clock, Store
    from claude_tasks.settings import Settings

PROMPT_BUSY_TIMEOUT = 0.5
"""Seconds, for work that should rather fail than wait: renewing a lease while trust lasts, leaving
the registry, the request of a client (503: try again)."""


def open_data(
    settings: Settings,
    *,
    clock: Clock | None = None,
    busy_timeout: float = DEFAULT_BUSY_TIMEOUT,
    existing: bool = False,
) -> Store:
    """The store of the data folder, both created when missing.

    With ``existing`` nothing is created: a node that lives had its database, and one that is gone
    must not come back empty. Errors: `StorageError`, also where runs or logs are without theirs.
    """
    folder = settings.folder
    if not existing:
        folder.create()
    if existing or folder.holds_history():
        folder.require_database()
    at = (clock or SystemClock()).now()
    return open_store(folder.database, at=at, busy_timeout=busy_timeout)
