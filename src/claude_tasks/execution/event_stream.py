"""The agent's event stream on disk: live while it runs, bounded whatever it prints."""

from __future__ import annotations

import os

from claude_tasks.execution.bounded import Tail

HEAD_BYTES = 16 * 1024 * 1024
TAIL_BYTES = 512 * 1024


class EventStreamFile:
    """A JSON Lines file: the head goes straight to disk, the tail follows at the end.

    A full disk or a folder that vanished never stops the run: what could not be written is
    counted, and `close` puts the file back in its place when somebody removed it meanwhile.
    """

    def __init__(self, path: str) -> None:
        """Open for appending, 0600; a retry continues the file of the attempt before it."""
        self._path = path
        self._written = 0
        self._tail = Tail(TAIL_BYTES)
        self.failure: str | None = None
        """Why writing failed, None while all is well."""
        self._descriptor = self._open()

    def write(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        room = HEAD_BYTES - self._written
        if room > 0:
            head = chunk if len(chunk) <= room else _whole_lines(chunk[:room])
            self._put(head)
            # Beyond the head everything belongs to the tail, even if the cut left room.
            self._written = HEAD_BYTES if len(head) < len(chunk) else self._written + len(head)
            chunk = chunk[len(head) :]
        if chunk:
            self._tail.write(chunk)

    def close(self) -> None:
        """Append the tail, with a line that says what is missing, and let the file go."""
        tail = self._tail.value()
        if self._tail.dropped:
            first_line = tail.find(b"\n") + 1
            self._put(_gap_line(self._tail.dropped + first_line))
            tail = tail[first_line:]
        self._put(tail)
        if self._descriptor >= 0:
            self._restore_if_removed()
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            try:
                return os.open(self._path, flags, 0o600)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
                return os.open(self._path, flags, 0o600)
        except OSError as error:
            self.failure = f"{self._path}: {error.strerror}"
            return -1

    def _put(self, data: bytes) -> None:
        if self._descriptor < 0:
            return
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            self.failure = f"{self._path}: {error.strerror}"

    def _restore_if_removed(self) -> None:
        """Write the stream anew where its file, or the folder, was deleted while it ran."""
        if os.fstat(self._descriptor).st_nlink > 0:
            return
        removed, self._descriptor = self._descriptor, self._open()
        try:
            offset = 0
            while block := os.pread(removed, 1 << 20, offset):
                self._put(block)
                offset += len(block)
        finally:
            os.close(removed)


def _whole_lines(chunk: bytes) -> bytes:
    """The chunk up to its last line end; all of it when it has none."""
    end = chunk.rfind(b"\n") + 1
    return chunk[:end] if end else chunk


def _gap_line(dropped: int) -> bytes:
    return b'\n{"type":"claude_tasks","subtype":"truncated","dropped_bytes":%d}\n' % dropped
