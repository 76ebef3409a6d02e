"""The supervisor: one small process per run that outlives the daemon.

    locked ──started.json──▶ agent runs ──exits──▶ leftovers ended ──exit.json──▶ gone
                                │
                                ├── timeout ──▶ TERM, grace, KILL
                                ├── SIGTERM (cancel) ──▶ the same
                                └── its result is there, it does not exit ──▶ the same

The spawner forks it with the lock of ``spec.json`` already held. It leads its own process group (in
the spawner's session, which has no terminal) and reports only through the run's folder. It survives
a full disk (it writes the end as soon as there is room) and a deleted log folder.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from claude_tasks.domain.run_marker import MARKER
from claude_tasks.execution.agent_process import AgentProcess
from claude_tasks.execution.bounded import HeadAndTail
from claude_tasks.execution.contract import EndedBy, EventsOwner, ExitFacts
from claude_tasks.execution.event_stream import EventStreamFile
from claude_tasks.execution.following import Following
from claude_tasks.execution.process_tree import (
    become_subreaper,
    end_leftovers,
    reap_and_ask,
)
from claude_tasks.execution.run_folder import FOR_GOOD, MACHINE_REASONS
from claude_tasks.execution.transcript import Transcript
from claude_tasks.system.file_lock import try_lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.execution.contract import RunSpec
    from claude_tasks.execution.run_folder import RunFolder

_STDERR_HEAD = 16 * 1024
_STDERR_TAIL = 48 * 1024
_RETRY_SECONDS = 1.0
_TIDYING_NICENESS = 10
_ENVIRONMENT = dict(os.environ)
"""The spawner's environment, already without what agents must not see. All supervisors share it."""


def supervise(folder: RunFolder) -> None:
    """Carry out the claim in ``folder``, whose supervisor lock this process holds."""
    if os.path.exists(folder.exit):
        return  # a rescuer closed the claim before we started
    os.setpgid(0, 0)
    become_subreaper()
    wakeup = _signal_pipe()  # before others can read our pid and send a cancel
    spec = folder.task()
    if spec is None:
        facts = ExitFacts(EndedBy.INTERNAL, error=f"{folder.spec}: it cannot be made out")
        _persist(folder, lambda: folder.close(facts))
        return
    if not _persist(folder, lambda: _mark_started(folder)):
        return  # without it the next node could start the agent twice
    facts = _carry_out(folder, spec, wakeup)
    _persist(folder, lambda: folder.close(facts))


def _mark_started(folder: RunFolder) -> None:
    folder.mark_started(os.getpid(), at=_now(), monotonic=time.monotonic())


def _carry_out(folder: RunFolder, spec: RunSpec, wakeup: int) -> ExitFacts:
    """The facts for ``exit.json``, also when the supervisor itself fails."""
    started_at = _now()
    try:
        return _Supervision(folder, spec, wakeup).carry_out()
    except Exception:  # noqa: BLE001 (the failure becomes the run's result)
        import traceback  # noqa: PLC0415 (keeps the spawner small)

        end_leftovers(spec.marker)
        return ExitFacts(
            EndedBy.INTERNAL,
            error=traceback.format_exc(),
            started_at=started_at,
            ended_at=_now(),
        )


