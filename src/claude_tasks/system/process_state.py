"""Reads the state of another process from proc(5); without /proc it is unknown."""

from __future__ import annotations

import contextlib
import os
from itertools import pairwise

_LONGEST_STAT = 4096
_NAME = b"claude-tasks"


def process_started(pid: int) -> str:
    """When a process began, as the kernel writes it; "" where unknown.

    The 22nd field of ``/proc/<pid>/stat`` (proc(5)), in clock ticks since boot: a later process of
    the same number has another one.
    """
    fields = _stat_fields(pid)
    return fields[19] if len(fields) > 19 else ""  # noqa: PLR2004 (proc(5), from the state on)


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal or a debugger; False where unknown."""
    return _stat_fields(pid)[:1] in (["T"], ["t"])


def name_this_process() -> None:
    """Be called ``claude-tasks`` by ``ps`` and ``top``, through whatever link it was started."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "wb") as file:
        file.write(_NAME)


def name_of(pid: int) -> str:
    """The name of a process in ``ps``; "another program" where unknown."""
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            return file.read().decode("utf-8", "replace").strip()
    except OSError:
        return "another program"


def runs_this_program(pid: int) -> bool:
    """Whether a process runs this program, by its name or its command line."""
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            if file.read().rstrip() == _NAME:
                return True
    except OSError:
        return False
    return names_this_program(_command_line(pid))


def names_this_program(words: list[bytes]) -> bool:
    """Whether a command line is one of this program's.

    Words are compared whole: another program may be given a path below ``~/.claude-tasks``.
    """
    modules = [after for word, after in pairwise(words) if word == b"-m"]
    by_module = any(module.split(b".")[0] == b"claude_tasks" for module in modules)
    # The second word is the script where the first is the interpreter.
    return by_module or _NAME in map(os.path.basename, words[:2])


def is_supervisor(pid: int) -> bool:
    """Whether a process is the spawner or a fork of it, by its command line."""
    return b"claude_tasks.execution.spawner_process" in _command_line(pid)


def _command_line(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def waits_in_the_kernel(pid: int) -> bool:
    """Whether nothing but the end of a system call lets a process go on."""
    return _stat_fields(pid)[:1] == ["D"]


def _stat_fields(pid: int) -> list[str]:
    """The fields of proc(5) from the state on: the name before it may hold anything."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return os.read(descriptor, _LONGEST_STAT).rpartition(b")")[2].decode().split()
    except OSError:  # it has ended
        return []
    finally:
        os.close(descriptor)
