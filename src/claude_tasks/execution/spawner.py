"""The node's side of the spawner: starts it, asks for supervisors, reads when they end.

A spawner that hangs would keep every run from starting. While runs are under way the node asks it
every second for a sign of life; one that is stopped and does not answer is killed and replaced. Its
supervisors go on, and their folders tell how they end.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from claude_tasks.execution.agent_environment import agent_environment
from claude_tasks.system.process_state import is_stopped

if TYPE_CHECKING:
    from collections.abc import Callable

_ASK_SECONDS = 1.0
_STOPPED_SECONDS = 2.0
"""A spawner that is stopped (SIGSTOP) is replaced after this."""
_SILENT_SECONDS = 15.0
"""One that is not stopped gets longer: it may be busy with forks, or the machine may swap."""
_STOP_SECONDS = 1.0

log = logging.getLogger(__name__)


class Spawner:
    """A child process that forks supervisors. When it dies, the folders still tell all ends."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Nothing runs before `start`."""
        self._monotonic = monotonic
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""
        self._asked_at: float | None = None
        self._heard_at = 0.0

    @property
    def descriptor(self) -> int | None:
        """Readable when there are answers; None while the spawner does not run."""
        if self._process is None or self._process.stdout is None:
            return None
        return self._process.stdout.fileno()

    @property
    def silent_for(self) -> float:
        """Seconds since an unanswered request for a sign of life; 0 where none is open."""
        return 0.0 if self._asked_at is None else self._monotonic() - self._asked_at

    def start(self) -> None:
        """Start the process unless it runs. Errors: `OSError`."""
        if self._process is not None:
            return
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "claude_tasks.execution.spawner_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,  # not our stderr: if its reader stops, the spawner would block
            bufsize=0,
            env=agent_environment(os.environ),  # supervisors inherit it, and agents can read it
            start_new_session=True,  # detached from the terminal, with all supervisors
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        os.set_blocking(self._process.stdout.fileno(), False)
        self._asked_at, self._heard_at = None, self._monotonic()

    def request(self, folder: str) -> None:
        """Ask for a supervisor. Errors: `OSError` when the spawner cannot be reached now."""
        self.start()
        self._read()  # else each could wait for the other to empty a full pipe
        self._write(os.fsencode(folder) + b"\n")

    def released(self) -> tuple[list[str], bool]:
        """The folders for which it has no supervisor (any more), and whether it still runs."""
        if self._process is None:
            return [], False
        alive = self._read()
        *lines, self._pending = self._pending.split(b"\n")
        if not alive:
            self.stop()
        return [os.fsdecode(line) for line in lines if line], alive

    def is_there(self) -> bool:
        """Ask for a sign of life once a second; False when none came for too long."""
        if self._process is None:
            return True
        silence = self.silent_for
        if silence > _SILENT_SECONDS:
            return False
        if silence > _STOPPED_SECONDS and is_stopped(self._process.pid):
            return False
        if self._asked_at is None and self._monotonic() - self._heard_at >= _ASK_SECONDS:
            self._ask()
        return True

    def stop(self) -> None:
        """End the spawner, not its supervisors, whatever state it is in. Safe to repeat."""
        process, self._process = self._process, None
        self._pending, self._asked_at = b"", None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()  # it exits at the end of its input
        process.stdout.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _log_last_words(process)

    def _ask(self) -> None:
        self._asked_at = self._monotonic()
        try:
            self._write(b"\n")
        except OSError:  # full or broken: the missing answer shows it
            return

    def _write(self, data: bytes) -> None:
        """Write all of a line, or nothing: a pipe takes up to PIPE_BUF (4096) whole (pipe(7))."""
        assert self._process is not None
        assert self._process.stdin is not None
        if os.write(self._process.stdin.fileno(), data) != len(data):
            raise OSError("the spawner's pipe took half a line")

    def _read(self) -> bool:
        """Read its answers; whether it still runs."""
        assert self._process is not None
        assert self._process.stdout is not None
        while (chunk := self._process.stdout.read(65536)) is not None:
            if chunk == b"":
                return False
            self._pending += chunk
            self._asked_at, self._heard_at = None, self._monotonic()
        return True


def _log_last_words(process: subprocess.Popen[bytes]) -> None:
    """Log the traceback of a spawner that failed; it prints nothing else, so the pipe holds it."""
    assert process.stderr is not None  # asked for
    os.set_blocking(process.stderr.fileno(), False)  # a fork of it may hold the other end
    said = (process.stderr.read(65536) or b"").decode(errors="replace").strip()
    process.stderr.close()
    if said:
        log.warning("the spawner said: %s", said)
