"""One attempt to deliver a message: its input, its result, and when to make the next."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple
from urllib.parse import urlsplit

from claude_tasks.domain.instant import SECOND_MS

MOST_ATTEMPTS = 8
FIRST_WAIT_MS = 10 * SECOND_MS
LONGEST_WAIT_MS = 3600 * SECOND_MS


class Attempt(NamedTuple):
    """What a channel gets besides address and notice.

    ``delivery_id`` is the same for all attempts. ``secret`` signs. ``seconds`` limits the whole
    attempt; ``at`` is now.
    """

    delivery_id: str
    secret: str | None
    seconds: float
    at: int

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Attempt(delivery_id={self.delivery_id!r}, seconds={self.seconds}, at={self.at})"


class Delivery(NamedTuple):
    """The result of an attempt.

    ``delivered``: the channel took the message. ``permanent``: another attempt would fail too.
    ``retry_after``: seconds the channel asked to wait, None where it did not say. ``detail`` is for
    people and for logs: it holds nothing secret.
    """

    delivered: bool
    permanent: bool
    retry_after: float | None
    detail: str


def next_attempt_at(attempts: int, delivery: Delivery, at: int) -> int | None:
    """When to try again after the ``attempts``-th attempt ended so at ``at``; None for never.

    Waits double from 10 s up to an hour, and are longer where the channel asked for it. Nothing is
    tried again once delivered, refused for good, or after 8 attempts.
    """
    if delivery.delivered or delivery.permanent or attempts >= MOST_ATTEMPTS:
        return None
    wait = min(FIRST_WAIT_MS << max(0, 2 * (attempts - 1)), LONGEST_WAIT_MS)
    asked = 0 if delivery.retry_after is None else ceil(delivery.retry_after * SECOND_MS)
    return at + max(wait, asked)


def masked(target: str) -> str:
    """``https://hooks.slack.com/…``: an address without its secret part.

    Of addresses other than http(s) only the scheme is shown: Apprise has tokens in place of the
    host.
    """
    scheme, found, _ = target.partition("://")
    scheme = scheme.lower()
    if not found or not scheme.isascii() or not scheme.replace("+", "").isalnum():
        return "…"
    if scheme not in ("http", "https"):
        return f"{scheme}://…"
    try:
        parts = urlsplit(target)
        host, port = parts.hostname, parts.port
    except ValueError:
        return f"{scheme}://…"
    if not host or not host.isprintable():
        return f"{scheme}://…"
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}{'' if port is None else f':{port}'}/…"
