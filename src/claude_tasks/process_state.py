"""What the kernel says of another process (proc(5)); where there is no /proc, nothing."""

from __future__ import annotations


def process_started(pid: int) -> str:
    """When the kernel says that a process began, in its own words; "" where it says nothing.

    The 22nd field of ``/proc/<pid>/stat`` (proc(5)), in clock ticks since boot: a later process of
    the same number has another one.
    """
    fields = _stat_fields(pid)
    return fields[19] if len(fields) > 19 else ""  # noqa: PLR2004 (proc(5), from the state on)


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal or a debugger; False where nobody can say."""
    return _stat_fields(pid)[:1] in (["T"], ["t"])


def runs_this_program(pid: int) -> bool:
    """Whether a process runs this program, by its command line."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read()
    except OSError:
        return False
    return b"claude_tasks" in words or b"claude-tasks" in words


def _stat_fields(pid: int) -> list[str]:
    """The fields of proc(5) from the state on: the name before it may hold anything."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []
