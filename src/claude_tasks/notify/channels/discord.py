"""A notice as a Discord message: one embed.

Limits and fields: https://docs.discord.com/developers/resources/message#embed-object (title 256,
description 4096, field 256 + 1024, footer 2048, 6000 in all). Mentions within embeds notify no one,
and ``allowed_mentions`` excludes them for the whole message; they are defused as well, so that none
is displayed as a mention.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from claude_tasks.domain.instant import to_rfc3339
from claude_tasks.notify.notice import Event, Notice, happened_at, sender, summary, title
from claude_tasks.notify.sending import as_json, post
from claude_tasks.notify.text import clean, defused, fenced, fit, units

if TYPE_CHECKING:
    from claude_tasks.notify.delivery import Attempt, Delivery

TITLE = 256
DESCRIPTION = 4096
FIELD_NAME = 256
FIELD = 1024
FOOTER = 256  # Discord allows 2048: room better spent on the output
TOTAL = 6000

_RED, _ORANGE, _GREY, _GREEN, _BLUE = 0xD92D20, 0xF79009, 0x667085, 0x12B76A, 0x2E90FA
COLOURS = {
    Event.FAILED: _RED,
    Event.STARTED_FAILING: _RED,
    Event.SKIPPED: _ORANGE,
    Event.OVERDUE: _ORANGE,
    Event.CANCELLED: _GREY,
    Event.COMPLETED: _GREEN,
    Event.DENIED: _ORANGE,
    Event.RECOVERED: _GREEN,
    Event.TEST: _BLUE,
}
_MARKUP = re.compile(r"[\\*_~`|<>\[\]#]")
_CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)


def send(target: str, notice: Notice, attempt: Attempt) -> Delivery:
    """Execute a webhook."""
    return post(_waiting(target), as_json(payload(notice)), attempt)


def payload(notice: Notice) -> dict[str, Any]:
    """The JSON body of "Execute Webhook", always within Discord's limits."""
    embed: dict[str, Any] = {
        "title": fit(clean(title(notice)), TITLE, plain, mark="…"),
        "color": COLOURS[notice.event],
        "fields": _fields(notice),
        "footer": {"text": fit(clean(sender(notice)), FOOTER, mark="…")},
    }
    at = happened_at(notice)
    if at is not None:
        embed["timestamp"] = to_rfc3339(at)
    output = clean(notice.output).strip("\n")
    if output.strip():
        embed["description"] = fit(output, min(DESCRIPTION, TOTAL - size(embed)), markdown)
    return {"embeds": [embed], "allowed_mentions": {"parse": []}}


def size(embed: dict[str, Any]) -> int:
    """The size that counts against `TOTAL`, in UTF-16 code units."""
    texts = [embed["title"], embed.get("description", ""), embed["footer"]["text"]]
    texts += [field[part] for field in embed["fields"] for part in ("name", "value")]
    return sum(units(text) for text in texts)


def plain(text: str) -> str:
    """Text with its Markdown escaped, so that Discord shows it unchanged."""
    return _MARKUP.sub(lambda found: "\\" + found[0], defused(text))


def markdown(text: str) -> str:
    """Markdown with mentions outside code defused and its last code block closed."""
    if text.count("```") % 2:
        text += "\n```"
    parts = _CODE.split(text)
    return "".join(part if code else defused(part) for code, part in _numbered(parts))


def _numbered(parts: list[str]) -> list[tuple[bool, str]]:
    """``re.split`` with one group: every second part is what the group matched."""
    return [(bool(index % 2), part) for index, part in enumerate(parts)]


def _fields(notice: Notice) -> list[dict[str, Any]]:
    fields: list[dict[str, Any]] = []
    error = clean(notice.error or "").strip()
    if error:
        fields.append({"name": "Error", "value": fit(error, FIELD, fenced), "inline": False})
    for label, value in summary(notice):
        text = fit(clean(value), FIELD_NAME, plain, mark="…")
        if text.strip():
            fields.append({"name": label, "value": text, "inline": True})
    return fields


def _waiting(target: str) -> str:
    """The URL with ``wait``: without it Discord answers before it has accepted the message."""
    try:
        parts = urlsplit(target.strip())
    except ValueError:  # the transport reports it
        return target
    if "wait" in dict(parse_qsl(parts.query)):
        return target
    query = f"{parts.query}&wait=true" if parts.query else "wait=true"
    return urlunsplit(parts._replace(query=query))
