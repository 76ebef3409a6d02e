"""The agent's stream-json, read leniently: what it said, what it cost, how it ended.

Fields and their order differ by version of the CLI, a line may be longer than any buffer, a result
event may be missing, and other agents print plain text: nothing here may fail on any input.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from claude_tasks.execution.bounded import HeadAndTail, shorten
from claude_tasks.execution.contract import Said

if TYPE_CHECKING:
    from collections.abc import Callable

LINE_LIMIT = 1024 * 1024
"""A longer line is skipped: only tool results with embedded files get there."""

OUTPUT_HEAD = 96 * 1024
OUTPUT_TAIL = 160 * 1024

_LARGEST = 2**53
"""Counts beyond this are nonsense, and beyond 2**63 no database takes them."""

_DELTA = b'{"type":"stream_event"'


class Transcript:
    """Feed it bytes as they come; read `summary` at the end."""

    def __init__(self, *, now: Callable[[], int]) -> None:
        """Start with nothing seen; ``now`` (ms) dates what is true at its instant only."""
        self._now = now
        self._line = bytearray()
        self._skipping = False
        self._plain = HeadAndTail(OUTPUT_HEAD, OUTPUT_TAIL)
        self._said = ""
        self._init: dict[str, Any] = {}
        self._result: dict[str, Any] | None = None
        self._rate_limit: dict[str, Any] | None = None
        self._rate_limit_at: int | None = None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes, cut anywhere."""
        lines = chunk.split(b"\n")
        for part in lines[:-1]:
            self._extend(part)
            self._end_line()
        self._extend(lines[-1])

    def close(self) -> None:
        """Take what is left of a last line without an end."""
        if self._line or self._skipping:
            self._end_line()

    def summary(self) -> Said:
        """All that was learnt."""
        result = self._result or {}
        usage = _mapping(result.get("usage"))
        return Said(
            output=shorten(self._output(), head=OUTPUT_HEAD, tail=OUTPUT_TAIL),
            has_result=self._result is not None,
            is_error=bool(result.get("is_error")),
            subtype=_text(result.get("subtype")),
            api_error_status=_integer(result.get("api_error_status")),
            session_id=_text(result.get("session_id")) or _text(self._init.get("session_id")),
            model=_text(self._init.get("model")) or _first_model(result),
            cost_usd=_number(result.get("total_cost_usd")),
            input_tokens=_integer(usage.get("input_tokens")),
            output_tokens=_integer(usage.get("output_tokens")),
            cache_read_tokens=_integer(usage.get("cache_read_input_tokens")),
            cache_creation_tokens=_integer(usage.get("cache_creation_input_tokens")),
            num_turns=_integer(result.get("num_turns")),
            permission_denials=_denials(result.get("permission_denials")),
            rate_limit=self._rate_limit,
            rate_limit_at=self._rate_limit_at,
        )

    def _extend(self, part: bytes) -> None:
        if self._skipping:
            self._plain.write(part)
        elif len(self._line) + len(part) > LINE_LIMIT:
            self._plain.write(bytes(self._line))
            self._plain.write(part)
            self._line.clear()
            self._skipping = True
        else:
            self._line += part

    def _end_line(self) -> None:
        line, skipped = bytes(self._line), self._skipping
        self._line.clear()
        self._skipping = False
        if skipped:
            self._plain.write(b"\n")
        elif not line.startswith(_DELTA):
            event = _event(line)
            if event is None:
                self._plain.write(line + b"\n")
            else:
                self._note(event)

    def _note(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "result":
            self._result = event
        elif kind == "assistant":
            self._said = _message_text(event) or self._said
        elif kind == "system" and event.get("subtype") == "init":
            self._init = event
        elif kind == "rate_limit_event":
            self._rate_limit = _mapping(event.get("rate_limit_info")) or None
            self._rate_limit_at = self._now()

    def _output(self) -> str:
        """The result's text; failing that the last thing said; failing that what was printed."""
        result = _text((self._result or {}).get("result"))
        return result or self._said or self._plain.text().rstrip("\n")


def _event(line: bytes) -> dict[str, Any] | None:
    """The line as an event, None when it is plain text."""
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):  # plain text that happens to start with a brace
        return None
    return event if isinstance(event, dict) and isinstance(event.get("type"), str) else None


def _message_text(event: dict[str, Any]) -> str:
    content = _mapping(event.get("message")).get("content")
    if isinstance(content, str):
        return _text(content) or ""
    blocks = content if isinstance(content, list) else []
    texts = [
        _text(block.get("text")) or ""
        for block in blocks
        if isinstance(block, dict) and block.get("type") == "text"
    ]
    return "\n".join(texts)


def _denials(value: Any) -> list[str]:
    """Which tools were denied, by name, with what they were asked where that is short."""
    entries = value if isinstance(value, list) else []
    return [_denial(entry) for entry in entries]


def _denial(entry: Any) -> str:
    if not isinstance(entry, dict):
        return _text(str(entry)) or ""
    name = _text(entry.get("tool_name")) or "a tool"
    asked = entry.get("tool_input")
    detail = asked.get("command") or asked.get("file_path") if isinstance(asked, dict) else None
    return _text(f"{name}({str(detail)[:200]})") or name if detail else name


def _first_model(result: dict[str, Any]) -> str | None:
    return next(iter(_mapping(result.get("modelUsage"))), None)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    # JSON may spell half a surrogate pair, which no database or terminal takes.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def _integer(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and abs(value) <= _LARGEST else None


def _number(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # NaN and the infinities are no JSON, but Python reads them; a database takes neither.
    return float(value) if number and abs(value) <= _LARGEST else None
