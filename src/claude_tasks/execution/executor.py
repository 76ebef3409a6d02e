"""The executor: turns claimed runs into supervised agents and notices how each ends.

It never looks at a path that a task names: a folder on a dead mount would hold the engine, and with
it every other task. Such paths are text here; the run's own supervisor enters them. What goes wrong
with one run ends that run or queues it again, and the pass goes on with the next.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING

from claude_tasks.domain.errors import DatabaseGoneError, SpawnError
from claude_tasks.domain.task_fields import FIELDS
from claude_tasks.execution.contract import EndedBy, ExitFacts, TaskSnapshot
from claude_tasks.execution.launching import RESUME_PROMPT, LaunchPlan
from claude_tasks.execution.process_tree import end_strays
from claude_tasks.execution.run_folder import (
    FOR_GOOD,
    REMOVED,
    Condition,
    FolderInUseError,
    RunFolder,
    remove_tree,
)
from claude_tasks.execution.run_log import snapshot_of
from claude_tasks.execution.spawner import Spawner
from claude_tasks.execution.traces import Traces
from claude_tasks.execution.watched import SILENT_SECONDS, Ended, Watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.run import Run
    from claude_tasks.domain.store_records import Claimed
    from claude_tasks.domain.task import Task
    from claude_tasks.execution.contract import RunSpec
    from claude_tasks.execution.launching import LaunchRules
    from claude_tasks.system.data_folder import DataFolder

log = logging.getLogger(__name__)

_SILENCE_SECONDS = 1.0
"""A spawner that owes an answer for longer is no progress."""
_AGAIN_SECONDS = 1.0
"""How often a supervisor that the kernel does not end is killed again."""


class Executor:
    """Launch, adopt, cancel, collect. Used by one thread; keeps no state that a restart misses."""

    def __init__(
        self,
        rules: LaunchRules,
        *,
        folder: DataFolder,
        node_id: str,
        require_same: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing runs before `start`. ``require_same``, the store's, is asked before each."""
        self._data = folder
        self._kill_grace = rules.kill_grace
        self._node_id = node_id
        self._require_same = require_same
        self._monotonic = monotonic
        self._plan = LaunchPlan(rules, logs=folder.logs)
        self._spawner = Spawner(monotonic=monotonic)
        self._watched: dict[str, Watched] = {}
        self._failed: list[Ended] = []
        self._traces = Traces(folder)

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
        """Whether any run is under watch, or the spawner owes an answer."""
        return bool(self._watched or self._failed or self._spawner.silent_for)

    @property
    def pending(self) -> bool:
        """Whether an end is known already and waits to be collected."""
        return bool(self._failed)

    @property
    def stuck(self) -> bool:
        """Whether nothing could be started now: the spawner hangs, and was not replaced yet."""
        return self._spawner.silent_for > _SILENCE_SECONDS

    def launch(self, claimed: Claimed) -> None:
        """Start the agent of a run just claimed. What cannot start is collected as failed."""
        run, task = claimed
        folder = self._folder(run)
        watched = Watched(
            run,
            folder,
            snapshot_of(task),
            told=True,
            deadline=self._silent_at(task.spec.timeout_seconds),
        )
        self._watched[folder.path] = watched
        try:
            spec = self._plan.spec(claimed, folder, watched.snapshot)
            folder.create(spec, RESUME_PROMPT if run.resume_of else task.spec.prompt)
            self._require_same()
            self._request(folder)
        except FolderInUseError as error:
            self._give_back(watched, str(error))
        except DatabaseGoneError:
            raise
        except OSError as error:  # the disk is full, there is no process left, …: the machine's
            log.warning("run %d could not be launched, it is queued again: %s", run.id, error)
            watched.told = False
        except SpawnError as error:
            hint = f"; {error.hint}" if error.hint else ""
            self._give_up(watched, error.message + hint)
        except Exception as error:
            log.exception("run %d cannot be launched", run.id)
            self._give_up(watched, f"no command can be made of its task: {error!r}")

    def refuse(self, claimed: Claimed, why: str, *, at: int) -> None:
        """Let a run just claimed fail its preflight: collected as ended, without an agent."""
        run, task = claimed
        facts = ExitFacts(EndedBy.PREFLIGHT, error=why, started_at=at, ended_at=at)
        self._failed.append(Ended(run, facts, snapshot_of(task), self._folder(run)))

    def adopt(self, run: Run, task: Task | None) -> None:
        """Watch a run of another node. The task serves where the folder has no snapshot."""
        folder = self._folder(run)
        spec = _spec_in(folder)
        snapshot = spec.task if spec is not None else _snapshot(run, task)
        silent_at = self._silent_at(snapshot.timeout_seconds, since=_began(folder))
        watched = Watched(run, folder, snapshot, told=False, deadline=silent_at)
        if spec is not None and not spec.is_of(run.id, run.queued_at):
            why = f"{folder.path} is that of another database's run"
            self._failed.append(watched.lost(why, keeps_folder=True))
            return
        self._watched[folder.path] = watched

    def tidy(
        self, is_open: Callable[[int, int], bool], launches_no_more: Callable[[str], bool]
    ) -> None:
        """Remove the folders of claims that are over: a crash may have come before their removal.

        ``is_open`` says whether a claim of a run, by their numbers, is still under way. A node that
        hangs may yet launch what was closed in its absence, unless it ``launches_no_more``.
        """
        for name in os.listdir(self._data.runs):
            if name.startswith(REMOVED):  # by a node that died meanwhile
                remove_tree(os.path.join(self._data.runs, name))
            run_id, _, claim = name.partition(".")
            if not (run_id.isdecimal() and claim.isdecimal()) or is_open(int(run_id), int(claim)):
                continue
            folder = RunFolder.of(self._data.runs, int(run_id), int(claim))
            try:
                facts = folder.ended()
                over = (
                    facts is None or facts.claimed_by is None or launches_no_more(facts.claimed_by)
                )
                if over and not folder.is_supervised():  # another database's run may live there
                    folder.remove()
            except OSError as error:  # somebody else's: it is in nobody's way
                log.warning("%s cannot be tidied up: %s", folder.path, error)

    def watches(self, run: Run) -> bool:
        """Whether this claim is under watch here, or its end not yet collected."""
        if any(end.run.id == run.id for end in self._failed):
            return True
        return self._folder(run).path in self._watched

    def lives(self, run_id: int) -> bool:
        """Whether a supervisor or an agent of a run lives, of whichever claim."""
        return self._traces.lives(run_id)

    def cancel(self, run_id: int) -> None:
        """Ask a run's supervisor to end it. Repeated until the supervisor could be told."""
        for watched in self._watched.values():
            if watched.run.id == run_id and not watched.cancel_sent:
                watched.cancel_sent = watched.folder.ask_to_end() or self._ended_the_gone(watched)
                if watched.cancel_sent:
                    watched.deadline = min(watched.deadline, self._silent_at(0))

    def collect(self) -> list[Ended]:
        """The claims that ended since the last call. One that cannot be looked at stays watched."""
        ended, self._failed = self._failed, []
        self._traces.forget()
        for watched in self._candidates():
            found = self._try_look(watched)
            if found is not None:
                ended.append(found)
                del self._watched[watched.folder.path]
        self._end_the_silent()
        return ended

    def _ended_the_gone(self, watched: Watched) -> bool:
        """End an agent whose folder was removed: its supervisor cannot be told, but sees that."""
        gone = not watched.folder.is_there()
        return gone and end_strays(watched.folder.path, watched.folder.prompt) > 0

    def _try_look(self, watched: Watched) -> Ended | None:
        """A look that fails for now is repeated; one that can only fail ends the run."""
        try:
            return self._look(watched)
        except OSError as error:
            if error.errno in FOR_GOOD:
                end_strays(watched.folder.path, watched.folder.prompt)
                with contextlib.suppress(OSError):  # there is none, below a file
                    watched.folder.set_aside()
                return watched.lost(f"its folder makes no sense, it was set aside: {error}")
            if str(error) != watched.complaint:
                log.warning("run %d cannot be looked at just now: %s", watched.run.id, error)
            watched.complaint = str(error)
            return None

    def _folder(self, run: Run) -> RunFolder:
        return RunFolder.of(self._data.runs, run.id, run.claim)

    def _give_back(self, watched: Watched, why: str) -> None:
        """It goes back in line, for another claim: this one's folder is not ours to look at."""
        log.warning("run %d could not be launched, it is queued again: %s", watched.run.id, why)
        del self._watched[watched.folder.path]
        facts = ExitFacts(EndedBy.UNSTARTED, error=why)
        self._failed.append(
            Ended(watched.run, facts, watched.snapshot, watched.folder, keeps_folder=True)
        )

    def _give_up(self, watched: Watched, why: str) -> None:
        """It cannot be started, for a reason of its task's own."""
        self._watched.pop(watched.folder.path, None)
        facts = ExitFacts(EndedBy.SPAWN, error=why)
        self._failed.append(Ended(watched.run, facts, watched.snapshot, watched.folder))

    def _silent_at(self, timeout_seconds: float, *, since: float | None = None) -> float:
        """When a supervisor that has not ended by then is silent for good, monotonic seconds.

        ``since`` is when it began; the machine's monotonic clock is the same in every process.
        """
        now = self._monotonic()
        began = now if since is None else min(since, now)
        return began + timeout_seconds + self._kill_grace + SILENT_SECONDS

    def _end_the_silent(self) -> None:
        """KILL the supervisors that are long past their time: they hang, or are frozen."""
        monotonic = self._monotonic()
        for watched in self._watched.values():
            if monotonic < watched.deadline:
                continue
            watched.deadline = monotonic + _AGAIN_SECONDS
            watched.silent = True
            try:
                if watched.folder.kill_supervisor() or self._ended_the_gone(watched):
                    log.warning("run %d: its supervisor is silent, it was killed", watched.run.id)
            except OSError as error:
                log.warning("run %d: its supervisor cannot be killed: %s", watched.run.id, error)
                if error.errno in FOR_GOOD:  # nothing in there tells of it: a look ends the run
                    watched.told = False

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

    def _replace_spawner(self) -> None:
        """Its supervisors go on; what it was asked for and did not begin goes back in line."""
        log.warning("the spawner does not answer; starting another")
        self._spawner.stop()
        self._nobody_will_say()
        with contextlib.suppress(OSError):  # the next request tries again, and says so
            self._spawner.start()

    def _nobody_will_say(self) -> None:
        for watched in self._watched.values():
            watched.told = False

    def _candidates(self) -> list[Watched]:
        """Those the spawner spoke of, and those about whom nobody will."""
        released, alive = self._spawner.released()
        for path in released:
            if path in self._watched:
                self._watched[path].told = False
        if not alive:
            self._nobody_will_say()
        elif self._watched and not self._spawner.is_there():
            self._replace_spawner()
        return [watched for watched in self._watched.values() if not watched.told]

    def _look_at_the_gone(self, watched: Watched) -> Ended | None:
        """Its folder was removed: whether the agent lives, or lived, is told by others.

        Its supervisor goes on, and makes the folder anew for what it has to say at the end.
        """
        if self._traces.lives_on(watched.run.id) or os.path.exists(watched.folder.exit):
            return None
        return watched.lost("its folder was removed, and nobody saw how it ended")

    def _look(self, watched: Watched) -> Ended | None:
        if not watched.folder.is_there() and self._traces.has_begun(watched):
            return self._look_at_the_gone(watched)
        condition = watched.folder.look(
            watched.ended_as(),
            claimed_by=watched.run.launched_by,
            has_begun=lambda: self._traces.has_begun(watched),
            lives_on=lambda: self._traces.lives_on(watched.run.id),
        )
        if condition is Condition.REMOVED:
            return self._look_at_the_gone(watched)
        if condition is Condition.SUPERVISED:
            return None
        if condition is Condition.ORPHANED:
            killed = end_strays(watched.folder.path, watched.folder.prompt)
            if not watched.orphaned:
                log.warning("run %d: its supervisor died, ended %d orphans", watched.run.id, killed)
            watched.orphaned = True
            return None
        facts = watched.folder.ended()
        if facts is None:  # set aside, or removed this moment by another node that watches it too
            return None
        stays = facts.claimed_by not in (None, self._node_id)
        return Ended(watched.run, facts, watched.snapshot, watched.folder, keeps_folder=stays)


def _snapshot(run: Run, task: Task | None) -> TaskSnapshot:
    """The task as it stands now; where it cannot be read, what the run knows of it."""
    if task is not None:
        return snapshot_of(task)
    return TaskSnapshot(
        id=run.task_id,
        name=run.task_name,
        prompt="",
        working_dir="",
        cron_expr="",
        timezone="UTC",
        model=None,
        permission_mode=None,
        timeout_seconds=FIELDS["timeout_seconds"].default,
        max_retries=0,
        on_usage_limit=None,
        is_one_off=False,
    )


def _spec_in(folder: RunFolder) -> RunSpec | None:
    """What the folder of a claim says it was to do, as far as that can be read."""
    try:
        return folder.task()
    except OSError:  # the look at it will say so
        return None


def _began(folder: RunFolder) -> float | None:
    """When the supervisor of a claim began, monotonic seconds, as far as it is known."""
    try:
        facts = folder.began()
    except OSError:  # the same
        return None
    return None if facts is None else facts.monotonic
