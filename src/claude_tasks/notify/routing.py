"""Where messages about a task go: its own addresses, else those of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.domain.task_fields import ADDRESS_FIELDS

if TYPE_CHECKING:
    from claude_tasks.domain.notification import Addresses


def targets(own: Addresses, general: Addresses) -> list[tuple[str, str]]:
    """Channel and address, each channel once: the task's own address wins."""
    named = {**general, **own}
    return [(channel, named[channel]) for channel in ADDRESS_FIELDS.values() if channel in named]
