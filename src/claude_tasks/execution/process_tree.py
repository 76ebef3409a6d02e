"""Ends the processes that an agent leaves behind: TERM, a grace, KILL, until none is left.

The agent's tools run in sessions of their own, so a kill of its process group misses them. On
Linux the supervisor is a child subreaper (prctl(2), PR_SET_CHILD_SUBREAPER): every orphan becomes
its child, and walking its descendants finds them all. Where there is no subreaper, the supervisor
finds them by the marker in their environment.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.run_marker import MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psutil

_PR_SET_CHILD_SUBREAPER = 36
_POLL_SECONDS = 0.02
_LEFTOVER_GRACE_SECONDS = 1.0
_REMOVED = " (deleted)"
"""What proc(5) appends to the path of a file that was removed."""

_prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None


def become_subreaper() -> None:
    """Become the parent of every orphan below this process."""
    if _prctl is not None:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_leftovers(marker: str) -> None:
    """End every process below this one, once the agent itself has been reaped.

    Returns when nothing is left, or when KILL had no effect on what the kernel cannot end now.
    """
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):
        # KILL twice: the second is for processes that started while the first was sent.
        deadline = time.monotonic() + _LEFTOVER_GRACE_SECONDS
        members = _members(marker)
        for member in members:
            _signal(member.pid, number)
        while members and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            members = _members(marker)
        if not members:
            return


def end_strays(marker: str, held: str) -> int:
    """KILL what is left of an agent whose supervisor is dead; how many processes.

    They are found by the marker in their environment, or by the file ``held`` that they keep open
    where they removed the marker.
    """
    strays = {process.pid for process in _marked(marker)} | set(holders_of(held))
    for pid in strays:
        _signal(pid, signal.SIGKILL)
    return len(strays)


class Living(NamedTuple):
    """What one walk over all processes finds out about claims.

    ``markers`` are the claims' markers in their environments; ``removed`` are the paths of removed
    files that they keep open.
    """

    markers: frozenset[str]
    removed: frozenset[str]


def look_for_the_living() -> Living:
    """Walk once over every process that this user may inspect: about 0.1 ms for each."""
    import psutil  # noqa: PLC0415 (see below)

    markers = set()
    for process in psutil.process_iter():
        # A process of another user, or one just gone, is none of ours.
        with contextlib.suppress(psutil.Error, OSError):
            if (marker := process.environ().get(MARKER)) is not None:
                markers.add(marker)
    removed = {path.removesuffix(_REMOVED) for _, path in _held() if path.endswith(_REMOVED)}
    return Living(frozenset(markers), frozenset(removed))


def reap_and_ask() -> bool:
    """Reap ended children; whether any child is left. Call it once the agent itself is reaped.

    A system call suffices: the walk over processes would import psutil.
    """
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return True
    return False


def _members(marker: str) -> list[psutil.Process]:
    """Every living process below this one."""
    import psutil  # noqa: PLC0415 (20 ms, and most runs end with nothing to kill)

    reap_and_ask()
    found = psutil.Process().children(recursive=True)
    if sys.platform != "linux":
        found += [process for process in _marked(marker) if process not in found]
    return [process for process in found if not _is_zombie(process)]


def _marked(marker: str) -> list[psutil.Process]:
    import psutil  # noqa: PLC0415 (see above)

    found = []
    for process in psutil.process_iter():
        # A process of another user, or one just gone, is none of ours.
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARKER) == marker:
                found.append(process)
    return found


def holders_of(path: str) -> list[int]:
    """The processes that keep a file open, by proc(5); none where there is no /proc."""
    return sorted({pid for pid, held in _held() if held == path})


def _held() -> Iterator[tuple[int, str]]:
    """All processes except this one, each with the files that it keeps open."""
    for name in filter(str.isdecimal, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        folder = f"/proc/{name}/fd"
        # A process of another user, or one just gone, is none of ours.
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(folder) if int(name) != os.getpid() else ():
                yield int(name), os.readlink(f"{folder}/{descriptor}")


def _is_zombie(process: psutil.Process) -> bool:
    import psutil  # noqa: PLC0415 (see above)

    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
