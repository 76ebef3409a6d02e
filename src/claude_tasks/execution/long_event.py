"""Parses one event of any length, chunk by chunk, in bounded memory.

Parsing a line of 64 MiB whole takes several times its size in memory, in each supervisor that meets
one. This parser keeps only values, and limits those: head and tail of the texts that people read,
the head of all other texts, the first members of lists and objects. Regular expressions skip the
rest at the speed of C.

It does not check commas and colons. Input that is not an object at all sets `broken`.
"""

from __future__ import annotations

import json
import re
from typing import Any

from claude_tasks.execution.bounded import Tail

LONG_TEXT_HEAD = 96 * 1024
LONG_TEXT_TAIL = 160 * 1024
_LONG_TEXTS = ("result", "text")
_TEXT_HEAD = 16 * 1024
_SHORT_TEXT = 256
_ALL_TEXTS = 4 * 1024 * 1024
_MOST_MEMBERS = 1000
_MOST_VALUES = 20_000
_DEEPEST = 50
_MOST_TOKENS = 3_000_000
"""A few seconds of work. No agent's event has more brackets."""

_BETWEEN = re.compile(rb"[\s,:]*+")
_TEXT = re.compile(rb'(?:[^"\\]++|\\[\s\S])*+')
_LITERAL = re.compile(rb'[^\s"\[\]{},:]*+')
_PASSED_OVER = re.compile(rb'[^"\[\]{}]*+')
_WHOLE_ESCAPES = re.compile(rb'(?:[^"\\]++|\\(?:u[0-9a-fA-F]{4}|[^u]))*+')
_IN_NO_ESCAPE = re.compile(rb'[^\\0-9a-fA-Fu"/nrt]')
_BEFORE_AN_ESCAPE = re.compile(rb"[^\\](?=\\)")
_LONGEST_LITERAL = 64
_HALVES = "".join(map(chr, range(0xD800, 0xE000))) + "\ufffd"
_NO_LITERAL = b' \t\r\n\f\v"[]{},:'
_OPENING, _CLOSING = b"[{", b"]}"
_QUOTE, _BACKSLASH = b'"'[0], b"\\"[0]


