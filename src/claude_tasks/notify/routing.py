"""Where messages about a task go: its own addresses, else those of the settings."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claude_tasks.domain.notification import Addresses


class Channel(StrEnum):
    """What messages can go through. The values are the fields of `Addresses`."""

    DISCORD = "discord"
    SLACK = "slack"
    WEBHOOK = "webhook"
    APPRISE = "apprise"


def targets(own: Addresses | None, general: Addresses) -> list[tuple[Channel, str]]:
    """Channel and address, a channel once: what a task says of it wins."""
    named = [
        (channel, (own and getattr(own, channel)) or getattr(general, channel))
        for channel in Channel
    ]
    return [(channel, target) for channel, target in named if target]
