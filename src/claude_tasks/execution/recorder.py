"""The recorder: writes how runs ended, first the run log, then the row, or queues a retry.

After a crash between the two, both are written again: the log of the same outcome has the same
name.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from claude_tasks.domain.errors import IllegibleError, StorageError, StorageValueError
from claude_tasks.domain.instant import MINUTE_MS, to_rfc3339
from claude_tasks.domain.run import AT_ONCE, Outcome, Reason, State
from claude_tasks.domain.store_records import Finish
from claude_tasks.domain.task_fields import OnUsageLimit
from claude_tasks.domain.usage import NETWORK_PATIENCE_MS, learnt_from_run
from claude_tasks.execution.contract import EndedBy
from claude_tasks.execution.outcome import outcome_of
from claude_tasks.execution.run_log import log_path, write_run_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_tasks.domain.ports import OneDatabase
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.run_ports import RunStore
    from claude_tasks.domain.usage_ports import UsageStore
    from claude_tasks.execution.run_folder import RunFolder
    from claude_tasks.execution.watched import Ended

log = logging.getLogger(__name__)
ENDS_LOG = f"{__name__}.ends"
"""The logger that gets one line for the end of each run."""
_ends = logging.getLogger(ENDS_LOG)

_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_creation_tokens",
    "num_turns",
)
_LONGEST_BACKOFF_MS = 15 * 60 * 1000
_NO_ROOM_MS = 1000
_UNKNOWN_RESET_MS = 60 * 60 * 1000
_REARM_MS = (60 * 1000, 60 * 60 * 1000)
"""The shortest and the longest wait before a one-off that failed its preflight is tried again."""


if TYPE_CHECKING:

    class RecordingStore(RunStore, UsageStore, OneDatabase, Protocol):
        """The parts of the store that the recorder needs."""


class EndRules(NamedTuple):
    """The rules for runs that did not do their work.

    ``on_usage_limit`` applies where the task has no rule; ``waits_for_reset`` is whether a source
    tells when a limit is reset. The first retry comes after ``retry_backoff`` seconds.
    """

    on_usage_limit: OnUsageLimit
    waits_for_reset: bool
    retry_backoff: float

    @property
    def retry_backoff_ms(self) -> int:
        """The same in milliseconds."""
        return round(self.retry_backoff * 1000)


class Recorder:
    """Records ended claims. An end that the store refuses now is kept and tried again."""

    def __init__(self, store: RecordingStore, rules: EndRules, *, logs: str, node_id: str) -> None:
        """``store`` is used on the recording thread only; ``logs`` is a folder."""
        self._store = store
        self._node_id = node_id
        self._rules = rules
        self._logs = logs
        self._waiting: list[Ended] = []

    @property
    def waiting(self) -> bool:
        """Whether ends are still to be written."""
        return bool(self._waiting)

    def holds(self, run: Run) -> bool:
        """Whether the end of this run is still to be written."""
        return any(end.run.id == run.id for end in self._waiting)

    def record(self, ended: Sequence[Ended], *, at: int) -> int:
        """Write the ends of runs; how many.

        Errors: `StorageError`; all ends are kept for the next call.
        """
        self._waiting.extend(ended)
        if not self._waiting:
            return 0
        self._learn_usage(ended, at=at)
        settled = [self._settle_alone(end, at=at) for end in self._waiting]
        finishes = [finish for finish in settled if finish is not None]
        if finishes:
            self._store_ends(finishes, at=at)
        done, self._waiting = self._waiting, []
        for end in done:
            if not end.keeps_folder:
                _remove(end.folder)
        return len(done)

    def _learn_usage(self, ended: Sequence[Ended], *, at: int) -> None:
        """Record the usage windows that runs reported: they need no request."""
        for end in ended:
            try:
                self._learn_from(end, at=at)
            except StorageError:
                raise
            except Exception:
                log.exception("run %d: what it was told of usage makes no sense", end.run.id)

    def _learn_from(self, end: Ended, *, at: int) -> None:
        info, told_at = end.facts.transcript.rate_limit, end.facts.transcript.rate_limit_at
        if info is None or told_at is None or told_at > at:
            return  # in the future: the clock was set back since
        learnt = learnt_from_run(self._store.read_usage().reading, info, at=told_at)
        if learnt is not None:
            self._store.learn_reading(learnt, at=at)

    def _store_ends(self, finishes: list[Finish], *, at: int) -> None:
        try:
            self._store.finish_runs(finishes, at=at)
        except StorageValueError as error:
            for finish in finishes:
                try:
                    self._store.finish_runs([finish], at=at)
                except StorageValueError:
                    log.exception("run %d: its end cannot be stored as it is", finish.run_id)
                    self._store.finish_runs([_unstorable(finish, error)], at=at)

    def _settle_alone(self, end: Ended, *, at: int) -> Finish | None:
        """Settle one end; an unforeseen error does not stop the recording of the others."""
        try:
            return self._settle(end, at=at)
        except (IllegibleError, StorageValueError) as its_own:
            error: Exception = its_own
        except StorageError:
            raise
        except Exception as failure:  # noqa: BLE001 (logged below and kept on the row)
            error = failure
        log.error("run %d: what its end means is not clear", end.run.id, exc_info=error)
        outcome = Outcome(
            state=State.FAILED,
            reason=Reason.LOST,
            started_at=None,
            ended_at=at,
            error=f"what its end means is not clear: {error}",
        )
        return Finish(end.run.id, end.run.claim, outcome, None)

    def _settle(self, end: Ended, *, at: int) -> Finish | None:
        """The end of one claim; None when the run went back into the queue."""
        run = self._run_of(end, at=at)
        if run.state is not State.RUNNING or run.claim != end.run.claim:
            return None  # settled before a crash, or by another node
        if end.facts.ended_by is EndedBy.UNSTARTED:
            self._store.requeue_run(
                run.id,
                claim=run.claim,
                attempt=run.attempt,
                # With an error: the machine had no room for it a moment ago.
                not_before=AT_ONCE if end.facts.error is None else at + _NO_ROOM_MS,
                spent=None,
                at=at,
            )
            return None
        outcome = outcome_of(
            end.facts,
            at=at,
            timeout_seconds=end.snapshot.timeout_seconds,
            cancel_reason=run.cancel_reason,
        )
        outcome = _with_note_of_lost_session(run, _with_earlier_attempts(run, outcome))
        if self._goes_on(run, outcome, end, at=at):
            return None
        return self._finish(run, outcome, end)

    def _run_of(self, end: Ended, *, at: int) -> Run:
        """The run's row as it is now, None where it became unreadable meanwhile."""
        try:
            return self._store.get_run(end.run.id)
        except IllegibleError:
            if not self._store.mend_run(end.run.id, node_id=self._node_id, lives=True, at=at):
                raise
        return self._store.get_run(end.run.id)

    def _goes_on(self, run: Run, outcome: Outcome, end: Ended, *, at: int) -> bool:
        """Whether the run went back into the queue for another attempt."""
        if run.cancel_requested_at is not None:
            return False
        if run.resume_of is not None and outcome.session_gone:
            self._begin_anew(run, outcome, at=at)
        elif self._may_resume(run, outcome, end):
            self._resume(run, outcome, at=at)
        elif _may_wait_for_the_network(run, outcome, at=at):
            self._wait_for_the_network(run, outcome, at=at)
        elif self._may_retry(run, outcome, end):
            self._retry(run, outcome, at=at)
        else:
            return False
        return True

    def _finish(self, run: Run, outcome: Outcome, end: Ended) -> Finish:
        path: str | None = log_path(self._logs, run.task_id, run.id, outcome)
        assert path is not None
        try:
            write_run_log(path, end.snapshot, run, outcome)
        except OSError as error:
            note = f"the run log could not be written: {error.strerror}: {path}"
            log.warning("run %d: %s", run.id, note)
            said = f"{outcome.error}\n{note}" if outcome.error else note
            outcome, path = outcome._replace(error=said), None
        _log_end(run, outcome)
        return Finish(run.id, run.claim, outcome, path, rearm_at=_rearm_at(run, outcome))

    def _may_resume(self, run: Run, outcome: Outcome, end: Ended) -> bool:
        """Whether a run that met the usage limit goes on after the reset: once, in its session."""
        rule = end.snapshot.on_usage_limit or self._rules.on_usage_limit
        one_off = end.snapshot.is_one_off and run.trigger.is_tick
        if one_off and end.snapshot.on_usage_limit is None:
            rule = OnUsageLimit.DEFER
        return (
            outcome.reason is Reason.USAGE_LIMIT
            and self._rules.waits_for_reset
            and rule == OnUsageLimit.DEFER
            and run.resumes == 0
            and outcome.session_id is not None
        )

    def _resume(self, run: Run, outcome: Outcome, *, at: int) -> None:
        resets_at = max(at, outcome.resets_at or at + _UNKNOWN_RESET_MS)
        when = to_rfc3339(resets_at)
        log.warning("run %d met the usage limit: it goes on at %s", run.id, when)
        error = f"{outcome.error}; goes on in the same session at {when}"
        self._store.requeue_run(
            run.id,
            claim=run.claim,
            attempt=run.attempt + 1,
            not_before=resets_at,
            spent=outcome._replace(error=error),
            at=at,
            resumes=True,
        )

    def _begin_anew(self, run: Run, outcome: Outcome, *, at: int) -> None:
        """Where the session to resume is gone: queue the run again, with the task's prompt."""
        log.warning("run %d: its session is gone, it begins anew: %s", run.id, outcome.error)
        self._store.requeue_run(
            run.id,
            claim=run.claim,
            attempt=run.attempt + 1,
            not_before=AT_ONCE,
            spent=outcome._replace(error=f"{outcome.error}; {_BEGUN_ANEW}", session_id=None),
            at=at,
            anew=True,
        )

    def _wait_for_the_network(self, run: Run, outcome: Outcome, *, at: int) -> None:
        since = _unreachable_since(run, at=at)
        again = at + min(max(self._rules.retry_backoff_ms, 1000), MINUTE_MS)
        log.info("run %d: the network is away, tried again: %s", run.id, outcome.error)
        error = (
            f"attempt {run.attempt}: the network is away since {to_rfc3339(since)}: "
            f"{outcome.error}; tried again until {to_rfc3339(since + NETWORK_PATIENCE_MS)}"
        )
        self._store.requeue_run(
            run.id,
            claim=run.claim,
            attempt=run.attempt + 1,
            not_before=again,
            spent=outcome._replace(error=error),
            at=at,
            unreachable_since=since,
        )

    @staticmethod
    def _may_retry(run: Run, outcome: Outcome, end: Ended) -> bool:
        return outcome.transient and run.retries < end.snapshot.max_retries

    def _retry(self, run: Run, outcome: Outcome, *, at: int) -> None:
        delay = min(
            self._rules.retry_backoff_ms * 2**run.retries,
            _LONGEST_BACKOFF_MS,
        )
        log.info("run %d: attempt %d failed, again in %d ms", run.id, run.attempt, delay)
        error = f"attempt {run.attempt} failed: {outcome.error}"
        self._store.requeue_run(
            run.id,
            claim=run.claim,
            attempt=run.attempt + 1,
            not_before=at + delay,
            spent=outcome._replace(error=error),
            at=at,
            retries=1,
        )


