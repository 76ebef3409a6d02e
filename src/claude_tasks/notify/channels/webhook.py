"""A notice as JSON for a receiver of the owner's own, signed so that it can be trusted.

The body, whose keys are stable (new ones may come)::

    {"format": 1, "id": "<delivery id>", "event": "failed", "title": "Nightly report failed",
     "task": {"id": 7, "name": "Nightly report"},
     "run": {"id": 42, "state": "failed", "reason": "timeout", "error": "…", "output": "…",
             "output_truncated": false, "scheduled_for": "2026-11-22T12:00:00Z", "started_at": …,
             "ended_at": …, "duration_ms": 1800000, "cost_usd": 0.25, "attempt": 1,
             "session_id": "…"},
     "failures_in_a_row": 3, "host": "worker-1", "version": "1.4.0"}

``run`` is null where no run is concerned. A delivery keeps its id over all attempts: a receiver
that has seen it may drop it. To check a message: HMAC-SHA256 with the shared secret over the bytes
of the timestamp header, a dot, and the body; compare in constant time, and refuse old timestamps
(seconds since the epoch).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from claude_tasks.domain.instant import SECOND_MS, to_rfc3339
from claude_tasks.notify.notice import title
from claude_tasks.notify.sending import as_json, post
from claude_tasks.notify.text import clean, cut

if TYPE_CHECKING:
    from claude_tasks.notify.delivery import Attempt, Delivery
    from claude_tasks.notify.notice import Notice

FORMAT = 1
LONGEST_TEXT = 65_536
"""Code points of output or error; the run's log has the whole text."""


def send(target: str, notice: Notice, attempt: Attempt) -> Delivery:
    """POST it, signed where there is a secret."""
    body = as_json(payload(notice, delivery_id=attempt.delivery_id))
    return post(target, body, attempt, headers(notice, body, attempt))


def payload(notice: Notice, *, delivery_id: str) -> dict[str, Any]:
    """The document above."""
    return {
        "format": FORMAT,
        "id": delivery_id,
        "event": str(notice.event),
        "title": clean(title(notice)),
        "task": {"id": notice.task_id, "name": clean(notice.task_name)},
        "run": None if notice.run_id is None else _run(notice),
        "failures_in_a_row": notice.failures_in_a_row,
        "host": clean(notice.host),
        "version": clean(notice.version),
    }


def headers(notice: Notice, body: bytes, attempt: Attempt) -> dict[str, str]:
    """The headers; signed only where there is a secret."""
    timestamp = str(attempt.at // SECOND_MS)
    named = {
        "X-Claude-Tasks-Event": str(notice.event),
        "X-Claude-Tasks-Delivery": attempt.delivery_id,
        "X-Claude-Tasks-Timestamp": timestamp,
    }
    if attempt.secret:
        named["X-Claude-Tasks-Signature"] = signature(attempt.secret, timestamp, body)
    return named


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """``sha256=<hex>``: HMAC (RFC 2104) over timestamp, dot and body."""
    signed = timestamp.encode() + b"." + body
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def _run(notice: Notice) -> dict[str, Any]:
    output = clean(notice.output)
    return {
        "id": notice.run_id,
        "state": _text(notice.state),
        "reason": _text(notice.reason),
        "error": _text(notice.error),
        "output": cut(output, LONGEST_TEXT),
        "output_truncated": len(output) > LONGEST_TEXT,
        "scheduled_for": _time(notice.scheduled_for),
        "started_at": _time(notice.started_at),
        "ended_at": _time(notice.ended_at),
        "duration_ms": notice.duration_ms,
        "cost_usd": notice.cost_usd,
        "attempt": notice.attempt,
        "session_id": _text(notice.session_id),
    }


def _text(text: str | None) -> str | None:
    return None if text is None else cut(clean(text), LONGEST_TEXT)


def _time(at: int | None) -> str | None:
    return None if at is None else to_rfc3339(at)
