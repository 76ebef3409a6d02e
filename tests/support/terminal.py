"""A program in a terminal of its own: a pseudo-terminal, its keys and its screen."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class TerminalSession:
    """Started at once; ended, with all it started in the foreground, by ``close``."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], folder: str) -> None:
        self.shown = ""
        self.exit_code: int | None = None
        """Known once `all` has returned."""
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(folder)
                # The size of this terminal, not that of the one the tests were started in.
                sized = ("COLUMNS", "LINES")
                own = {name: value for name, value in environment.items() if name not in sized}
                os.execvpe(argv[0], list(argv), own)
            finally:
                os._exit(127)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def resize(self, columns: int, rows: int) -> None:
        """Another size, of which the program is told."""
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)

    def press(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def wait_for(self, text: str, *, seconds: float = 30) -> str:
        """Until ``text`` is on the screen; all that was shown up to now, taken away."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < deadline, f"no {text!r} in {self.shown!r}"
            assert self._read(0.1), f"it ended without {text!r}: {self.shown!r}"
        shown, self.shown = self.shown, ""
        return shown

    def all(self, *, seconds: float = 60) -> str:
        """What it shows until it ends."""
        deadline = time.monotonic() + seconds
        while self._read(0.1):
            assert time.monotonic() < deadline, self.shown
        _, status = os.waitpid(self.pid, 0)
        self.exit_code = os.waitstatus_to_exitcode(status)
        return self.shown

    def _read(self, seconds: float) -> bool:
        """Take in what is shown within so long; False once it has ended."""
        if not select.select([self._terminal], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # EIO: the other end is closed
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)

    def close(self) -> None:
        if self._terminal >= 0:
            if self.exit_code is None:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            os.close(self._terminal)
            self._terminal = -1
