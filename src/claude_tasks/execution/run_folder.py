"""The folder of one claim of a run: the files through which executor, supervisor and rescuer agree.

See the package's prose for what each file means. Locks are ``flock``: the kernel lets them go when
the last descriptor closes, whatever happened to the process.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import stat
import time
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.execution.contract import (
    EndedBy,
    ExitFacts,
    RunSpec,
    StartedFacts,
    TornError,
    UnreadableError,
    decode,
    encode,
)
from claude_tasks.execution.process_tree import end_strays, holders_of
from claude_tasks.system.durable import read_whole, write_atomically, write_private
from claude_tasks.system.process_state import is_supervisor, process_started

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.execution.contract import Record

FOR_GOOD = frozenset({errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO})
"""Errors that no later try will do without: the folder is not what we made."""

MACHINE_REASONS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM}
)
"""Errors that say nothing of the task: the machine has no room now."""

_LARGEST_FILE = 64 * 1024 * 1024
"""Nothing of ours comes near: what is larger is something else's."""


class FolderInUseError(OSError):
    """The folder of a claim was there before it: of another database's run, or somebody else's."""


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
    REMOVED = auto()
    """Somebody removed the folder, or what it says of a claim whose agent had been started."""


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

    def create(self, spec: RunSpec, prompt: str) -> None:
        """Make the folder with its task. Errors: `OSError`, `FolderInUseError`.

        A claim's number is given once, so nothing of ours is there already, but for the tombstone
        that another node wrote meanwhile: then the look at the folder tells that it is over.
        """
        if not self._make_folder():
            if self._is_tombstone():
                return
            raise FolderInUseError(f"{self.path} is there already")
        write_private(self.prompt, prompt.encode())
        write_private(self.spec, encode(spec))

    def _is_tombstone(self) -> bool:
        """Whether all it says is that the claim was closed unstarted."""
        try:
            facts = self.ended()
        except OSError:  # it is not even a folder
            return False
        return facts is not None and facts.ended_by is EndedBy.UNSTARTED

    def is_supervised(self) -> bool:
        """Whether a supervisor lives, whosever it is. Errors: `OSError`."""
        return is_locked(self.spec)

    def set_aside(self) -> None:
        """Leave what makes no sense to a person, out of the way. Errors: `OSError`."""
        os.replace(self.path, f"{self.path}.set-aside-{os.getpid()}-{time.monotonic_ns()}")

    def _require_folder(self) -> None:
        """Errors: `NotADirectoryError` where a file or a link took its place."""
        if not stat.S_ISDIR(os.lstat(self.path).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", self.path)

    def _make_folder(self) -> bool:
        """The folder, and that of all claims: never the data folder, once that is gone.

        False when it was there. Errors: `OSError`.
        """
        try:
            os.mkdir(self.path, mode=0o700)
        except FileExistsError:
            return False
        except FileNotFoundError:
            os.mkdir(os.path.dirname(self.path), mode=0o700)
            os.mkdir(self.path, mode=0o700)
        return True

    def is_there(self) -> bool:
        """Whether the folder, or whatever took its place, is there."""
        return os.path.lexists(self.path)

    def remove(self) -> None:
        """Forget the claim once its end is recorded. Errors: `OSError`.

        ``spec.json`` goes first: a supervisor that comes late must never find it there, still
        linked, and ``exit.json`` gone. What else an agent left there, however much and however
        deep, is moved out of the way and removed by a process of its own.
        """
        for name in (self.spec, self.prompt, self.started, self.exit):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
        try:
            os.rmdir(self.path)
        except FileNotFoundError:
            return
        except OSError:
            folder, name = os.path.split(self.path)
            aside = os.path.join(folder, f"{REMOVED}{name}.{time.monotonic_ns()}")
            os.rename(self.path, aside)
            remove_tree(aside)

    def mark_started(self, supervisor_pid: int, *, at: int, monotonic: float) -> None:
        """Say, durably, that the agent is about to be started. Errors: `OSError`.

        Written in place: as long as it is not whole, nothing was started.
        """
        facts = StartedFacts(supervisor_pid, at, monotonic, process_started(supervisor_pid))
        write_private(self.started, encode(facts), sync=True)

    def close(self, facts: ExitFacts) -> None:
        """Say, for good, how the claim ended. Errors: `OSError`, and then it is still open."""
        data = encode(facts)
        try:
            write_atomically(self.exit, data)
        except FileNotFoundError:  # somebody removed the folder
            if not self._make_folder():
                self._require_folder()
            write_atomically(self.exit, data)

    def task(self) -> RunSpec | None:
        """What ``spec.json`` says, None when there is none that can be made out."""
        with contextlib.suppress(FileNotFoundError, UnreadableError):
            return _read(RunSpec, self.spec)
        return None

    def ended(self) -> ExitFacts | None:
        """What ``exit.json`` says, None while there is none.

        One that cannot be made out says nothing: it is kept beside the folder, for a person, and
        the locks tell how the claim stands. Errors: `OSError`.
        """
        try:
            return _read(ExitFacts, self.exit)
        except FileNotFoundError:
            return None
        except UnreadableError:
            os.replace(self.exit, self._kept)
            return None

    @property
    def _kept(self) -> str:
        return f"{self.path}.exit.json.unreadable"

    def supervisor_pid(self) -> int | None:
        """The supervisor's pid, as long as it is sure to be the supervisor's.

        Its number counts only while the process of that number began when it did.
        """
        facts = self.began()
        if facts is None or not is_locked(self.spec):
            return None
        same = process_started(facts.supervisor_pid) == facts.process_started
        return facts.supervisor_pid if same else None

    def kill_supervisor(self) -> bool:
        """KILL a supervisor that answers to nothing else; False when there was none to be found.

        One that never got as far as to say its number is known by the file that it keeps open, as
        no other process of the spawner's does. Errors: `OSError` when the kernel refuses.
        """
        if not is_locked(self.spec):
            return False
        told = self.supervisor_pid()
        others = filter(is_supervisor, holders_of(self.spec))
        pids = list(others) if told is None else [told]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # it ended this very moment
                os.kill(pid, signal.SIGKILL)
        return bool(pids)

    def began(self) -> StartedFacts | None:
        """What ``started.json`` says; None without one that can be made out."""
        with contextlib.suppress(FileNotFoundError, UnreadableError):
            return _read(StartedFacts, self.started)
        return None

    def ask_to_end(self) -> bool:
        """Have the supervisor end the agent; False when none could be told (yet, or any more)."""
        pid = self.supervisor_pid()
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):  # it ended this very moment
            os.kill(pid, signal.SIGTERM)
        return True

    def look(
        self,
        ended_as: ExitFacts | None = None,
        *,
        claimed_by: str | None = None,
        has_begun: Callable[[], bool] = lambda: False,
        lives_on: Callable[[], bool] = lambda: False,
    ) -> Condition:
        """How the claim stands; a claim without any life left is closed for good.

        For a dead claim this writes the tombstone ``exit.json`` while holding the supervisor's
        lock: a supervisor that comes late finds it and does not start the agent. ``ended_as`` is
        what it says of an agent whose supervisor was killed, instead of lost. ``claimed_by`` is a
        node that hangs: as long as it may wake up and launch, the tombstone has to stand.
        ``has_begun`` knows, from elsewhere, whether the agent was started, and ``lives_on`` whether
        anything lives that began in the folder before somebody removed it.
        """
        knows = (has_begun, lives_on)
        if os.path.exists(self.exit):
            return Condition.ENDED
        if not self._make_folder():
            self._require_folder()
        lock = try_lock(self.spec)
        if lock is None:
            return Condition.SUPERVISED
        try:
            return self._close_if_dead(ended_as or ExitFacts(EndedBy.LOST), claimed_by, knows)
        finally:
            os.close(lock)

    def _close_if_dead(
        self,
        ended_as: ExitFacts,
        claimed_by: str | None,
        knows_of_it: tuple[Callable[[], bool], ...],
    ) -> Condition:
        if os.path.exists(self.exit):  # it ended between the first look and the lock
            return Condition.ENDED
        kept = os.path.exists(self._kept)
        was_started = kept or self._was_started()
        # Without its task the folder was removed, and made anew just now. So it is asked now: a
        # supervisor writes that down before it takes the prompt, which a late one finds no more.
        # Where it could not write it down (``logs`` full, or no folder), its processes tell.
        if not was_started and self.task() is None and any(asked() for asked in knows_of_it):
            self._unmake()
            return Condition.REMOVED
        # Tools that closed what they inherited hold no lock: before `lost` they are looked for.
        if is_locked(self.prompt) or (was_started and end_strays(self.path, self.prompt)):
            return Condition.ORPHANED
        if not was_started:
            unstarted = ExitFacts(EndedBy.UNSTARTED, claimed_by=claimed_by)
            return Condition.UNSTARTED if self._close_first(unstarted) else Condition.ENDED
        began = self.began()
        if kept:
            ended_as = ended_as._replace(error=f"how it ended cannot be made out: {self._kept}")
        ended_as = ended_as._replace(started_at=None if began is None else began.started_at)
        return Condition.LOST if self._close_first(ended_as) else Condition.ENDED

    def _close_first(self, facts: ExitFacts) -> bool:
        """Write the tombstone, unless a supervisor has written how the claim ended meanwhile.

        One whose folder was removed is not kept out by the lock of whoever looks.
        """
        try:
            write_atomically(self.exit, encode(facts), replace=False)
        except FileExistsError:
            return False
        return True

    def _unmake(self) -> None:
        """Take back what a look made of a folder that somebody removed."""
        with contextlib.suppress(OSError):  # removed once more, or something is left in it
            os.unlink(self.spec)
            os.rmdir(self.path)

    def _was_started(self) -> bool:
        """Whether the agent may have been started: not before ``started.json`` was whole."""
        try:
            _read(StartedFacts, self.started)
        except (FileNotFoundError, TornError):
            return False
        except UnreadableError:  # whole, but not as we know it: nothing is started twice
            return True
        return True


REMOVED = ".removed-"
"""How the name of a folder begins that is being removed."""


def remove_tree(path: str) -> None:
    """Have a process of its own remove a folder with all that is in it. Errors: `OSError`."""
    import subprocess  # noqa: PLC0415 (supervisors share this module and never remove)

    subprocess.Popen(
        ["rm", "-rf", "--", path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


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


def _read(kind: type[Record], path: str) -> Record:
    """A file's record. Errors: `FileNotFoundError`, `UnreadableError`, `OSError`."""
    try:
        data = read_whole(path, limit=_LARGEST_FILE)
    except ValueError as error:
        raise UnreadableError(str(error)) from None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise UnreadableError("a symbolic link") from None
    return decode(kind, data)
