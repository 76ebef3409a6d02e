"""Looks at paths that may never answer: dead network mounts, stuck disks.

A system call on such a path may block until the mount is gone; until then not even KILL ends its
process. So a child shell makes the calls, and is abandoned if it blocks:

    look_at ─▶ /bin/sh, argv = paths ─▶ pipe: a word a path, in order ─▶ its silence names one

A shell that is silent for long keeps its present path only; two other shells get the rest, half
each, so that many dead paths do not use up the time of those that answer. An abandoned shell is
killed and not waited for; until it ends, this process does not ask about its path again. It keeps
nothing of ours open but its end of the pipe.

``subprocess`` is not used: loading it takes as long as all of this.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from enum import Enum

from claude_tasks.system.descriptors import open_descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SECONDS = 1.0
"""What a face waits for paths: less than the two seconds within which it has to answer."""

_SILENCE_SECONDS = 0.15
_BATCH = 200
_MOST_SHELLS = 32
_LONGEST_PATH = 4096
"""PATH_MAX of Linux: nothing can stand at a longer one."""


class Looked(Enum):
    """What stands at a path, as far as this process may do with it."""

    FOLDER = "d"
    BARRED = "b"
    """A folder that may not be entered."""
    OTHER = "o"
    """Something that is no folder."""
    MISSING = "m"
    NO_ANSWER = "?"


_SCRIPT = """\
for path do
  if [ -d "$path" ]; then if [ -x "$path" ]; then echo d; else echo b; fi
  elif [ -e "$path" ]; then echo o
  else echo m
  fi
done
"""

_left_behind: dict[int, str] = {}
"""Shells that were killed, by pid, and the path at which each was."""


def look_at(paths: Iterable[str], *, seconds: float = SECONDS) -> dict[str, Looked]:
    """What stands at each path, within about so many seconds. Nothing is looked at from here.

    A relative path begins where this process is. Errors: `OSError` where no shell can be started.
    """
    stuck = _still_stuck()
    found = dict.fromkeys(paths, Looked.NO_ANSWER)
    possible = []
    for path in found:
        if not _is_possible(path):
            found[path] = Looked.MISSING
        elif path not in stuck:
            possible.append(path)
    waiting: list[Sequence[str]] = [
        possible[start : start + _BATCH] for start in range(0, len(possible), _BATCH)
    ]
    if waiting:
        _Look(found, waiting, deadline=time.monotonic() + seconds).finish()
    return found


def absolute(path: str) -> str:
    """The path in full, by its text alone. Where the current folder is gone it stays relative."""
    path = os.path.expanduser(path)
    with contextlib.suppress(OSError):
        path = os.path.join(os.getcwd(), path)
    return os.path.normpath(path)


def _is_possible(path: str) -> bool:
    try:
        data = os.fsencode(path)
    except UnicodeEncodeError:  # half a pair: no file system has such a name
        return False
    return b"\0" not in data and len(data) < _LONGEST_PATH


class _Shell:
    """One shell, how far it has come, and when it was last heard of."""

    def __init__(self, paths: Sequence[str]) -> None:
        """Start it. Errors: `OSError`."""
        self.paths = paths
        self.answered = 0
        self.relieved = False
        self.heard_at = time.monotonic()
        self.descriptor, writing = os.pipe()
        try:
            self.pid = _start(paths, writing)
        except BaseException:
            os.close(self.descriptor)
            raise
        finally:
            os.close(writing)

    @property
    def is_done(self) -> bool:
        """Whether it has answered for all that it is asked."""
        return self.answered == len(self.paths)

    def take(self, word: str) -> tuple[str, Looked]:
        """Its next answer."""
        self.answered += 1
        self.heard_at = time.monotonic()
        return self.paths[self.answered - 1], Looked(word)

    def relieve(self) -> Sequence[str]:
        """Ask it for no more than the path that it is at; what it is not asked for any more."""
        behind = self.paths[self.answered + 1 :]
        self.paths = self.paths[: self.answered + 1]
        self.relieved = self.relieved or bool(behind)
        return behind

    def end(self) -> None:
        """It says no more."""
        if self.relieved:  # it goes on to paths that it is not asked for any more
            self.leave()
            return
        os.close(self.descriptor)
        with contextlib.suppress(ChildProcessError):  # our parent made us ignore SIGCHLD
            os.waitpid(self.pid, 0)

    def leave(self) -> None:
        """Abandon the shell without waiting: it may not end."""
        os.close(self.descriptor)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        _left_behind[self.pid] = self.paths[min(self.answered, len(self.paths) - 1)]


class _Look:
    """One look at all paths: ``found`` is filled in as answers come."""

    def __init__(
        self, found: dict[str, Looked], waiting: list[Sequence[str]], *, deadline: float
    ) -> None:
        self._found = found
        self._waiting = waiting
        self._deadline = deadline
        self._shells: dict[int, _Shell] = {}

    def finish(self) -> None:
        """Until every path has answered, or the time is up."""
        try:
            while (self._shells or self._waiting) and time.monotonic() < self._deadline:
                self._start()
                self._listen()
                self._relieve()
        finally:
            for shell in self._shells.values():
                shell.leave()

    def _start(self) -> None:
        while self._waiting and len(self._shells) < _MOST_SHELLS:
            shell = _Shell(self._waiting.pop())
            self._shells[shell.descriptor] = shell

    def _listen(self) -> None:
        poll = select.poll()
        for descriptor in self._shells:
            poll.register(descriptor, select.POLLIN)
        left = min(_SILENCE_SECONDS / 2, self._deadline - time.monotonic())
        for descriptor, _ in poll.poll(max(0, left) * 1000):
            shell = self._shells[descriptor]
            said = os.read(descriptor, 65536)
            for word in said.decode().split()[: len(shell.paths) - shell.answered]:
                path, looked = shell.take(word)
                self._found[path] = looked
            if shell.is_done or not said:
                del self._shells[descriptor]
                shell.end()

    def _relieve(self) -> None:
        """Give to others what waits behind a path that is silent."""
        now = time.monotonic()
        for shell in self._shells.values():
            if now - shell.heard_at > _SILENCE_SECONDS:
                behind = shell.relieve()
                half = (len(behind) + 1) // 2
                self._waiting += [part for part in (behind[:half], behind[half:]) if part]


def _start(paths: Sequence[str], writing: int) -> int:
    """Start a shell in a session of its own, without our terminal, environment and open files."""
    return os.posix_spawn(
        "/bin/sh",
        ["sh", "-c", _SCRIPT, "sh", *paths],
        {},  # with PWD, or HOME, a shell looks there first
        file_actions=[
            (os.POSIX_SPAWN_DUP2, writing, 1),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _inheritable()),
        ],
        setsid=True,
    )


def _inheritable() -> list[int]:
    """Inheritable descriptors from the parent of this process, besides the standard ones."""
    found = []
    for name in open_descriptors():
        with contextlib.suppress(OSError):  # the one through which it was listed
            if int(name) > 2 and os.get_inheritable(int(name)):  # noqa: PLR2004 (standard error)
                found.append(int(name))
    return found


def _still_stuck() -> set[str]:
    """The paths at which shells that were killed still are; those that ended are reaped."""
    for pid in list(_left_behind):
        path = _left_behind.pop(pid, None)  # in one step: of two threads, one asks about it
        if path is None:
            continue
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                _left_behind[pid] = path
    return set(_left_behind.values())