def _rearm_at(run: Run, outcome: Outcome) -> int | None:
    """When a one-off that failed its preflight is due again: the wait grows with its age."""
    if outcome.reason is not Reason.PREFLIGHT or run.tick is None:
        return None
    shortest, longest = _REARM_MS
    return outcome.ended_at + min(max(outcome.ended_at - run.tick, shortest), longest)


def _unreachable_since(run: Run, *, at: int) -> int:
    """When the run first met an unreachable network; an instant in the future is ignored."""
    since = run.unreachable_since
    return at if since is None or since > at else since


def _may_wait_for_the_network(run: Run, outcome: Outcome, *, at: int) -> bool:
    """Whether to retry without counting a failure: a machine that woke up has no network yet."""
    return outcome.unreachable and at < _unreachable_since(run, at=at) + NETWORK_PATIENCE_MS


_BEGUN_ANEW = (
    "the session that the usage limit interrupted was gone: "
    "the run was begun anew, with its own prompt"
)


def _with_note_of_lost_session(run: Run, outcome: Outcome) -> Outcome:
    if not run.resumes or run.resume_of is not None:
        return outcome
    return outcome._replace(
        error=f"{outcome.error}\n{_BEGUN_ANEW}" if outcome.error else _BEGUN_ANEW
    )


