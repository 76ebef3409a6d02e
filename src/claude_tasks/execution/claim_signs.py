"""What the folder of a running claim tells somebody who only looks."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from claude_tasks.domain.hint import quoted
from claude_tasks.domain.signs import SUPERVISOR_SILENCE_MS, ClaimSigns, Stall
from claude_tasks.execution.process_tree import holders_of
from claude_tasks.execution.run_folder import RunFolder, is_locked
from claude_tasks.system.data_folder import mount_point_above
from claude_tasks.system.process_state import process_started
from claude_tasks.system.stall import stall_of

if TYPE_CHECKING:
    from claude_tasks.domain.run import Run


def claim_signs(runs: str, run: Run, *, kill_grace: float, at: int) -> ClaimSigns:
    """Of a running run, whose folder is below ``runs``. What may not be looked at tells nothing."""
    folder = RunFolder.of(runs, run.id, run.claim)
    try:
        if os.path.exists(folder.exit):
            return ClaimSigns(ended_ms=max(0, at - os.stat(folder.exit).st_mtime_ns // 1_000_000))
        return _of_silence(folder, run, kill_grace=kill_grace, at=at)
    except OSError:  # removed this moment, or another user's
        return ClaimSigns()


def _of_silence(folder: RunFolder, run: Run, *, kill_grace: float, at: int) -> ClaimSigns:
    """Past time limit or cancel, the grace, and what the leader waits before it kills."""
    began, spec = folder.began(), folder.task()
    if began is None or spec is None:
        return ClaimSigns()
    elapsed_ms = at - began.started_at
    if began.monotonic is not None:  # which no clock that was set moves
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
    """What keeps it: where that is the mount of the folder it works in, that can be ended."""
    stall, mount = stall_of(pid), mount_point_above(folder)
    if stall is None or stall.command is not None or mount is None:
        return stall
    return Stall(f"{stall.why} ({mount}?)", f"sudo umount -f -l {quoted(mount)}")


def _held_by(folder: RunFolder, supervisor_pid: int, process_began: str) -> int | None:
    """The supervisor, or what is left of its agent."""
    if is_locked(folder.spec):
        if process_started(supervisor_pid) == process_began:
            return supervisor_pid
        return next(iter(holders_of(folder.spec)), None)
    if is_locked(folder.prompt):
        return next(iter(holders_of(folder.prompt)), None)
    return None
