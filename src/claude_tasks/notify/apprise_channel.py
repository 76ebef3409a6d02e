"""Apprise addresses: a hundred more services, through an optional package.

Apprise says of a delivery only whether it worked, so nothing it refuses is taken for final. The
text goes as plain text: as Markdown it would be made into HTML for mail, tags of an agent included,
and Apprise itself makes mentions of what looks like one.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from claude_tasks.notify.delivery import Delivery, masked
from claude_tasks.notify.notice import Event, summary, title
from claude_tasks.notify.text import clean, defused, fit

if TYPE_CHECKING:
    from claude_tasks.notify.notice import Notice

MISSING = "Apprise is not installed: pip install claude-tasks[apprise]"
BODY = 1800  # Discord's plain messages, the shortest of the common ones, end at 2000
_TYPES = {
    Event.FAILED: "failure",
    Event.STARTED_FAILING: "failure",
    Event.OVERDUE: "warning",
    Event.SKIPPED: "warning",
    Event.COMPLETED: "success",
    Event.RECOVERED: "success",
}


def send_apprise(target: str, notice: Notice, *, seconds: float) -> Delivery:
    """Hand a message to Apprise; ``seconds`` bound each connect and read, not their sum."""
    try:
        # Optional, and slow to load: it brings a hundred services.
        library = importlib.import_module("apprise")
        logging = importlib.import_module("logging")
    except ImportError:
        return Delivery(delivered=False, permanent=True, retry_after=None, detail=MISSING)
    # It logs addresses that it cannot read, and where nobody listens logs end on the screen.
    logging.getLogger("apprise").disabled = True
    try:
        return _through(library, target, notice, seconds)
    except Exception as error:  # noqa: BLE001 (a hundred plugins of others, and a run must not suffer)
        return _failed(f"Apprise failed: {type(error).__name__} ({masked(target)})")


def body(notice: Notice) -> str:
    """Facts, error and output as plain text of at most `BODY` UTF-16 code units."""
    facts = "\n".join(f"{label}: {value}" for label, value in summary(notice))
    parts = (facts, notice.error or "", notice.output)
    text = "\n\n".join(clean(part).strip() for part in parts if part.strip())
    return fit(text, BODY, defused) or title(notice)


def _through(library: Any, target: str, notice: Notice, seconds: float) -> Delivery:
    sender = library.Apprise()
    if not sender.add(target):
        detail = f"Apprise does not understand this address ({masked(target)})"
        return Delivery(delivered=False, permanent=True, retry_after=None, detail=detail)
    for service in sender:
        service.socket_connect_timeout = service.socket_read_timeout = seconds
    delivered = sender.notify(
        title=defused(clean(title(notice))),
        body=body(notice),
        body_format="text",
        notify_type=_TYPES.get(notice.event, "info"),
    )
    if delivered:
        return Delivery(delivered=True, permanent=False, retry_after=None, detail="delivered")
    return _failed(f"Apprise could not deliver ({masked(target)})")


def _failed(detail: str) -> Delivery:
    return Delivery(delivered=False, permanent=False, retry_after=None, detail=detail)