class _Supervision:
    """One agent from start to end."""

    def __init__(self, folder: RunFolder, spec: RunSpec, wakeup: int) -> None:
        self._folder = folder
        self._spec = spec
        self._transcript = Transcript(now=_now)
        self._stderr = HeadAndTail(_STDERR_HEAD, _STDERR_TAIL)
        self._deadline = time.monotonic() + spec.timeout_seconds
        self._wakeup = wakeup

    def carry_out(self) -> ExitFacts:
        """Run the agent; the facts for ``exit.json``."""
        started_at = _now()
        # Before the agent starts: it proves that this claim began if the folder is removed.
        events = EventStreamFile(
            self._spec.events,
            result_span=lambda: self._transcript.result_span,
            owner=EventsOwner(self._spec.run_id, self._spec.queued_at, self._spec.claim),
        )
        try:
            agent, output, error = self._start()
        except (OSError, ValueError) as failure:
            events.close()
            return self._not_started(failure)
        following = Following(
            agent,
            self._spec,
            wakeup=self._wakeup,
            deadline=self._deadline,
            activity=self._transcript.activity,
        )
        # The transcript reads each chunk first: the file asks it which line is the result.
        following.follow(
            output, (self._transcript.feed, events.write), error, (self._stderr.write,)
        )
        ended_at = _now()
        os.nice(_TIDYING_NICENESS)  # starting other runs goes first
        self._transcript.close()
        events.close()
        if reap_and_ask():
            end_leftovers(self._spec.marker)
        return ExitFacts(
            following.ended_by,
            started_at=started_at,
            ended_at=ended_at,
            exit_code=agent.returncode,
            stderr=self._stderr.text(),
            events_failure=events.failure,
            transcript=self._transcript.summary(),
            lingered=following.lingered,
        )

    def _not_started(self, failure: OSError | ValueError) -> ExitFacts:
        """No agent was started. Unless the cause lies in the task, the run is queued again."""
        now = _now()
        if isinstance(failure, OSError) and (
            failure.errno in MACHINE_REASONS
            or failure.filename == self._folder.prompt  # the folder was removed
        ):
            return ExitFacts(EndedBy.UNSTARTED, error=str(failure))
        why = self._why_not(failure)
        return ExitFacts(EndedBy.SPAWN, error=why, started_at=now, ended_at=now)

    def _why_not(self, failure: OSError | ValueError) -> str:
        """Why the agent could not start, with the path at fault and what helps.

        It goes into a row, so it names no command: its program name depends on the reader.
        """
        if not isinstance(failure, OSError):
            return f"{failure}: {self._spec.argv}, {self._spec.cwd}"
        if failure.filename != self._spec.cwd:
            return f"{failure.strerror}: {failure.filename}"
        gone = isinstance(failure, FileNotFoundError)
        wrong = "does not exist" if gone else f"cannot be entered: {failure.strerror}"
        helps = "create it, or edit the task's --dir"
        return f"the working directory {self._spec.cwd} {wrong}; {helps}"

    def _start(self) -> tuple[AgentProcess, int, int]:
        """The agent, and the descriptors of its output and its standard error."""
        prompt = try_lock(self._folder.prompt, create=False)
        assert prompt is not None  # the folder belongs to this claim alone
        output, output_writing = os.pipe()
        error, error_writing = os.pipe()
        try:
            agent = AgentProcess.start(
                self._spec.argv,
                cwd=self._spec.cwd,
                environment=_ENVIRONMENT | self._spec.environment | {MARKER: self._spec.marker},
                standard=(prompt, output_writing, error_writing),
                inherited=prompt,
            )
        finally:
            for descriptor in (prompt, output_writing, error_writing):
                os.close(descriptor)
        return agent, output, error


def _signal_pipe() -> int:
    """A descriptor that becomes readable when a child ends or a cancel arrives.

    The handlers themselves are the spawner's, inherited by the fork: see `prepare_signals`.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.set_blocking(reading, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    return reading


def prepare_signals() -> None:
    """Install the signal handlers once, in the spawner: every supervisor inherits them.

    The end of a child and a cancel arrive through the wake-up descriptor. A terminal's hangup or
    interrupt is ignored: it is meant for the command in the terminal, not for runs.
    """
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _persist(folder: RunFolder, write: Callable[[], None]) -> bool:
    """Write one of the folder's files, waiting for room on a full disk.

    False when the data folder was removed: then no node will read the file.
    """
    data_folder = os.path.dirname(os.path.dirname(folder.path))
    while True:
        try:
            write()
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno in FOR_GOOD or not os.path.isdir(data_folder):
                return False
            time.sleep(_RETRY_SECONDS)
        else:
            return True


def _now() -> int:
    return time.time_ns() // 1_000_000
