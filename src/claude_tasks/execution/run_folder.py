"""The folder of one claim of a run: the files that executor, supervisor and rescuer share.

The package's docstring says what each file means. Locks are ``flock``: the kernel releases them
when the last descriptor closes, however the process ended.
"""

from __future__ import annotations

import contextlib
import errno
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
from claude_tasks.system.file_lock import is_locked, try_lock
from claude_tasks.system.process_state import is_supervisor, process_started

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.execution.contract import Record

FOR_GOOD = frozenset({errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO})
"""Permanent errors: the path is no longer the folder that we made."""

MACHINE_REASONS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM}
)
"""Errors that do not lie in the task: the machine has no room now."""

_LARGEST_FILE = 64 * 1024 * 1024
"""Bytes. A file of ours is much smaller; a larger one is not ours."""


class FolderInUseError(OSError):
    """The folder existed before its claim: a run of another database, or a program, made it."""


class Condition(Enum):
    """The state of a claim, as its folder shows it."""

    ENDED = auto()
    """``exit.json`` says how it ended."""
    SUPERVISED = auto()
    """The supervisor lives."""
    ORPHANED = auto()
    """The supervisor is dead; the agent or a child of it lives."""
    UNSTARTED = auto()
    """No process lives and the agent was never started."""
    LOST = auto()
    """No process lives, the agent had been started, and its end was not recorded."""
    REMOVED = auto()
    """The folder, or its files about a claim whose agent had been started, were removed."""