def _remove(folder: RunFolder) -> None:
    """Remove the folder; a later pass retries where that fails."""
    try:
        folder.remove()
    except OSError as error:
        log.warning("%s cannot be removed: %s", folder.path, error)


def _log_end(run: Run, outcome: Outcome) -> None:
    name = f'run {run.id} of task {run.task_id} "{run.task_name}"'
    if outcome.state is State.COMPLETED:
        _ends.info("%s completed", name)
    else:
        detail = (outcome.error or "").split("\n", 1)[0]
        _ends.warning("%s %s (%s): %s", name, outcome.state, outcome.reason, detail)


def _with_earlier_attempts(run: Run, outcome: Outcome) -> Outcome:
    """The outcome with the cost of all attempts of the run.

    A run that resumed its session already reports the cost of the whole session.
    """
    sums: dict[str, Any] = {}
    for name in ("cost_usd", *_COUNTS):
        spent, now = getattr(run, name), getattr(outcome, name)
        sums[name] = now if spent is None else spent if now is None else spent + now
    if run.resume_of is not None and None not in (run.cost_usd, outcome.cost_usd):
        sums["cost_usd"] = max(run.cost_usd or 0.0, outcome.cost_usd or 0.0)
    return outcome._replace(**sums)


def _unstorable(finish: Finish, error: StorageError) -> Finish:
    """What to record where the database refuses a record: only its end, so that the run is over."""
    outcome = Outcome(
        state=State.FAILED,
        reason=Reason.AGENT_ERROR,
        started_at=finish.outcome.started_at,
        ended_at=finish.outcome.ended_at,
        error=f"what the agent reported could not be stored ({error}); the run log has it",
    )
    return finish._replace(outcome=outcome)
