"""The folder of one claim of a run: the files through which executor, supervisor and rescuer agree.

See the package's prose for what each file means. Locks are ``flock``: the kernel lets them go when
the last descriptor closes, whatever happened to the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
from enum import Enum, auto
from typing import Any, NamedTuple

from claude_tasks.durable import write_atomically, write_private
from claude_tasks.execution.process_tree import end_strays


class Condition(Enum):
    """What a look at the folder tells about the claim."""

    ENDED = auto()
    """``exit.json`` tells how."""
    SUPERVISED = auto()
    """The supervisor lives."""
    ORPHANED = auto()
    """The supervisor died, the agent or a child of it lives."""
    UNSTARTED = auto()
    """Nothing lives and the agent was never started."""
    LOST = auto()
    """Nothing lives, the agent had been started, and nobody saw how it ended."""


class RunFolder(NamedTuple):
    """Paths of one claim."""

    path: str

    @classmethod
    def of(cls, runs: str, run_id: int, claim: int) -> RunFolder:
        """The folder of a claim below the data folder's ``runs``."""
        return cls(os.path.join(runs, f"{run_id}.{claim}"))

    @property
    def spec(self) -> str:
        """What to do; locked by the supervisor as long as it lives."""
        return os.path.join(self.path, "spec.json")

    @property
    def prompt(self) -> str:
        """The prompt, the agent's input; locked as long as the agent or a child of it lives."""
        return os.path.join(self.path, "prompt.txt")

    @property
    def started(self) -> str:
        """There before the agent is started."""
        return os.path.join(self.path, "started.json")

    @property
    def exit(self) -> str:
        """How it ended."""
        return os.path.join(self.path, "exit.json")

    def create(self, spec: dict[str, Any], prompt: str) -> None:
        """Make the folder with its task. Errors: `OSError`."""
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        write_private(self.prompt, prompt.encode())
        write_private(self.spec, json.dumps(spec).encode())

    def remove(self) -> None:
        """Forget the claim once its end is recorded.

        ``spec.json`` goes first: a supervisor that comes late must never find it there, still
        linked, and ``exit.json`` gone.
        """
        for name in (self.spec, self.prompt, self.started, self.exit):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
        try:
            os.rmdir(self.path)
        except FileNotFoundError:
            return
        except OSError:  # a draft of a supervisor that died while writing
            import shutil  # noqa: PLC0415 (supervisors share this module and never remove)

            shutil.rmtree(self.path, ignore_errors=True)

    def mark_started(self, supervisor_pid: int, *, at: int) -> None:
        """Say, durably, that the agent is about to be started. Errors: `OSError`.

        Written in place: as long as it is not whole, nothing was started.
        """
        facts = {"supervisor_pid": supervisor_pid, "started_at": at}
        write_private(self.started, json.dumps(facts).encode(), sync=True)

    def close(self, facts: dict[str, Any]) -> None:
        """Say, for good, how the claim ended. Errors: `OSError`, and then it is still open."""
        data = json.dumps(facts).encode()
        try:
            write_atomically(self.exit, data)
        except FileNotFoundError:  # somebody removed the folder
            os.makedirs(self.path, mode=0o700, exist_ok=True)
            write_atomically(self.exit, data)

    def task(self) -> dict[str, Any] | None:
        """What ``spec.json`` says, None when there is none."""
        return _read(self.spec)

    def ended(self) -> dict[str, Any] | None:
        """What ``exit.json`` says, None while there is none. Unreadable, it is no end we know."""
        if not os.path.exists(self.exit):
            return None
        return _read(self.exit) or {"ended_by": "lost"}

    def supervisor_pid(self) -> int | None:
        """The supervisor's pid, as long as it is sure to be the supervisor's."""
        facts = _read(self.started)
        if facts is None or not is_locked(self.spec):
            return None
        return int(facts["supervisor_pid"])

    def ask_to_end(self) -> bool:
        """Have the supervisor end the agent; False when none could be told (yet, or any more)."""
        pid = self.supervisor_pid()
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):  # it ended this very moment
            os.kill(pid, signal.SIGTERM)
        return True

    def look(self) -> Condition:
        """How the claim stands; a claim without any life left is closed for good.

        For a dead claim this writes the tombstone ``exit.json`` while holding the supervisor's
        lock: a supervisor that comes late finds it and does not start the agent.
        """
        if os.path.exists(self.exit):
            return Condition.ENDED
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        lock = try_lock(self.spec)
        if lock is None:
            return Condition.SUPERVISED
        try:
            return self._close_if_dead()
        finally:
            os.close(lock)

    def _close_if_dead(self) -> Condition:
        if os.path.exists(self.exit):  # it ended between the first look and the lock
            return Condition.ENDED
        started = _read(self.started)
        # Tools that closed what they inherited hold no lock: before `lost` they are looked for.
        if is_locked(self.prompt) or (started and end_strays(self.path, self.prompt)):
            return Condition.ORPHANED
        condition = Condition.LOST if started else Condition.UNSTARTED
        facts = {"ended_by": condition.name.lower(), **(started or {})}
        self.close(facts)
        return condition


def try_lock(path: str, *, create: bool = True) -> int | None:
    """Take the lock of a file; its descriptor, or None when another process holds it.

    The descriptor is not inherited by child processes. Errors: `OSError`.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_locked(path: str) -> bool:
    """Whether a living process holds the lock."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who look at once do not take each other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _read(path: str) -> dict[str, Any] | None:
    """A JSON file; None when it is missing, or was cut short by a crash."""
    try:
        with open(path, "rb") as file:
            value: dict[str, Any] = json.load(file)
    except (FileNotFoundError, ValueError):
        return None
    return value
