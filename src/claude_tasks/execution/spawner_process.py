"""The spawner: a small process that forks supervisors, so that none pays for a Python start-up.

It is single-threaded and has already imported all that a supervisor needs; each fork shares that.
It reads requests from standard input, one folder a line, and answers on standard output with the
folder once that has no supervisor (any more). It answers an empty line with an empty line, as a
sign of life. At the end of input it exits; the supervisors stay.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys

from claude_tasks.execution.run_folder import RunFolder
from claude_tasks.execution.supervisor import prepare_signals, supervise
from claude_tasks.system.file_lock import try_lock

_REQUESTS = 0
_ANSWERS = 1
_ERRORS = 2


def main() -> None:
    """Serve until the end of input."""
    gc.collect()
    gc.freeze()  # keeps loaded objects shared: the collector would write to their pages
    ForkServer().serve()


class ForkServer:
    """Forks on request, reaps ended supervisors and reports them."""

    def __init__(self) -> None:
        """Set up the wake-up for ended children."""
        self._folders: dict[int, str] = {}
        self._pending = b""
        self._wakeup, self._wakeup_writing = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(self._wakeup_writing, False)
        signal.set_wakeup_fd(self._wakeup_writing, warn_on_full_buffer=False)
        prepare_signals()

    def serve(self) -> None:
        """Read requests until there are no more."""
        poller = select.poll()
        poller.register(_REQUESTS, select.POLLIN)
        poller.register(self._wakeup, select.POLLIN)
        while True:
            for descriptor, _ in poller.poll():
                if descriptor == self._wakeup:
                    if signal.SIGTERM in os.read(self._wakeup, 4096):
                        return
                    self._reap()
                elif not self._read_requests():
                    return

    def _read_requests(self) -> bool:
        data = os.read(_REQUESTS, 65536)
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            if line:
                self._start(os.fsdecode(line))
            else:
                self._release("")
        return bool(data)

    def _start(self, path: str) -> None:
        """Fork one supervisor. Its lock is taken before the fork: it never lives without it."""
        folder = RunFolder(path)
        lock = _lock_of(folder)
        if lock is None:
            self._release(path)
            return
        try:
            pid = os.fork()
        except OSError:  # no process or memory left: a look finds it unstarted
            os.close(lock)
            self._release(path)
            return
        if pid == 0:
            self._become_supervisor(folder)
        os.close(lock)  # the child's copy keeps it held
        self._folders[pid] = path

    def _become_supervisor(self, folder: RunFolder) -> None:
        """In the child: close what belongs to the spawner, supervise, never return."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            nothing = os.open(os.devnull, os.O_RDWR)
            for descriptor in (_REQUESTS, _ANSWERS, _ERRORS):
                os.dup2(nothing, descriptor)
            for descriptor in (nothing, self._wakeup, self._wakeup_writing):
                os.close(descriptor)
            supervise(folder)
            status = 0
        finally:
            os._exit(status)  # also after an error: else it would go on as a second spawner

    def _reap(self) -> None:
        while self._folders:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._release(self._folders.pop(pid))

    @staticmethod
    def _release(path: str) -> None:
        try:
            os.write(_ANSWERS, os.fsencode(path) + b"\n")
        except BrokenPipeError:
            sys.exit(0)  # the node is gone; the next one reads the folders


def _lock_of(folder: RunFolder) -> int | None:
    """The lock of a claim that is open; None when it was closed, or another process holds it."""
    try:
        lock = try_lock(folder.spec, create=False)
    except OSError:
        return None
    if lock is not None and os.fstat(lock).st_nlink == 0:
        os.close(lock)  # removed between the open and the lock
        return None
    return lock


if __name__ == "__main__":
    main()
