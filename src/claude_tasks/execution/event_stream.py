"""The agent's event stream on disk: written while the agent runs, and bounded in size.

    events.jsonl   the head, as it comes │ a line that says what is missing │ the tail, at the end
    events.run     which claim of a run writes there; exists before its agent starts

The last result event is kept whole: where head and tail do not contain all of it, the rest is
written between them. Run ids repeat in other databases: a file that is not known to be of this run
is renamed, neither continued nor deleted.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from claude_tasks.execution.bounded import Tail
from claude_tasks.execution.contract import EventsOwner, decode, encode
from claude_tasks.system.durable import read_whole, write_private

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD_BYTES = 16 * 1024 * 1024
TAIL_BYTES = 512 * 1024
RESULT_BYTES = 64 * 1024 * 1024
"""A longer line is not taken for a result event, see `transcript`."""

_BLOCK = 1 << 20


def owner_of(path: str) -> EventsOwner | None:
    """The last claim that began to write to an event file, None where that is unknown."""
    try:
        return decode(EventsOwner, read_whole(_owner_file(path), limit=_BLOCK))
    except (OSError, ValueError):
        return None


class EventStreamFile:
    """A JSON Lines file: the head is written at once, the tail when the stream is closed.

    A full disk or a removed folder never stops the run: bytes that could not be written are
    counted, and `close` restores the file where somebody removed it.
    """

    def __init__(
        self,
        path: str,
        *,
        result_span: Callable[[], tuple[int, int] | None],
        owner: EventsOwner,
    ) -> None:
        """Open for appending, 0600; a retry continues the file of the attempt before it.

        ``result_span`` returns where in the stream the last result is; its reader is fed each chunk
        before this file. A file that another run than the ``owner``'s began is renamed, as is any
        file found at a run's first claim.
        """
        self._path = path
        self._result_span = result_span
        self._owner = owner
        self._head = 0
        self._in_head = True
        self._position = 0
        self._tail = Tail(TAIL_BYTES)
        self._line, self._result = _Spool(path), _Spool(path)
        self._result_start = self._kept_until = -1
        self.failure: str | None = None
        """Why writing failed, None while it works."""
        self._descriptor = self._open(is_first=owner.claim == 1)
        self._begun = os.fstat(self._descriptor).st_size if self._descriptor >= 0 else 0

    def write(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        if self._in_head:
            room = HEAD_BYTES - self._head
            head = chunk if len(chunk) <= room else _whole_lines(chunk[:room])
            self._put(head)
            self._head += len(head)
            self._position += len(head)
            chunk = chunk[len(head) :]
            if chunk:  # after the first cut all goes to the tail, even if the head has room
                self._in_head = False
                self._take_up_line()
        if chunk:
            self._tail.write(chunk)
            self._keep_result(chunk)

    def close(self) -> None:
        """Append a line that says what is missing, and the tail; close the file."""
        if not self._in_head:
            self._keep_result(b"")  # a last line without a newline may be a result
        tail = self._tail.value()
        if self._tail.dropped:
            first_line = tail.find(b"\n") + 1 or len(tail)
            tail = tail[first_line:]
            self._put_middle(self._tail.dropped + first_line, begins=self._position - len(tail))
        self._put(tail)
        if self._descriptor >= 0:
            self._restore_if_removed()
            os.close(self._descriptor)
            self._descriptor = -1
        self._line.close()
        self._result.close()

    def _put_middle(self, dropped: int, *, begins: int) -> None:
        """Write what belongs between head and tail; the tail ``begins`` there in the stream."""
        if not -1 < self._result_start < begins:
            self._put(_gap_line(dropped))
            return
        in_head = max(0, self._head - self._result_start)
        dropped -= self._result.size - in_head
        if dropped and not in_head:
            self._put(_gap_line(dropped))
        for block in self._result.blocks(in_head):
            self._put(block)
        if dropped and in_head:
            self._put(_gap_line(dropped))

    def _take_up_line(self) -> None:
        """Read back from the file the line that the end of the head cut: it may be the result."""
        if self._descriptor < 0:
            return
        end = self._begun + self._head
        start = self._last_line_start(end)
        while start < end and (
            block := os.pread(self._descriptor, min(_BLOCK, end - start), start)
        ):
            self._line.write(block)
            start += len(block)

    def _last_line_start(self, end: int) -> int:
        """Where the last, unfinished line begins."""
        while end > self._begun:
            start = max(self._begun, end - _BLOCK)
            block = os.pread(self._descriptor, end - start, start)
            found = block.rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
        return self._begun

    def _keep_result(self, chunk: bytes) -> None:
        """After the head: keep the last result, and the current line, which may become one."""
        begins, ends = self._position, self._position + len(chunk)
        span = self._result_span()
        if span is not None and begins <= span[1] <= ends and span[1] > self._kept_until:
            if begins - self._line.seen != span[0]:
                self._line.clear()
            self._line.write(chunk[max(0, span[0] - begins) : span[1] - begins])
            if self._line.is_whole and self._line.seen == span[1] - span[0]:
                self._swap_result(span)
        last_line = chunk.rfind(b"\n") + 1
        if last_line:
            self._line.clear()
        self._line.write(chunk[last_line:])
        self._position = ends

    def _swap_result(self, span: tuple[int, int]) -> None:
        """The current line is a result: it replaces the one kept before."""
        self._result, self._line = self._line, self._result
        self._result_start, self._kept_until = span

    def _open(self, *, is_first: bool) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            _make_folders(os.path.dirname(self._path))
            self._own(is_first=is_first)
            return os.open(self._path, flags, 0o600)
        except OSError as error:
            self.failure = f"{self._path}: {error.strerror}"
            return -1

    def _own(self, *, is_first: bool) -> None:
        """Rename an existing file that is not of this run, and record this claim as the writer."""
        before = owner_of(self._path)
        is_ours = before is not None and before._replace(claim=self._owner.claim) == self._owner
        if (is_first or not is_ours) and _is_there(self._path):
            os.rename(self._path, _free_name(self._path))
        write_private(_owner_file(self._path), encode(self._owner))

    def _put(self, data: bytes) -> None:
        if self._descriptor < 0:
            return
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            self.failure = f"{self._path}: {error.strerror}"

    def _restore_if_removed(self) -> None:
        """Write the file again where it, or its folder, was deleted while the agent ran."""
        if os.fstat(self._descriptor).st_nlink > 0:
            return
        removed, self._descriptor = self._descriptor, self._open(is_first=False)
        try:
            offset = 0
            while block := os.pread(removed, _BLOCK, offset):
                self._put(block)
                offset += len(block)
        finally:
            os.close(removed)


class _Spool:
    """The current line: in memory while it is short, else in an unnamed temporary file."""

    _IN_MEMORY = 256 * 1024

    def __init__(self, beside: str) -> None:
        self._beside = beside
        self._memory = bytearray()
        self._descriptor = -1
        self.seen = 0
        """Bytes of the line so far."""
        self.size = 0
        """How many of them are kept."""

    @property
    def is_whole(self) -> bool:
        return self.size == self.seen

    def write(self, data: bytes) -> None:
        kept = self.size == self.seen and self.seen + len(data) <= RESULT_BYTES
        self.seen += len(data)
        if not kept:
            return
        if self._descriptor < 0 and len(self._memory) + len(data) <= self._IN_MEMORY:
            self._memory += data
        elif not self._store(data):
            return
        self.size += len(data)

    def blocks(self, offset: int) -> list[bytes] | _Blocks:
        """The kept bytes from an offset on."""
        if self._descriptor < 0:
            return [bytes(self._memory[offset:])]
        return _Blocks(self._descriptor, offset)

    def clear(self) -> None:
        self.close()
        self._memory.clear()
        self.seen = self.size = 0

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _store(self, data: bytes) -> bool:
        try:
            if self._descriptor < 0:
                self._descriptor = _nameless(self._beside)
                _write_all(self._descriptor, bytes(self._memory))
                self._memory.clear()
            _write_all(self._descriptor, data)
        except OSError:  # no room: only head and tail keep a part of it
            return False
        return True


class _Blocks:
    """The content of a file, a block at a time."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self._descriptor = descriptor
        self._offset = offset

    def __iter__(self) -> _Blocks:
        return self

    def __next__(self) -> bytes:
        block = os.pread(self._descriptor, _BLOCK, self._offset)
        if not block:
            raise StopIteration
        self._offset += len(block)
        return block


