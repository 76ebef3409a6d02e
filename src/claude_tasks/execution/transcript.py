"""Reads the agent's stream-json leniently: what it said, what it cost, how it ended.

Fields and their order differ between versions of the CLI, a line may be longer than any buffer, the
result event may be missing, and other agents print plain text. No input may raise an error here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from claude_tasks.execution.activity import Activity
from claude_tasks.execution.bounded import HeadAndTail, shorten
from claude_tasks.execution.contract import Said
from claude_tasks.execution.long_event import LongEvent

if TYPE_CHECKING:
    from collections.abc import Callable

LINE_LIMIT = 256 * 1024
"""A line up to this length is parsed whole; a longer one in chunks, see `LongEvent`."""

EVENT_LIMIT = 64 * 1024 * 1024
"""A longer line does not count as an event, only as printed text."""

OUTPUT_HEAD = 96 * 1024
OUTPUT_TAIL = 160 * 1024

MOST_DENIALS = 100
LONGEST_DENIAL = 4000
_MOST_ERRORS = 20
_LONGEST_ERROR = 4000
_LONGEST_NAME = 200
_MOST_WINDOWS = 20

_LARGEST = 2**53
"""Larger counts are wrong, and beyond 2**63 no database stores them."""

_DELTA = b'{"type":"stream_event"'
_SYNTHETIC = "<synthetic>"
"""The model name in messages that the CLI writes itself, as for API errors."""


class _LongLine:
    """A line that is too long to be kept: the event it may be, and its text if it is none."""

    def __init__(self) -> None:
        self.event = LongEvent()
        self.text = HeadAndTail(OUTPUT_HEAD, OUTPUT_TAIL)
        self.size = 0

    def feed(self, data: bytes) -> None:
        self.size += len(data)
        self.text.write(data)
        if self.size <= EVENT_LIMIT:
            self.event.feed(data)

    def value(self) -> dict[str, Any] | None:
        return self.event.value if self.size <= EVENT_LIMIT else None


class Transcript:
    """Feed it bytes as they come; read `summary` at the end."""

    def __init__(self, *, now: Callable[[], int]) -> None:
        """Start with nothing seen; ``now`` (ms) gives the time of usage readings."""
        self._now = now
        self._line = bytearray()
        self._long: _LongLine | None = None
        self._line_start = 0
        self._position = 0
        self._plain = HeadAndTail(OUTPUT_HEAD, OUTPUT_TAIL)
        self._said = ""
        self._init: dict[str, Any] = {}
        self._result: dict[str, Any] | None = None
        self._denials: dict[str, str] = {}
        self._rate_limit: dict[str, Any] | None = None
        self._rate_limit_at: int | None = None
        self._answered = False
        self._streamed = False
        self._api_error = ""
        self.activity = Activity()
        """The agent's open turn and background tasks."""
        self.result_span: tuple[int, int] | None = None
        """Where in the stream the line of the last result begins, and where it has ended."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes, cut anywhere."""
        lines = chunk.split(b"\n")
        for part in lines[:-1]:
            self._extend(part)
            self._position += len(part) + 1
            self._end_line()
        self._extend(lines[-1])
        self._position += len(lines[-1])

    def close(self) -> None:
        """Take what is left of a last line without an end."""
        if self._line or self._long is not None:
            self._end_line()

    def summary(self) -> Said:
        """All that was learnt."""
        result = self._result or {}
        usage = _mapping(result.get("usage"))
        return Said(
            output=shorten(self._output(), head=OUTPUT_HEAD, tail=OUTPUT_TAIL),
            has_result=self._result is not None,
            is_error=bool(result.get("is_error")),
            subtype=_name(result.get("subtype")),
            api_error_status=_integer(result.get("api_error_status")),
            api_error=_name(result.get("api_error")),
            errors=_errors(result.get("errors")),
            session_id=_name(result.get("session_id")) or _name(self._init.get("session_id")),
            model=_name(self._init.get("model")) or _first_model(result),
            cost_usd=_number(result.get("total_cost_usd")),
            input_tokens=_integer(usage.get("input_tokens")),
            output_tokens=_integer(usage.get("output_tokens")),
            cache_read_tokens=_integer(usage.get("cache_read_input_tokens")),
            cache_creation_tokens=_integer(usage.get("cache_creation_input_tokens")),
            num_turns=_integer(result.get("num_turns")),
            permission_denials=_bounded(self._denials),
            rate_limit=self._rate_limit,
            rate_limit_at=self._rate_limit_at,
            answered=self._answered,
            result_text=_cause(_text(result.get("result"))),
            api_error_text=_cause(self._api_error),
            streamed=self._streamed,
        )

    def _extend(self, part: bytes) -> None:
        if self._long is not None:
            self._long.feed(part)
        elif len(self._line) + len(part) > LINE_LIMIT:
            self._long = _LongLine()
            self._long.feed(bytes(self._line))
            self._long.feed(part)
            self._line.clear()
        else:
            self._line += part

    def _end_line(self) -> None:
        line, long = bytes(self._line), self._long
        self._line.clear()
        self._long = None
        start, self._line_start = self._line_start, self._position
        if line.startswith(_DELTA):
            self._answered = self._streamed = True
            return
        event = _event(line) if long is None else _if_event(long.value())
        if event is not None:
            self._note(event)
            if event.get("type") == "result":
                self.result_span = (start, self._position)
        elif long is None:
            self._plain.write(line + b"\n")
        else:
            self._plain.write(long.text.text().encode() + b"\n")

    def _note(self, event: dict[str, Any]) -> None:
        self.activity.note(event)
        self._streamed = True
        kind = event.get("type")
        if kind == "result":
            self._result = event
            self._note_denials(event.get("permission_denials"))
        elif kind == "assistant":
            self._said = _message_text(event) or self._said
            if _is_of_a_model(event):
                self._answered = True
            else:
                self._api_error = _message_text(event) or self._api_error
        elif kind == "system" and event.get("subtype") == "init":
            self._init = event
        elif kind == "rate_limit_event":
            self._rate_limit = _told_of_limit(event.get("rate_limit_info"))
            self._rate_limit_at = self._now()

    def _note_denials(self, value: Any) -> None:
        """Add the denials of a result, which names only those of its own turns."""
        for entry in value if isinstance(value, list) else []:
            text = _denial(entry)
            use = entry.get("tool_use_id") if isinstance(entry, dict) else None
            self._denials.setdefault(use if isinstance(use, str) else text, text)

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
    except (ValueError, RecursionError):
        # Plain text that happens to start with a brace, or what Python's parser refuses: brackets
        # in brackets without end, a number of thousands of digits.
        long = LongEvent()
        long.feed(line)
        event = None if long.broken else long.value
    return _if_event(event)


