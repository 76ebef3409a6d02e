"""Server-sent events as bytes (the event stream format of the HTML standard, section 9.2)."""

from __future__ import annotations

from typing import Any

import msgspec

MEDIA_TYPE = "text/event-stream"
RETRY = b"retry: 2000\n\n"
"""After a lost connection a client comes back this many milliseconds later."""

HEARTBEAT = b": still here\n\n"
HEARTBEAT_SECONDS = 15.0


def event(kind: str, value: Any, *, id_: int | None = None) -> bytes:
    """One event with a JSON value."""
    return raw_event(kind, msgspec.json.encode(value), id_=id_)


def raw_event(kind: str, line: bytes, *, id_: int | None = None) -> bytes:
    """One event with a line that is sent as it is."""
    head = b"" if id_ is None else b"id: %d\n" % id_
    # A carriage return ends a line of the format too: within JSON it only stands between tokens.
    text = line.replace(b"\r", b"")
    return b"%sevent: %s\ndata: %s\n\n" % (head, kind.encode(), text)


def last_event_id(headers: Any) -> int | None:
    """Where a client that comes back left off; None for a new one, or what is no id of ours."""
    text = headers.get("last-event-id", "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None  # noqa: PLR2004 (it fits 63 bits)
