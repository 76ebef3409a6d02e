"""A notice as a Slack message: Block Kit.

Limits: https://docs.slack.dev/reference/block-kit/blocks (header 150, section text 3000, 50
blocks). ``verbatim`` keeps Slack from making mentions and channel names out of plain text; links
are written as links here instead. Links are not unfurled: fetching them would reveal to others what
an agent wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_tasks.notify.channels import mrkdwn
from claude_tasks.notify.notice import Notice, sender, summary, title
from claude_tasks.notify.sending import as_json, post
from claude_tasks.notify.text import clean, fit

if TYPE_CHECKING:
    from claude_tasks.notify.delivery import Attempt, Delivery

HEADER = 150
SECTION = 3000
FALLBACK = 1000
_VALUE = 200
_CONTEXT = 300


def send(target: str, notice: Notice, attempt: Attempt) -> Delivery:
    """POST it to an incoming webhook."""
    return post(target, as_json(payload(notice)), attempt)


def payload(notice: Notice) -> dict[str, Any]:
    """The JSON body of an incoming webhook, always within Slack's limits."""
    header = fit(clean(title(notice)), HEADER, mrkdwn.plain, mark="…")
    lines = "\n".join(_summary_line(label, value) for label, value in summary(notice))
    error = clean(notice.error or "").strip()
    output = clean(notice.output).strip("\n")
    heading = {"type": "plain_text", "text": header, "emoji": False}
    blocks: list[dict[str, Any]] = [{"type": "header", "text": heading}, *_section(lines)]
    blocks += _section(fit(error, SECTION, mrkdwn.code_block) if error else "")
    blocks += _section(fit(output, SECTION, mrkdwn.mrkdwn))
    blocks.append({"type": "context", "elements": [_text(_footer(notice))]})
    return {
        "text": _fallback(notice, error),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _summary_line(label: str, value: str) -> str:
    return f"*{label}:* {fit(clean(value), _VALUE, mrkdwn.plain, mark='…')}"


def _fallback(notice: Notice, error: str) -> str:
    """The text that notifications show in place of blocks."""
    said = title(notice) + (f": {error}" if error else "")
    return fit(clean(said), FALLBACK, mrkdwn.plain, mark="…")


def _footer(notice: Notice) -> str:
    return fit(clean(sender(notice)), _CONTEXT, mrkdwn.plain, mark="…")


def _section(text: str) -> list[dict[str, Any]]:
    """No block for no text: Slack refuses empty ones."""
    return [{"type": "section", "text": _text(text)}] if text.strip() else []


def _text(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}