def _if_event(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) and isinstance(value.get("type"), str) else None


def _is_of_a_model(event: dict[str, Any]) -> bool:
    model = _mapping(event.get("message")).get("model")
    return model != _SYNTHETIC and not event.get("is_api_error_message")


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


def _errors(value: Any) -> list[str]:
    """The causes that the result names."""
    texts = [_text(entry) for entry in value if entry] if isinstance(value, list) else []
    kept = [text for text in texts if text and text.strip()][:_MOST_ERRORS]
    return [shorten(text, head=_LONGEST_ERROR, tail=0) for text in kept]


def _cause(text: str | None) -> str:
    """The part of a text that is searched for a cause: the CLI's messages are short."""
    return shorten(text or "", head=_LONGEST_ERROR, tail=0)


def _bounded(denials: dict[str, str]) -> list[str]:
    """A limited number of denials, with a count of the rest."""
    texts = list(dict.fromkeys(denials.values()))
    left_out = len(texts) - MOST_DENIALS
    return texts if left_out <= 0 else [*texts[:MOST_DENIALS], f"… and {left_out} more"]


_TELLING = ("command", "file_path", "notebook_path", "path", "url", "query")


def _denial(entry: Any) -> str:
    """The name of a denied tool and its input, which is complete or ends with an ellipsis."""
    if not isinstance(entry, dict):
        return (_text(str(entry)) or "")[:_LONGEST_NAME]
    name = (_text(entry.get("tool_name")) or "a tool")[:_LONGEST_NAME]
    asked = _mapping(entry.get("tool_input"))
    detail = next((_text(asked[key]) for key in _TELLING if isinstance(asked.get(key), str)), None)
    if not detail:
        return name
    if len(detail) > LONGEST_DENIAL:
        detail = f"{detail[:LONGEST_DENIAL]}…"
    return f"{name}({detail})"


def _told_of_limit(value: Any) -> dict[str, Any] | None:
    """The fields of the event that are used; the others may be of any size."""
    info = _mapping(value)
    told: dict[str, Any] = _window(info)
    if info.get("isUsingOverage") is True:
        told["isUsingOverage"] = True
    windows = list(_mapping(info.get("unifiedWindows")).items())[:_MOST_WINDOWS]
    if windows:
        told["unifiedWindows"] = {
            name[:_LONGEST_NAME]: _window(window)
            for name, window in windows
            if _text(name) == name and isinstance(window, dict)
        }
    return told or None


def _window(info: dict[str, Any]) -> dict[str, Any]:
    found = {name: _name(info.get(name)) for name in ("status", "rateLimitType")}
    numbers = {name: _number(info.get(name)) for name in ("resetsAt", "utilization")}
    return {name: item for name, item in (found | numbers).items() if item is not None}


def _first_model(result: dict[str, Any]) -> str | None:
    return _name(next(iter(_mapping(result.get("modelUsage"))), None))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    # JSON may contain a lone surrogate, which no database or terminal accepts.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def _name(value: Any) -> str | None:
    text = _text(value)
    return None if text is None else text[:_LONGEST_NAME]


def _integer(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and abs(value) <= _LARGEST else None


def _number(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # Python reads NaN and infinities, which are not JSON; a database stores neither.
    return float(value) if number and abs(value) <= _LARGEST else None
