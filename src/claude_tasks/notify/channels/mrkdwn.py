"""Converts Markdown, as agents write it, to Slack's mrkdwn.

Slack's dialect: https://docs.slack.dev/messaging/formatting-message-text. ``&``, ``<`` and ``>``
are its control characters: everything that may be a mention (``<!channel>``, ``<@U1>``) starts
with ``<``, so escaping it keeps an agent from mentioning people. Code keeps its text unchanged.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from claude_tasks.notify.text import defused, without_fences

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEEPEST = 6  # nested emphasis: deeper levels stay as written
_FENCE = re.compile(r"\s*(`{3,}|~{3,})(.*)")
_HEADING = re.compile(r" {0,3}#{1,6}\s+(.*?)(?:\s+#+)?\s*")
_ITEM = re.compile(r"(\s*)[-*+]\s+(.*)")
_QUOTE = re.compile(r"\s{0,3}((?:>\s?)+)(.*)")
_ADDRESS = r"(?:https?://|mailto:)[^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*"
_INLINE = re.compile(
    r"(?P<code>(?<!`)(?P<ticks>`+)(?!`)(?P<codetext>[^\n]*?[^`\n])(?P=ticks)(?!`))"
    rf"|!?\[(?P<label>[^\[\]\n]*)\]\((?P<link>{_ADDRESS})(?:\s+\"[^\"\n]*\")?\)"
    rf"|<(?P<angle>{_ADDRESS})>"
    rf"|(?P<bare>(?<![\w/])https?://[^\s<>`*|]*[^\s<>`*|.,;:!?)\]}}'\"_~])"
    r"|(?<![*])\*\*\*(?=[^\s*])(?P<both>[^\n]*?[^\s*])\*\*\*(?![*])"
    r"|(?<![*])\*\*(?=[^\s*])(?P<bold>[^\n]*?[^\s])\*\*(?![*])"
    r"|(?<![\w_])__(?=[^\s_])(?P<bold2>[^\n]*?[^\s])__(?![\w_])"
    r"|(?<![*\w])\*(?=[^\s*])(?P<italic>[^\n*]*?(?:\*\*[^\n*]+\*\*[^\n*]*?)*)(?<=[^\s])\*(?![*\w])"
    r"|(?<![\w_])_(?=[^\s_])(?P<italic2>[^\n]*?[^\s_])_(?![\w_])"
    r"|~~(?=[^\s~])(?P<strike>[^\n]*?[^\s])~~"
    r"|\\(?P<literal>[!-/:-@\[-`{-~])"
)
_STYLES = {"bold": "*{}*", "bold2": "*{}*", "italic": "_{}_", "italic2": "_{}_", "strike": "~{}~"}


def escape(text: str) -> str:
    """The three characters that Slack reads as control characters, as entities."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plain(text: str) -> str:
    """Text for a place without formatting."""
    return escape(defused(text))


def code_block(text: str) -> str:
    """Plain text as a code block that its content cannot end."""
    return f"```\n{_code(text)}\n```"


def mrkdwn(text: str) -> str:
    """Slack's form of a Markdown text. A code block that was left open is closed."""
    return "\n".join(_lines(text))


def _lines(text: str) -> Iterator[str]:
    fence = ""
    for line in text.split("\n"):
        found = _FENCE.fullmatch(line)
        if fence:
            ends = found is not None and found[1].startswith(fence) and not found[2].strip()
            yield "```" if ends else _code(line)
            fence = "" if ends else fence
        elif found is not None and "`" not in found[2]:
            fence = found[1]
            yield "```"  # Slack would show the language as the first line of the code
        else:
            yield _line(line)
    if fence:
        yield "```"


def _line(line: str) -> str:
    if (heading := _HEADING.fullmatch(line)) is not None:
        # Bold within bold would end it.
        return f"*{_inline(heading[1], bold=True)}*" if heading[1] else ""
    if (item := _ITEM.fullmatch(line)) is not None:
        return f"{item[1]}• {_inline(item[2])}"
    if (quote := _QUOTE.fullmatch(line)) is not None:
        return f"> {_inline(quote[2])}"
    return _inline(line)


def _inline(text: str, *, depth: int = 0, bold: bool = False) -> str:
    parts, end = [], 0
    for found in _INLINE.finditer(text) if depth < _DEEPEST else ():
        parts += [plain(text[end : found.start()]), _styled(found, depth + 1, bold=bold)]
        end = found.end()
    return "".join(parts) + plain(text[end:])


def _styled(found: re.Match[str], depth: int, *, bold: bool) -> str:
    kind = found.lastgroup or ""
    if kind == "code":
        return _code_span(found)
    if kind == "link":
        return _link(found["link"], found["label"])
    if kind in ("angle", "bare"):
        return _link(found[kind], "")
    if kind == "literal":
        return escape(found[kind])
    if kind == "both":
        inner = _inline(found[kind], depth=depth, bold=True)
        return f"_{inner}_" if bold else f"*_{inner}_*"
    strong = kind.startswith("bold")
    inner = _inline(found[kind], depth=depth, bold=bold or strong)
    return inner if strong and bold else _STYLES[kind].format(inner)


def _code_span(found: re.Match[str]) -> str:
    inner = found["codetext"].strip()
    # Slack knows single backticks only.
    return f"`{_code(inner)}`" if inner and "`" not in inner else escape(found["code"])


def _link(address: str, label: str) -> str:
    # An address is not defused: it would change.
    target = escape(address.replace("|", "%7C"))
    return f"<{target}|{plain(label)}>" if label.strip() else f"<{target}>"


def _code(text: str) -> str:
    return escape(without_fences(text))
