"""An output stream that never blocks its writer, for long-running processes.

    any thread ──write──▶ bounded queue ──own thread──▶ os.write, which may take for ever
                            │ full
                            └──▶ counted; the count is written in the place of what was dropped

A pipe without a reader and a terminal stopped with Ctrl-S block a thread that writes to them, and a
scheduler that waits for its log schedules nothing. The descriptor stays as it is: made non-blocking
it would be so for every process that shares it. ``os.write``, not the stream: a thread that is
stuck in the stream holds a lock that the interpreter needs at its end.
"""

from __future__ import annotations

import atexit
import io
import os
import select
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

LIMIT = 1 << 20
"""The most characters in the queue; a single text may be longer while the queue is empty."""
_LAST_SECONDS = 1.0
"""How long to wait for a slow reader at the end of the process."""


class _Gap(NamedTuple):
    """How many lines were dropped in this place."""

    lines: int


class Outlet(io.TextIOBase):
    """Writes to the descriptor of ``stream``, in order, on a thread of its own."""

    def __init__(self, stream: TextIO, *, limit: int = LIMIT) -> None:
        """Errors: `OSError` (`io.UnsupportedOperation`) for a stream without a descriptor."""
        super().__init__()
        stream.flush()
        self._descriptor = stream.fileno()
        self._encoding = stream.encoding or "utf-8"
        self._is_terminal = stream.isatty()
        self.say_gap: Callable[[int], str] = gap_text
        """Makes the text written in place of missing lines. Called on the outlet's thread."""
        self._limit = limit
        self._changed = threading.Condition()
        self._waiting: deque[str | _Gap] = deque()
        self._size = 0
        self._begun = ""  # a line whose end is not written yet
        self._drops = False
        self._busy = False
        self._missing = 0
        self._torn = False
        threading.Thread(target=self._run, name=f"outlet-{self._descriptor}", daemon=True).start()

    def write(self, text: str) -> int:
        """Take ``text`` in, or count its lines as dropped. Never waits for a reader."""
        with self._changed:
            lines, end, self._begun = (self._begun + text).rpartition("\n")
            if end:
                self._take(lines + end)
            if len(self._begun) > self._limit:
                self._take_begun()
        return len(text)

    def drain(self, seconds: float) -> bool:
        """Wait until all is written, so long at most; whether it is."""
        with self._changed:
            self._take_begun()
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, seconds)

    def isatty(self) -> bool:
        """Whether it was a terminal at the start: one that was closed since cannot be asked."""
        return self._is_terminal

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def writable(self) -> bool:
        """Always."""
        return True

    def _take_begun(self) -> None:
        if self._begun:
            self._take(self._begun)
            self._begun = ""

    def _take(self, text: str) -> None:
        """Queue a text. A full queue takes more only once half is empty: one long gap, not many."""
        limit = self._limit // 2 if self._drops else self._limit
        if self._waiting and self._size + len(text) > limit:
            self._drops = True
            before = self._waiting.pop() if isinstance(self._waiting[-1], _Gap) else _Gap(0)
            assert isinstance(before, _Gap)  # looked at above
            self._waiting.append(_Gap(before.lines + _lines(text)))
        else:
            self._drops = False
            self._waiting.append(text)
            self._size += len(text)
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting)
                entry = self._waiting.popleft()
                self._busy = True
                self._size -= 0 if isinstance(entry, _Gap) else len(entry)
            self._write_out(entry)

    def _write_out(self, entry: str | _Gap) -> None:
        if isinstance(entry, _Gap):
            self._missing += entry.lines
        if self._missing and self._put(self.say_gap(self._missing)):
            self._missing = 0
        if isinstance(entry, str) and (self._missing or not self._put(entry)):
            self._missing += _lines(entry)

    def _put(self, text: str) -> bool:
        """Write it; False where the system refuses: a full disk, a closed pipe or terminal."""
        begun = left = (("\n" if self._torn else "") + text).encode(self._encoding, "replace")
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:  # another process made it non-blocking
                _wait_for_room(self._descriptor)
            except OSError:
                self._torn = self._torn or len(left) < len(begun)
                return False
        self._torn = False
        return True


_outlets: list[Outlet] = []


def outlet_of(stream: TextIO) -> TextIO:
    """An outlet to where ``stream`` leads; ``stream`` itself where it has no descriptor."""
    try:
        outlet = Outlet(stream)
    except io.UnsupportedOperation:
        return stream
    _outlets.append(outlet)
    return cast("TextIO", outlet)  # it can what is asked of a stream that is only written to


def take_the_place_of(stream: TextIO) -> TextIO:
    """The same, and in `sys` too: tracebacks of threads, and warnings, go there."""
    outlet = outlet_of(stream)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is stream:
            setattr(sys, name, outlet)
    return outlet


@atexit.register
def drain_all() -> None:
    """Wait a moment for readers. Unread output is then lost with the process."""
    until = time.monotonic() + _LAST_SECONDS
    for outlet in _outlets:
        outlet.drain(max(0.0, until - time.monotonic()))


def gap_text(lines: int) -> str:
    """``214 lines dropped``."""
    return f"{lines} line{'s' * (lines != 1)} dropped\n"


def _lines(text: str) -> int:
    return text.count("\n") or 1


def _wait_for_room(descriptor: int) -> None:
    poller = select.poll()
    poller.register(descriptor, select.POLLOUT)
    poller.poll()
