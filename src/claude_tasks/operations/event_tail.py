"""The event stream of a run, read while its supervisor writes it."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without paying for the import
if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 1 << 16


class EventTail:
    """The lines of a file that another process appends to, and that may not be there yet."""

    def __init__(self, path: str, *, after: int = 0) -> None:
        """Begin behind the first ``after`` bytes; at the beginning where there are not as many."""
        self._path = path
        self._descriptor = -1
        self._rest = b""
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
        if self._descriptor < 0 and not self._open():
            return
        while block := os.read(self._descriptor, _BLOCK):
            *lines, self._rest = (self._rest + block).split(b"\n")
            for line in lines:
                self.position += len(line) + 1
                yield line

    def close(self) -> Iterator[bytes]:
        """The last lines, also one without an end; then let the file go."""
        yield from self.lines()
        if self._rest:
            self.position += len(self._rest)
            yield self._rest
        self.release()

    def release(self) -> None:
        """Let the file go. Safe to repeat."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> bool:
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        if self.position > os.fstat(self._descriptor).st_size:
            self.position = 0
        os.lseek(self._descriptor, self.position, os.SEEK_SET)
        return True