class LongEvent:
    """Feed it the bytes of one line; read `value` at its end."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self.broken = False
        self._root: Any = None
        self._stack: list[_Open] = []
        self._passing_over = 0
        self._text: _Text | None = None
        self._escaped = False
        self._literal = b""
        self._text_room = _ALL_TEXTS
        self._values = 0
        self._tokens = 0

    @property
    def value(self) -> dict[str, Any] | None:
        """The object, None when the input is not an object or is incomplete."""
        whole = not (self.broken or self._stack or self._passing_over or self._text is not None)
        return self._root if whole and isinstance(self._root, dict) else None

    def feed(self, data: bytes) -> None:
        """Take the next bytes, cut anywhere."""
        position = 0
        while position < len(data) and not self.broken:
            if self._text is not None:
                position = self._take_text(self._text, data, position)
            elif self._passing_over:
                position = self._pass_over(data, position)
            else:
                position = self._take_token(data, position)

    def _take_text(self, text: _Text, data: bytes, position: int) -> int:
        start = position
        if self._escaped:
            self._escaped = False
            position += 1
        match = _TEXT.match(data, position)
        assert match is not None  # the pattern also matches the empty text
        position = match.end()
        if position < len(data) and data[position] == _BACKSLASH:  # its byte is yet to come
            self._escaped = True
            position += 1
        text.write(data[start:position])
        if position < len(data) and not self._escaped:
            self._text = None
            self._end_text(text)
            position += 1
        return position

    def _pass_over(self, data: bytes, position: int) -> int:
        match = _PASSED_OVER.match(data, position)
        assert match is not None
        position = match.end()
        if position < len(data):
            self._count_token()
            byte = data[position]
            if byte == _QUOTE:
                self._text = _Text(0, 0)
            else:
                self._passing_over += 1 if byte in _OPENING else -1
        return position + 1

    def _take_token(self, data: bytes, position: int) -> int:
        if not self._literal:
            match = _BETWEEN.match(data, position)
            assert match is not None
            position = match.end()
            if position == len(data):
                return position
        byte = data[position]
        if byte in _NO_LITERAL:
            self._end_literal()
            self._count_token()
            if byte == _QUOTE:
                self._text = self._new_text()
            elif byte in _OPENING:
                self._open({} if byte == b"{"[0] else [])
            elif byte in _CLOSING:
                self._close(dict if byte == b"}"[0] else list)
            return position + 1
        match = _LITERAL.match(data, position)
        assert match is not None
        part = data[position : min(match.end(), position + _LONGEST_LITERAL + 1)]
        self._literal = (self._literal + part)[: _LONGEST_LITERAL + 1]
        return match.end()

    def _count_token(self) -> None:
        self._tokens += 1
        if self._tokens > _MOST_TOKENS:
            self.broken = True

    def _new_text(self) -> _Text:
        if self._stack and self._stack[-1].wants_a_key:
            return _Text(_SHORT_TEXT, 0)
        if self._stack and self._stack[-1].key in _LONG_TEXTS:
            head, tail = LONG_TEXT_HEAD, LONG_TEXT_TAIL
        else:
            head, tail = _TEXT_HEAD, 0
        if head + tail > self._text_room and len(self._stack) > 1:
            return _Text(_SHORT_TEXT, 0)  # room for a word only
        return _Text(head, tail)

    def _end_text(self, text: _Text) -> None:
        if self._passing_over:
            return
        self._text_room -= text.kept
        value = text.value()
        if value is None:
            self.broken = True
        elif self._stack and self._stack[-1].wants_a_key:
            self._stack[-1].key = value
        else:
            self._put(value)

    def _end_literal(self) -> None:
        literal, self._literal = self._literal, b""
        if not literal:
            return
        if len(literal) > _LONGEST_LITERAL and literal[1:].isdigit():
            self._put(None)  # too many digits to be a number of an event
            return
        try:
            self._put(json.loads(literal))
        except (ValueError, RecursionError):
            self.broken = True

    def _open(self, container: Any) -> None:
        if self._put(container) and len(self._stack) < _DEEPEST:
            self._stack.append(_Open(container))
        else:
            self._passing_over += 1

    def _close(self, kind: type) -> None:
        if self._stack and isinstance(self._stack[-1].container, kind):
            self._stack.pop()
        else:
            self.broken = True

    def _put(self, value: Any) -> bool:
        """Whether it was kept."""
        self._values += 1
        if not self._stack:
            self.broken = self.broken or self._values > 1
            self._root = value
            return True
        kept = self._stack[-1].put(value, room=self._values <= _MOST_VALUES)
        if not kept and len(self._stack) > 1:  # the rest of this list or object is dropped too
            self._stack.pop()
            self._passing_over += 1
        return kept


class _Open:
    """A list or object whose end has not come yet."""

    def __init__(self, container: Any) -> None:
        self.container = container
        self.key: str | None = None

    @property
    def wants_a_key(self) -> bool:
        return self.key is None and isinstance(self.container, dict)

    def put(self, value: Any, *, room: bool) -> bool:
        fits = room and len(self.container) < _MOST_MEMBERS
        if isinstance(self.container, list):
            if fits:
                self.container.append(value)
        elif fits or self.key in ("type", "subtype"):  # kept even where they come last
            self.container[self.key] = value
        self.key = None
        return fits


class _Text:
    """The bytes of one text as written in the line: head and tail."""

    def __init__(self, head: int, tail: int) -> None:
        self._head_limit = head
        self._head = bytearray()
        self._tail = Tail(tail) if tail else None
        self._dropped = 0

    @property
    def kept(self) -> int:
        """Bytes."""
        return len(self._head) + (len(self._tail.value()) if self._tail is not None else 0)

    def write(self, data: bytes) -> None:
        room = self._head_limit - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if self._tail is not None:
            if data:
                self._tail.write(data)
        else:
            self._dropped += len(data)

    def value(self) -> str | None:
        """The text, with the size of a gap; None where it is not valid JSON."""
        tail = self._tail.value() if self._tail is not None else b""
        dropped = self._dropped + (self._tail.dropped if self._tail is not None else 0)
        if not dropped:
            return _decoded(bytes(self._head) + tail)
        match = _WHOLE_ESCAPES.match(self._head)
        assert match is not None
        head = _decoded(bytes(self._head[: match.end()]))
        if head is None:
            return None
        head = head.rstrip(_HALVES)  # half of a surrogate pair
        if self._tail is None:
            return f"{head}…"
        end = (_decoded(_from_a_start(tail)) or "").lstrip(_HALVES)
        return f"{head}\n[… {dropped:,} bytes left out …]\n{end}"


def _from_a_start(tail: bytes) -> bytes:
    """The tail from the first position that is surely outside an escape sequence.

    Some characters never occur in one, and a backslash after any other character begins one.
    """
    if b"\\" not in tail:
        return tail
    starts = []
    plain, before = _IN_NO_ESCAPE.search(tail), _BEFORE_AN_ESCAPE.search(tail)
    if plain is not None:
        starts.append(plain.start())
    if before is not None:
        starts.append(before.end())
    return tail[min(starts) :] if starts else b""


def _decoded(raw: bytes) -> str | None:
    """Decode what is between the quotes. Invalid UTF-8 becomes U+FFFD."""
    try:
        value = json.loads(f'"{raw.decode(errors="replace")}"', strict=False)
    except ValueError:
        return None
    return value if isinstance(value, str) else None
