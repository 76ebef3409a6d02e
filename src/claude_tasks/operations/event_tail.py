"""The event stream of a run, read while its supervisor writes it."""

from __future__ import annotations

import os
import threading

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without paying for the import
if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 1 << 16


class EventTail:
    """The lines of a file that another process appends to, and that may not be there yet.

    One thread at a time reads; any may `release`.
    """

    def __init__(self, path: str, *, after: int = 0) -> None:
        """Begin with the first line that begins behind the first ``after`` bytes.

        At the beginning where there are not as many.
        """
        self._path = path
        self._descriptor = -1
        self._rest: list[bytes] = []
        self._in_a_line = False
        self._lock = threading.Lock()
        self._reading = False
        self._released = False
        self.position = after
        """Bytes up to the end of the last whole line read."""

    def is_past_end(self) -> bool:
        """Whether it began behind all that the file holds: its reader has seen the end."""
        try:
            return self.position > os.stat(self._path).st_size
        except FileNotFoundError:
            return self.position > 0

    def lines(self) -> Iterator[bytes]:
        """The whole lines that came since the last call, without their ends."""
        while block := self._read():
            *lines, rest = block.split(b"\n")
            if lines:  # joined once a line: one of many mebibytes comes in a thousand pieces
                lines[0] = b"".join([*self._rest, lines[0]])
                self._rest.clear()
            self._rest.append(rest)
            for line in lines:
                self.position += len(line) + 1
                if self._in_a_line:  # its first half came before the place to begin at
                    self._in_a_line = False
                else:
                    yield line

    def close(self) -> Iterator[bytes]:
        """The last lines, also one without an end; then let the file go."""
        yield from self.lines()
        rest = b"".join(self._rest)
        self._rest.clear()
        if rest:
            self.position += len(rest)
            if not self._in_a_line:
                yield rest
        self.release()

    def release(self) -> None:
        """Close the file for good. Safe to repeat; does not wait for a disk.

        A thread that is reading closes the file afterwards: the number of a closed descriptor may
        soon mean another file.
        """
        with self._lock:
            self._released = True
            if not self._reading:
                self._close()

    def _read(self) -> bytes:
        """The next bytes; none at the end, without a file, or when it was let go."""
        with self._lock:
            if self._released:
                return b""
            self._reading = True
        try:
            is_open = self._descriptor >= 0 or self._open()
            return os.read(self._descriptor, _BLOCK) if is_open else b""
        finally:
            with self._lock:
                self._reading = False
                if self._released:
                    self._close()

    def _open(self) -> bool:
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        if self.position > os.fstat(self._descriptor).st_size:
            self.position = 0
        if self.position:
            self._in_a_line = os.pread(self._descriptor, 1, self.position - 1) != b"\n"
        os.lseek(self._descriptor, self.position, os.SEEK_SET)
        return True

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
