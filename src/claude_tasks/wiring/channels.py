"""Where messages go, and whether they would arrive."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks import __version__
from claude_tasks.domain.notification import addresses_of
from claude_tasks.notify.channels import send
from claude_tasks.notify.delivery import Attempt, masked
from claude_tasks.notify.notice import Event, Notice
from claude_tasks.notify.routing import targets
from claude_tasks.system.clock import SystemClock

if TYPE_CHECKING:
    from claude_tasks.domain.ports import Clock
    from claude_tasks.domain.task import Task
    from claude_tasks.settings import Settings

_TEST_SECONDS = 10.0


class Addressed(NamedTuple):
    """A channel messages go through, its address without what is secret, and what came of a try."""

    channel: str
    address: str
    delivered: bool | None = None
    detail: str | None = None


def channels_of(settings: Settings, task: Task | None) -> list[Addressed]:
    """Where messages about a task go; without one, those about tasks that say nothing of it."""
    return [Addressed(channel, masked(target)) for channel, target in _targets(settings, task)]


def send_test_messages(
    settings: Settings, task: Task | None, *, clock: Clock | None = None
) -> list[Addressed]:
    """Send a test message through every channel, once, now. Takes up to ten seconds a channel."""
    at = (clock or SystemClock()).now()
    number, name = (None, "") if task is None else (task.id, task.name)
    notice = Notice(Event.TEST, number, name, host=os.uname().nodename, version=__version__)
    sent = []
    for channel, target in _targets(settings, task):
        attempt = Attempt(f"test-{uuid.uuid4()}", settings.webhook_secret, _TEST_SECONDS, at)
        came = send(channel, target, notice, attempt)
        sent.append(Addressed(channel, masked(target), came.delivered, came.detail))
    return sent


def _targets(settings: Settings, task: Task | None) -> list[tuple[str, str]]:
    return targets({} if task is None else addresses_of(task.spec), settings.addresses)
