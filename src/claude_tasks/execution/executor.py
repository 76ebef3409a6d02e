"""The executor: starts an agent with its supervisor for each claimed run, and notices its end.

It never opens a path that a task names: a folder on a dead mount would block the engine, and with
it every other task. Such paths are text here; the run's own supervisor enters them. An error of one
run ends that run or queues it again, and the pass goes on with the next.
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
"""A spawner that has owed an answer for longer counts as stuck."""
_AGAIN_SECONDS = 1.0
"""How often KILL is sent again to a supervisor that does not end."""


class Executor:
    """Launch, adopt, cancel, collect. Used by one thread; a restart needs none of its state."""

    def __init__(
        self,
        rules: LaunchRules,
        *,
        folder: DataFolder,
        node_id: str,
        require_same: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing runs before `start`.

        The store's ``require_same`` is called before each launch.
        """
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
        """Stop watching. Runs go on under their supervisors and are adopted later."""
        self._spawner.stop()
        self._watched.clear()

    @property
    def descriptor(self) -> int | None:
        """Readable when `collect` has something to do."""
        return self._spawner.descriptor

    @property
    def busy(self) -> bool:
        """Whether a run is watched, or the spawner owes an answer."""
        return bool(self._watched or self._failed or self._spawner.silent_for)

    @property
    def pending(self) -> bool:
        """Whether an end is known and waits to be collected."""
        return bool(self._failed)

    @property
    def stuck(self) -> bool:
        """Whether no run could be started now: the spawner hangs and was not replaced yet."""
        return self._spawner.silent_for > _SILENCE_SECONDS

    def launch(self, claimed: Claimed) -> None:
        """Start the agent of a run just claimed. A run that cannot start is collected as failed."""
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
        except OSError as error:  # the machine's: full disk, no free process, …
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
        """Watch a run of another node. ``task`` is used where the folder has no snapshot."""
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
        """Remove the folders of claims that are over, which a node that crashed did not remove.

        ``is_open`` takes a run id and a claim number and says whether that claim is under way. The
        tombstone of a claim that a hung node may still launch stays until ``launches_no_more`` is
        true of that node.
        """
        for name in os.listdir(self._data.runs):
            if name.startswith(REMOVED):  # its node died before it was done
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
                if over and not folder.is_supervised():  # a run of another database may live there
                    folder.remove()
            except OSError as error:  # another user's: it may stay
                log.warning("%s cannot be tidied up: %s", folder.path, error)

    def watches(self, run: Run) -> bool:
        """Whether this claim is watched here, or its end not yet collected."""
        if any(end.run.id == run.id for end in self._failed):
            return True
        return self._folder(run).path in self._watched

    def lives(self, run_id: int) -> bool:
        """Whether a supervisor or an agent of a run lives, of any claim."""
        return self._traces.lives(run_id)

    def cancel(self, run_id: int) -> None:
        """Ask a run's supervisor to end it.

        The caller repeats this until the supervisor was reached.
        """
        for watched in self._watched.values():
            if watched.run.id == run_id and not watched.cancel_sent:
                watched.cancel_sent = watched.folder.ask_to_end() or self._ended_strays(watched)
                if watched.cancel_sent:
                    watched.deadline = min(watched.deadline, self._silent_at(0))

    def collect(self) -> list[Ended]:
        """The claims that ended since the last call. One that cannot be read now stays watched."""
        ended, self._failed = self._failed, []
        self._traces.forget()
        for watched in self._candidates():
            found = self._try_look(watched)
            if found is not None:
                ended.append(found)
                del self._watched[watched.folder.path]
        self._kill_silent_supervisors()
        return ended

    def _ended_strays(self, watched: Watched) -> bool:
        """End the agent of a removed folder, whose supervisor cannot be told, but sees it end."""
        gone = not watched.folder.is_there()
        return gone and end_strays(watched.folder.path, watched.folder.prompt) > 0

    def _try_look(self, watched: Watched) -> Ended | None:
        """Look at a claim; after a temporary error again later, a permanent one ends the run."""
        try:
            return self._look(watched)
        except OSError as error:
            if error.errno in FOR_GOOD:
                end_strays(watched.folder.path, watched.folder.prompt)
                with contextlib.suppress(OSError):  # the path leads through a file
                    watched.folder.set_aside()
                return watched.lost(f"its folder makes no sense, it was set aside: {error}")
            if str(error) != watched.complaint:
                log.warning("run %d cannot be looked at just now: %s", watched.run.id, error)
            watched.complaint = str(error)
            return None

    def _folder(self, run: Run) -> RunFolder:
        return RunFolder.of(self._data.runs, run.id, run.claim)

    def _give_back(self, watched: Watched, why: str) -> None:
        """Queue the run again for another claim: the folder of this one is not ours."""
        log.warning("run %d could not be launched, it is queued again: %s", watched.run.id, why)
        del self._watched[watched.folder.path]
        facts = ExitFacts(EndedBy.UNSTARTED, error=why)
        self._failed.append(
            Ended(watched.run, facts, watched.snapshot, watched.folder, keeps_folder=True)
        )

    def _give_up(self, watched: Watched, why: str) -> None:
        """End a run that cannot be started for a reason that lies in its task."""
        self._watched.pop(watched.folder.path, None)
        facts = ExitFacts(EndedBy.SPAWN, error=why)
        self._failed.append(Ended(watched.run, facts, watched.snapshot, watched.folder))

    def _silent_at(self, timeout_seconds: float, *, since: float | None = None) -> float:
        """After which instant a supervisor that has not ended counts as hung, monotonic seconds.

        ``since`` is when it began; every process of the machine shares the monotonic clock.
        """
        now = self._monotonic()
        began = now if since is None else min(since, now)
        return began + timeout_seconds + self._kill_grace + SILENT_SECONDS

    def _kill_silent_supervisors(self) -> None:
        """KILL the supervisors that are past their deadline: they hang, or are stopped."""
        monotonic = self._monotonic()
        for watched in self._watched.values():
            if monotonic < watched.deadline:
                continue
            watched.deadline = monotonic + _AGAIN_SECONDS
            watched.silent = True
            try:
                if watched.folder.kill_supervisor() or self._ended_strays(watched):
                    log.warning("run %d: its supervisor is silent, it was killed", watched.run.id)
            except OSError as error:
                log.warning("run %d: its supervisor cannot be killed: %s", watched.run.id, error)
                if error.errno in FOR_GOOD:  # permanent: the next look ends the run
                    watched.told = False

    def _request(self, folder: RunFolder) -> None:
        """Ask the spawner for a supervisor; start a new spawner if it died. Errors: `OSError`."""
        try:
            self._spawner.request(folder.path)
        except BrokenPipeError:
            log.warning("the spawner died; starting another")
            self._spawner.stop()
            self._expect_no_reports()
            self._spawner.request(folder.path)
            self._watched[folder.path].told = True

    def _replace_spawner(self) -> None:
        """Start a new spawner.

        Running supervisors go on; claims it did not begin are queued again.
        """
        log.warning("the spawner does not answer; starting another")
        self._spawner.stop()
        self._expect_no_reports()
        with contextlib.suppress(OSError):  # the next request tries again and reports it
            self._spawner.start()

    def _expect_no_reports(self) -> None:
        for watched in self._watched.values():
            watched.told = False

    def _candidates(self) -> list[Watched]:
        """Claims the spawner reported, and claims it does not know and will never report."""
        released, alive = self._spawner.released()
        for path in released:
            if path in self._watched:
                self._watched[path].told = False
        if not alive:
            self._expect_no_reports()
        elif self._watched and not self._spawner.is_there():
            self._replace_spawner()
        return [watched for watched in self._watched.values() if not watched.told]

    def _look_without_folder(self, watched: Watched) -> Ended | None:
        """Judge a claim whose folder was removed by what exists outside it: see `Traces`.

        Its supervisor goes on, and makes the folder again to write ``exit.json``.
        """
        if self._traces.lives_on(watched.run.id) or os.path.exists(watched.folder.exit):
            return None
        return watched.lost("its folder was removed, and nobody saw how it ended")

    def _look(self, watched: Watched) -> Ended | None:
        if not watched.folder.is_there() and self._traces.has_begun(watched):
            return self._look_without_folder(watched)
        condition = watched.folder.look(
            watched.ended_as(),
            claimed_by=watched.run.launched_by,
            has_begun=lambda: self._traces.has_begun(watched),
            lives_on=lambda: self._traces.lives_on(watched.run.id),
        )
        if condition is Condition.REMOVED:
            return self._look_without_folder(watched)
        if condition is Condition.SUPERVISED:
            return None
        if condition is Condition.ORPHANED:
            killed = end_strays(watched.folder.path, watched.folder.prompt)
            if not watched.orphaned:
                log.warning("run %d: its supervisor died, ended %d orphans", watched.run.id, killed)
            watched.orphaned = True
            return None
        facts = watched.folder.ended()
        if facts is None:  # set aside, or just removed by another node that watches it too
            return None
        stays = facts.claimed_by not in (None, self._node_id)
        return Ended(watched.run, facts, watched.snapshot, watched.folder, keeps_folder=stays)


def _snapshot(run: Run, task: Task | None) -> TaskSnapshot:
    """The task as it is now; where its row cannot be read, what the run's row says of it."""
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
    """The claim's ``spec.json``, None where it cannot be read."""
    try:
        return folder.task()
    except OSError:  # the look at the folder reports it
        return None


def _began(folder: RunFolder) -> float | None:
    """When the supervisor of a claim began, monotonic seconds; None where unknown."""
    try:
        facts = folder.began()
    except OSError:  # the look at the folder reports it
        return None
    return None if facts is None else facts.monotonic
