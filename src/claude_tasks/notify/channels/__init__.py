"""The channels that messages can go through.

Each is a module here, named as the table of fields names it (`Field.channel`), with one function::

    def send(target: str, notice: Notice, attempt: Attempt) -> Delivery

It has all that is specific to the channel: payload, headers, limits. A new channel needs its module
and the line of its address in `domain/task_fields.py`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from claude_tasks.domain.task_fields import ADDRESS_FIELDS
from claude_tasks.notify.sending import refused

if TYPE_CHECKING:
    from claude_tasks.notify.delivery import Attempt, Delivery
    from claude_tasks.notify.notice import Notice


def send(channel: str, target: str, notice: Notice, attempt: Attempt) -> Delivery:
    """Try once to deliver. Never raises."""
    if channel not in ADDRESS_FIELDS.values():
        return refused(f"this version knows no channel {channel!r}")
    try:
        delivery: Delivery = import_module(f"{__name__}.{channel}").send(target, notice, attempt)
    except Exception as error:  # noqa: BLE001 (whatever a notice holds, its run must not suffer)
        return refused(f"the message could not be made: {type(error).__name__}")
    return delivery
