"""The executor: turns claimed runs into supervised agents and notices how each ends."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.errors import SpawnError
from claude_tasks.execution.agent_binary import find_agent_binary
from claude_tasks.execution.command import agent_argv, unattended_environment
from claude_tasks.execution.contract import EndedBy, ExitFacts, RunSpec, TaskSnapshot
from claude_tasks.execution.process_tree import end_strays
from claude_tasks.execution.run_folder import Condition, RunFolder
from claude_tasks.execution.run_log import events_path, snapshot_of
from claude_tasks.execution.spawner import Spawner

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.run import Run
    from claude_tasks.domain.store_records import Claimed
    from claude_tasks.domain.task import Task
    from claude_tasks.settings import Settings

log = logging.getLogger(__name__)


class Ended(NamedTuple):
    """A claim that is over. ``facts`` is what ``exit.json`` says; ``snapshot`` the task as run."""

    run: Run
    facts: ExitFacts
    snapshot: TaskSnapshot
    folder: RunFolder


class _Watched:
    """One run under watch.

    While ``told`` the spawner will say when it ends, and until then no lock is no sign of death:
    the request may still be on its way. Otherwise nobody will say, and its folder is looked at.
    """

    def __init__(self, run: Run, folder: RunFolder, snapshot: TaskSnapshot, *, told: bool) -> None:
        self.run = run
        self.folder = folder
        self.snapshot = snapshot
        self.told = told
        self.cancel_sent = False
        self.orphaned = False


class Executor:
    """Launch, adopt, cancel, collect. Used by one thread; keeps no state that a restart misses."""

    def __init__(self, settings: Settings) -> None:
        """Nothing runs before `start`."""
        self._settings = settings
        self._spawner = Spawner()
        self._watched: dict[str, _Watched] = {}
        self._failed: list[Ended] = []

    def start(self) -> None:
        """Have the spawner ready before the first run needs it. Errors: `OSError`."""
        self._spawner.start()

    def stop(self) -> None:
        """Stop watching. What runs goes on under its supervisors and is adopted later."""
        self._spawner.stop()
        self._watched.clear()

    @property
    def descriptor(self) -> int | None:
        """Readable when `collect` has something to do."""
        return self._spawner.descriptor

    @property
    def busy(self) -> bool:
        """Whether any run is under watch."""
        return bool(self._watched or self._failed)

    def launch(self, claimed: Claimed) -> None:
        """Start the agent of a run just claimed. What cannot start is collected as failed."""
        run, task = claimed
        folder = RunFolder.of(self._settings.folder.runs, run.id, run.claim)
        snapshot = snapshot_of(task)
        try:
            spec = self._spec(claimed, folder, snapshot)
        except SpawnError as error:
            self._failed.append(Ended(run, _spawn_failure(error), snapshot, folder))
            return
        watched = self._watched[folder.path] = _Watched(run, folder, snapshot, told=True)
        try:
            folder.create(spec, RESUME_PROMPT if _session(run) else task.prompt)
            self._request(folder)
        except (
            OSError
        ) as error:  # the disk is full, there is no process left, …: no fault of the run
            log.warning("run %d could not be launched, it is queued again: %s", run.id, error)
            watched.told = False

    def refuse(self, claimed: Claimed, why: str, *, at: int) -> None:
        """Let a run just claimed fail its preflight: collected as ended, without an agent."""
        run, task = claimed
        folder = RunFolder.of(self._settings.folder.runs, run.id, run.claim)
        facts = ExitFacts(EndedBy.PREFLIGHT, error=why, started_at=at, ended_at=at)
        self._failed.append(Ended(run, facts, snapshot_of(task), folder))

    def adopt(self, run: Run, task: Task) -> None:
        """Watch a run whose node died. The task serves where the folder has no snapshot."""
        folder = RunFolder.of(self._settings.folder.runs, run.id, run.claim)
        spec = folder.task()
        snapshot = snapshot_of(task) if spec is None else spec.task
        self._watched[folder.path] = _Watched(run, folder, snapshot, told=False)

    def tidy(self, is_open: Callable[[int, int], bool]) -> None:
        """Remove the folders of claims that are over: a crash may have come before their removal.

        ``is_open`` says whether a claim of a run, by their numbers, is still under way.
        """
        for name in os.listdir(self._settings.folder.runs):
            run_id, _, claim = name.partition(".")
            if run_id.isdecimal() and claim.isdecimal() and not is_open(int(run_id), int(claim)):
                RunFolder.of(self._settings.folder.runs, int(run_id), int(claim)).remove()

    def watches(self, run: Run) -> bool:
        """Whether this claim is under watch here, or its end not yet collected."""
        if any(end.run.id == run.id for end in self._failed):
            return True
        return RunFolder.of(self._settings.folder.runs, run.id, run.claim).path in self._watched

    def cancel(self, run_id: int) -> None:
        """Ask a run's supervisor to end it. Repeated until the supervisor could be told."""
        for watched in self._watched.values():
            if watched.run.id == run_id and not watched.cancel_sent:
                watched.cancel_sent = watched.folder.ask_to_end()

    def collect(self) -> list[Ended]:
        """The claims that ended since the last call. One that cannot be looked at stays watched."""
        ended, self._failed = self._failed, []
        for watched in self._candidates():
            try:
                found = self._look(watched)
            except OSError as error:
                log.warning("run %d cannot be looked at just now: %s", watched.run.id, error)
                continue
            if found is not None:
                ended.append(found)
                del self._watched[watched.folder.path]
        return ended

    def _request(self, folder: RunFolder) -> None:
        """Ask the spawner; a new one when it has died unnoticed. Errors: `OSError`."""
        try:
            self._spawner.request(folder.path)
        except BrokenPipeError:
            log.warning("the spawner died; starting another")
            self._spawner.stop()
            self._nobody_will_say()
            self._spawner.request(folder.path)
            self._watched[folder.path].told = True

    def _nobody_will_say(self) -> None:
        for watched in self._watched.values():
            watched.told = False

    def _candidates(self) -> list[_Watched]:
        """Those the spawner spoke of, and those about whom nobody will."""
        released, alive = self._spawner.released()
        for path in released:
            if path in self._watched:
                self._watched[path].told = False
        if not alive:
            self._nobody_will_say()
        return [watched for watched in self._watched.values() if not watched.told]

    def _look(self, watched: _Watched) -> Ended | None:
        condition = watched.folder.look()
        if condition is Condition.SUPERVISED:
            return None
        if condition is Condition.ORPHANED:
            killed = end_strays(watched.folder.path, watched.folder.prompt)
            if not watched.orphaned:
                log.warning("run %d: its supervisor died, ended %d orphans", watched.run.id, killed)
            watched.orphaned = True
            return None
        facts = watched.folder.ended()
        assert facts is not None  # every other condition leaves an exit.json
        return Ended(watched.run, facts, watched.snapshot, watched.folder)

    def _spec(self, claimed: Claimed, folder: RunFolder, snapshot: TaskSnapshot) -> RunSpec:
        run, task = claimed
        cwd = _working_folder(task)
        _refuse_bypass_as_root(task)
        binary = find_agent_binary(self._settings.claude_bin)
        return RunSpec(
            argv=agent_argv(binary, task, session_id=run.session_id, resume_session=_session(run)),
            cwd=cwd,
            marker=folder.path,  # run ids repeat from one data folder to the next
            events=events_path(self._settings.folder.logs, task.id, run.id),
            timeout_seconds=task.timeout_seconds,
            kill_grace_seconds=self._settings.kill_grace,
            task=snapshot,
            linger_seconds=self._settings.linger,
            environment=unattended_environment(task),
            run_id=run.id,
            queued_at=run.queued_at,
            claim=run.claim,
        )