class RunFolder(NamedTuple):
    """The paths of one claim, and what is done with its files."""

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
        """Exists before the agent is started."""
        return os.path.join(self.path, "started.json")

    @property
    def exit(self) -> str:
        """How it ended."""
        return os.path.join(self.path, "exit.json")

    def create(self, spec: RunSpec, prompt: str) -> None:
        """Make the folder with ``spec.json`` and prompt. Errors: `OSError`, `FolderInUseError`.

        A claim's number is used once, so the folder can hold nothing of ours but a tombstone that
        another node wrote meanwhile: the next look at the folder then finds the claim over.
        """
        if not self._make_folder():
            if self._is_tombstone():
                return
            raise FolderInUseError(f"{self.path} is there already")
        write_private(self.prompt, prompt.encode())
        write_private(self.spec, encode(spec))

    def _is_tombstone(self) -> bool:
        """Whether the folder holds only an ``exit.json`` that closed the claim unstarted."""
        try:
            facts = self.ended()
        except OSError:  # it is not even a folder
            return False
        return facts is not None and facts.ended_by is EndedBy.UNSTARTED

    def is_supervised(self) -> bool:
        """Whether a supervisor lives, of this database or another. Errors: `OSError`."""
        return is_locked(self.spec)

    def set_aside(self) -> None:
        """Rename what is not our folder, so that a person can look at it. Errors: `OSError`."""
        os.replace(self.path, f"{self.path}.set-aside-{os.getpid()}-{time.monotonic_ns()}")

    def _require_folder(self) -> None:
        """Errors: `NotADirectoryError` where the path is a file or a link."""
        if not stat.S_ISDIR(os.lstat(self.path).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", self.path)

    def _make_folder(self) -> bool:
        """Make the folder, and ``runs`` above it; never the data folder, which may be gone.

        False when the folder existed. Errors: `OSError`.
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
        """Whether the path exists, be it our folder or something else."""
        return os.path.lexists(self.path)

    def remove(self) -> None:
        """Remove the folder once the claim's end is recorded. Errors: `OSError`.

        ``spec.json`` goes first: a supervisor that starts late must never find it without
        ``exit.json``. Other files that an agent left, which may be many, are renamed and removed by
        a separate process.
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
        """Write ``started.json``, flushed to disk, just before the agent starts. Errors: `OSError`.

        It is written in place: while it is incomplete, no agent was started.
        """
        facts = StartedFacts(supervisor_pid, at, monotonic, process_started(supervisor_pid))
        write_private(self.started, encode(facts), sync=True)

    def close(self, facts: ExitFacts) -> None:
        """Write ``exit.json``, which closes the claim.

        Errors: `OSError`, and then it is still open.
        """
        data = encode(facts)
        try:
            write_atomically(self.exit, data)
        except FileNotFoundError:  # the folder was removed
            if not self._make_folder():
                self._require_folder()
            write_atomically(self.exit, data)

    def task(self) -> RunSpec | None:
        """The content of ``spec.json``, None when it is missing or cannot be read."""
        with contextlib.suppress(FileNotFoundError, UnreadableError):
            return _read(RunSpec, self.spec)
        return None

    def ended(self) -> ExitFacts | None:
        """The content of ``exit.json``, None while there is none. Errors: `OSError`.

        One that cannot be read counts as none: it is kept beside the folder for a person, and the
        locks tell how the claim stands.
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
        """The supervisor's pid, None unless it is surely the supervisor's.

        The process with that pid must have the start time that ``started.json`` names.
        """
        facts = self.began()
        if facts is None or not is_locked(self.spec):
            return None
        same = process_started(facts.supervisor_pid) == facts.process_started
        return facts.supervisor_pid if same else None

    def kill_supervisor(self) -> bool:
        """KILL a supervisor that does not react to TERM; False when none was found.

        One that had not written its pid yet is found by ``spec.json``, which only the supervisor
        keeps open. Errors: `OSError` when the kernel refuses.
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
        """The content of ``started.json``, None when it is missing or cannot be read."""
        with contextlib.suppress(FileNotFoundError, UnreadableError):
            return _read(StartedFacts, self.started)
        return None

    def ask_to_end(self) -> bool:
        """Send TERM to the supervisor, which ends its agent; False when none could be told."""
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
        """How the claim stands. A claim of which no process lives is closed.

        To close it, this writes ``exit.json`` as a tombstone while holding the supervisor's lock: a
        supervisor that starts late finds it and does not start the agent. ``ended_as`` is what the
        tombstone says instead of "lost" where the leader killed the supervisor. ``claimed_by`` is a
        node that hangs: the tombstone stays as long as that node may wake up and launch.
        ``has_begun`` tells, from traces outside the folder, whether the agent was started;
        ``lives_on`` whether a process lives that began before the folder was removed.
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
        # Without ``spec.json``, the folder was removed and this look made it again. So
        # ``has_begun`` is called only now: a supervisor names its claim in ``logs`` before it opens
        # the prompt, which a late one does not find. Where it could not write there (``logs`` full,
        # or no folder), its processes tell.
        if not was_started and self.task() is None and any(asked() for asked in knows_of_it):
            self._unmake()
            return Condition.REMOVED
        # Tools that closed their inherited descriptors hold no lock: look for them before `lost`.
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

        The lock of this look does not exclude a supervisor whose folder was removed.
        """
        try:
            write_atomically(self.exit, encode(facts), replace=False)
        except FileExistsError:
            return False
        return True

    def _unmake(self) -> None:
        """Remove what a look created in place of a folder that was removed."""
        with contextlib.suppress(OSError):  # already removed, or not empty
            os.unlink(self.spec)
            os.rmdir(self.path)

    def _was_started(self) -> bool:
        """Whether the agent may have been started: only once ``started.json`` was complete."""
        try:
            _read(StartedFacts, self.started)
        except (FileNotFoundError, TornError):
            return False
        except UnreadableError:  # complete but of another form: never start an agent twice
            return True
        return True


REMOVED = ".removed-"
"""Prefix of the name of a folder that is being removed."""


def remove_tree(path: str) -> None:
    """Start a process that removes a folder with its content. Errors: `OSError`."""
    import subprocess  # noqa: PLC0415 (supervisors share this module and never remove)

    subprocess.Popen(
        ["rm", "-rf", "--", path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


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