def _owner_file(path: str) -> str:
    return f"{path.removesuffix('.jsonl')}.run"


def _make_folders(folder: str) -> None:
    """Make ``logs`` and the task's folder in it, for this user alone.

    The data folder itself is never made: once it is gone, no process reads anything in it.
    """
    logs = os.path.dirname(folder)
    for path in (logs, folder):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            continue


def _is_there(path: str) -> bool:
    try:
        return os.lstat(path).st_size > 0
    except FileNotFoundError:
        return False


def _free_name(path: str) -> str:
    """The name under which a file of another run is kept."""
    number = 1
    while os.path.lexists(f"{path}.of-another-run.{number}"):
        number += 1
    return f"{path}.of-another-run.{number}"


def _nameless(beside: str) -> int:
    """A temporary file without a name, gone when its descriptor closes. Errors: `OSError`."""
    path = os.path.join(os.path.dirname(beside), f".spool.{os.getpid()}")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.unlink(path)
    return descriptor


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _whole_lines(chunk: bytes) -> bytes:
    """The chunk up to its last newline; all of it when it has none."""
    end = chunk.rfind(b"\n") + 1
    return chunk[:end] if end else chunk


def _gap_line(dropped: int) -> bytes:
    return b'\n{"type":"claude_tasks","subtype":"truncated","dropped_bytes":%d}\n' % dropped