RESUME_PROMPT = (
    "The usage limit interrupted you; it has been reset. Go on where you stopped, and finish."
)


def _session(run: Run) -> str | None:
    """The session to go on in, None for a run that begins anew."""
    return run.resume_of


def _spawn_failure(error: SpawnError) -> ExitFacts:
    text = f"{error.message}; {error.hint}" if error.hint else error.message
    return ExitFacts(EndedBy.SPAWN, error=text)


def _working_folder(task: Task) -> str:
    path = os.path.abspath(os.path.expanduser(task.working_dir or "."))
    if not os.path.isdir(path):
        raise SpawnError(
            f"the working directory {path} does not exist",
            hint=f"create it, or claude-tasks edit {task.id} --dir FOLDER",
        )
    return path


def _refuse_bypass_as_root(task: Task) -> None:
    """The CLI refuses this itself, but only after it has started, and less clearly."""
    words = ("--dangerously-skip-permissions", "bypassPermissions")
    asked = task.permission_mode == "bypassPermissions" or any(
        argument.endswith(words) for argument in task.extra_args
    )
    if asked and os.geteuid() == 0 and os.environ.get("IS_SANDBOX") != "1":
        raise SpawnError(
            "claude refuses to bypass permissions as root",
            hint="run claude-tasks as another user, set IS_SANDBOX=1 inside a sandbox, "
            f"or claude-tasks edit {task.id} --permission-mode acceptEdits",
        )
