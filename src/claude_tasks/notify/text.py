"""Makes untrusted text fit for a channel: cleaned, cut to a limit, without mentions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from unicodedata import category

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "\n…"
"""The mark at the end of a text that was cut."""

ZERO_WIDTH_SPACE = "\u200b"
_ZERO_WIDTH_JOINER = "\u200d"
_FAR_ENOUGH = 32  # characters: emoji families are shorter, stacked accents have no end
_ESCAPE_SEQUENCES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_FENCE = re.compile(r"`{3,}")
_MENTION = re.compile(r"@(?=everyone|here|channel)|<(?=[@#!])")


def clean(text: str) -> str:
    """Without terminal colours and control characters, and encodable as UTF-8."""
    text = _ESCAPE_SEQUENCES.sub("", text.replace("\r\n", "\n"))
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("", text))


def units(text: str) -> int:
    """The length in UTF-16 code units: what JavaScript counts, and never less than code points.

    Discord says "characters" in its documentation, and counted code points when its staff was
    asked (github.com/discord/discord-api-docs/issues/1315); Slack does not say. The larger of the
    possible counts is safe with both.
    """
    return len(text.encode("utf-16-le")) // 2


def fit(text: str, limit: int, render: Callable[[str], str] = str, *, mark: str = MARK) -> str:
    """``render(text)`` in at most ``limit`` `units`; "" if even the mark does not fit.

    Where that is too long the *source* is cut and rendered again, so that no escape sequence, link
    or surrogate pair is ever cut in two, and the renderer closes what the cut left open. ``text``
    must be `clean`.
    """
    size = min(len(text), limit)
    if size == len(text):
        whole = render(text)
        if units(whole) <= limit:
            return whole
    while size > 0:
        rendered = render(cut(text, size).rstrip() + mark)
        length = units(rendered)
        if length <= limit:
            return rendered
        size = min(size - 1, size * limit // length)
    return ""


def cut(text: str, size: int) -> str:
    """At most ``size`` code points, not ending within an emoji or between a letter and its accent.

    A cluster longer than `_FAR_ENOUGH` is cut too.
    """
    if size >= len(text):
        return text
    for end in range(size, max(0, size - _FAR_ENOUGH), -1):
        if not _joined(text[end - 1], text[end]):
            return text[:end]
    return text[:size]


def defused(text: str) -> str:
    """The text with invisible marks, so that no channel takes a part of it for a mention."""
    return _MENTION.sub(lambda found: found[0] + ZERO_WIDTH_SPACE, text)


def fenced(text: str) -> str:
    """Plain text as a Markdown code block that its content cannot end."""
    return f"```\n{without_fences(text)}\n```"


def without_fences(text: str) -> str:
    """The text with invisible marks, so that no part of it begins or ends a code block."""
    return _FENCE.sub(lambda found: ZERO_WIDTH_SPACE.join(found[0]), text)


def _joined(before: str, after: str) -> bool:
    """Nearly Unicode's grapheme clusters (UAX #29): what the standard library has data for."""
    return (
        _ZERO_WIDTH_JOINER in (before, after)
        or category(after).startswith("M")  # accents, variation selectors
        or "\U0001f3fb" <= after <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= after <= "\U000e007f"  # tags of regional flags
        or ("\U0001f1e6" <= before <= "\U0001f1ff" and "\U0001f1e6" <= after <= "\U0001f1ff")
    )
