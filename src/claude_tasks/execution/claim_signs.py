"""What ``status``, ``why`` and ``doctor`` read from the folder of a running claim."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from claude_tasks.domain.hint import quoted
from claude_tasks.domain.signs import SUPERVISOR_SILENCE_MS, ClaimSigns, Stall
from claude_tasks.execution.process_tree import holders_of
from claude_tasks.execution.run_folder import RunFolder
from claude_tasks.system.data_folder import mount_point_above
from claude_tasks.system.file_lock import is_locked
from claude_tasks.system.process_state import process_started
from claude_tasks.system.stall import stall_of

if TYPE_CHECKING:
    from claude_tasks.domain.run import Run


def claim_signs(runs: str, run: Run, *, kill_grace: float, at: int) -> ClaimSigns:
    """The signs of a running run, whose folder is below ``runs``.

    A folder that this user may not read gives none.
    """
    folder = RunFolder.of(runs, run.id, run.claim)
    try:
        if os.path.exists(folder.exit):
            return ClaimSigns(ended_ms=max(0, at - os.stat(folder.exit).st_mtime_ns // 1_000_000))
        return _of_silence(folder, run, kill_grace=kill_grace, at=at)
    except OSError:  # just removed, or another user's
        return ClaimSigns()


def _of_silence(folder: RunFolder, run: Run, *, kill_grace: float, at: int) -> ClaimSigns:
    """Signs of a supervisor that should have ended: its time limit or a cancel has passed.

    The grace and the time that the leader waits before it kills have passed too.
    """
    began, spec = folder.began(), folder.task()
    if began is None or spec is None:
        return ClaimSigns()
    elapsed_ms = at - began.started_at
    if began.monotonic is not None:  # not moved when the clock is set
        elapsed_ms = round((time.monotonic() - began.monotonic) * 1000)
    grace_ms = round(kill_grace * 1000) + SUPERVISOR_SILENCE_MS
    silent_ms = elapsed_ms - round(spec.timeout_seconds * 1000) - grace_ms
    if run.cancel_requested_at is not None:
        since_ms = min(at - run.cancel_requested_at, elapsed_ms)
        silent_ms = max(silent_ms, since_ms - grace_ms)
    if silent_ms <= 0:
        return ClaimSigns()
    pid = _held_by(folder, began.supervisor_pid, began.process_started)
    if pid is None:
        return ClaimSigns()
    return ClaimSigns(silent_ms=silent_ms, pid=pid, stall=_stall(pid, spec.cwd))


def _stall(pid: int, folder: str) -> Stall | None:
    """What blocks the process. A dead mount below its working folder can be unmounted."""
    stall, mount = stall_of(pid), mount_point_above(folder)
    if stall is None or stall.command is not None or mount is None:
        return stall
    return Stall(f"{stall.why} ({mount}?)", f"sudo umount -f -l {quoted(mount)}")


def _held_by(folder: RunFolder, supervisor_pid: int, process_began: str) -> int | None:
    """The supervisor, or a process that its agent left behind."""
    if is_locked(folder.spec):
        if process_started(supervisor_pid) == process_began:
            return supervisor_pid
        return next(iter(holders_of(folder.spec)), None)
    if is_locked(folder.prompt):
        return next(iter(holders_of(folder.prompt)), None)
    return None
