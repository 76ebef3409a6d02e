"""Why a task did or did not run: everything that decides it, one finding after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.hint import Command, Hint
from claude_tasks.domain.instant import human_duration, to_rfc3339
from claude_tasks.domain.permission import denied_text, permitted
from claude_tasks.domain.run import Run, State
from claude_tasks.domain.schedule.zones import in_zone, shown_zone
from claude_tasks.domain.signs import UNRECORDED_MS
from claude_tasks.domain.store_records import RunFilter
from claude_tasks.domain.task_schedule import schedule_of, schedule_problem
from claude_tasks.operations.clock_text import is_felt, own, step_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_tasks.domain.ports import Store
    from claude_tasks.domain.signs import ClaimSigns, Signs
    from claude_tasks.domain.task import Task
    from claude_tasks.operations.status import Status
    from claude_tasks.operations.usage import UsageOperations

_LAST_TICKS = 5


class Circumstance(NamedTuple):
    """One line of an explanation: ``stands_in_the_way`` marks what keeps a task from running."""

    topic: str
    text: str
    stands_in_the_way: bool = False


class Explanation(NamedTuple):
    """Why a task did or did not run."""

    task: Task
    findings: list[Circumstance]
    last_runs: list[Run]


class Explainer:
    """Explains; changes nothing."""

    def __init__(self, store: Store, usage: UsageOperations, signs: Signs) -> None:
        """``signs`` looks at this machine."""
        self._store = store
        self._usage = usage
        self._signs = signs

    def explain(self, task_id: int, status: Status) -> Explanation:
        """All of one task, deleted or not; ``status`` has the rest. Errors: `NotFoundError`."""
        task = self._store.get_task(task_id, include_deleted=True)
        findings: list[Circumstance | None] = [
            _schedule(task),
            _switch(task, status),
            _next(task, status),
            *_clock(task, status),
            _leader(status),
            _agent(status),
            _usage(status),
            *self._queue(task, status),
        ]
        last = self._store.list_runs(RunFilter(task_id=task_id, limit=_LAST_TICKS))
        findings.append(_denied(task, last))
        return Explanation(task, [finding for finding in findings if finding], last)

    def _queue(self, task: Task, status: Status) -> list[Circumstance]:
        running = [run for run in status.running if run.task_id == task.id]
        queued = [run for run in status.queued if run.task_id == task.id]
        findings = []
        if running:
            ids = ", ".join(str(run.id) for run in running)
            findings.append(
                Circumstance("running", f"run {ids}; overlap rule: {task.spec.overlap}")
            )
            findings += self._standing_still(running, status)
        if queued:
            ids = ", ".join(str(run.id) for run in queued)
            full = len(status.running) >= status.max_concurrent_runs
            word = "word about usage" if self._usage.is_stale() else None
            why = _waits_for(queued[-1], status, full=full, running=bool(running), word=word)
            findings.append(
                Circumstance("queue", f"run {ids} waits for {why}", stands_in_the_way=full)
            )
        used = f"{len(status.running)} of {status.max_concurrent_runs} runs at once"
        own = task.spec.max_concurrency
        per_task = f", {own} of this task" if own else ""
        findings.append(Circumstance("limits", used + per_task))
        return findings

    def _standing_still(self, running: list[Run], status: Status) -> list[Circumstance]:
        """Runs of it that are over, or should be; and those whose node hangs."""
        hung = {entry.node.id: entry for entry in status.nodes if entry.hung and not entry.leads}
        texts = [_of_signs(run, self._signs.of_claim(run, at=status.at)) for run in running]
        texts += [
            Hint(f"run {run.id} is with ", hung[run.claimed_by].how_it_hangs())
            for run in running
            if run.claimed_by in hung
        ]
        return [Circumstance("running", text, stands_in_the_way=True) for text in texts if text]


def _schedule(task: Task) -> Circumstance:
    problem = schedule_problem(task)
    if problem is not None:
        text = Hint(f"{task.spec.cron_expr!r}: {problem.text}; ", problem.mend(task))
        return Circumstance("schedule", text, stands_in_the_way=True)
    return Circumstance("schedule", schedule_of(task).describe())


def _switch(task: Task, status: Status) -> Circumstance:
    if task.deleted_at is not None:
        back = Hint("deleted; ", Command("restore", task.id), " brings it back")
        return Circumstance("enabled", back, stands_in_the_way=True)
    if task.spec.enabled:
        return Circumstance("enabled", "yes")
    if task.is_one_off and task.cursor_at >= (task.spec.scheduled_at or 0):
        text = "no: a one-off whose time has passed"
        if task.spec.scheduled_at is not None and task.spec.scheduled_at > status.at:
            skipped = own(status.clock_troubles, task) is not None
            text = f"no: a one-off that was {'skipped' if skipped else 'taken'} ahead of its time"
        return Circumstance("enabled", text, stands_in_the_way=True)
    on = Hint("no; ", Command("enable", task.id), " switches it on")
    return Circumstance("enabled", on, stands_in_the_way=True)


def _next(task: Task, status: Status) -> Circumstance:
    tick = task.next_run_at
    if tick is None:
        return Circumstance("next tick", "none", stands_in_the_way=True)
    when = in_zone(tick, shown_zone(task.spec.timezone))
    if tick > status.at:
        return Circumstance("next tick", f"{when}, in {human_duration(tick - status.at)}")
    text = f"{when}: due for {human_duration(status.at - tick)}, waiting for a leader"
    return Circumstance("next tick", text, stands_in_the_way=not status.is_led)


def _clock(task: Task, status: Status) -> list[Circumstance]:
    """What a clock that was ahead did to the task, and what it still means."""
    found = own(status.clock_troubles, task)
    if found is not None:
        text = Hint(f"it {found.text}: ", found.fix)
        return [Circumstance("clock", text, stands_in_the_way=True)]
    step = status.clock_step
    if step is None or not is_felt(step, at=status.at):
        return []
    return [Circumstance("clock", step_text(step))]


def _leader(status: Status) -> Circumstance:
    leading = status.leading
    if leading is not None and leading.hung:
        return Circumstance("leader", leading.how_it_hangs(), stands_in_the_way=True)
    leader, lease = status.leader, status.lease
    if leader is None or lease is None:
        text = f"nobody schedules{_in_brackets(status.lease_problem)}"
        if not status.stands_by:
            text = Hint(text, "; start one with: ", Command("daemon"))
        return Circumstance("leader", text, stands_in_the_way=True)
    text = f"{leader.role} pid {leader.pid} on {leader.host}, epoch {lease.epoch}"
    return Circumstance("leader", text)


def _agent(status: Status) -> Circumstance:
    problem = status.agent_problem
    if problem is None:
        return Circumstance("agent", status.agent or "")
    if status.leader is not None:  # it has an environment of its own
        return Circumstance("agent", f"not found from here, the leader may know better: {problem}")
    return Circumstance("agent", problem, stands_in_the_way=True)


def _usage(status: Status) -> Circumstance | None:
    if status.usage_obstacle is None:
        return None
    return Circumstance("usage", status.usage_obstacle, stands_in_the_way=True)


def _in_brackets(text: str | None) -> str:
    return f" ({text})" if text else ""


def _of_signs(run: Run, signs: ClaimSigns) -> str | None:
    """What is wrong with a running run, and what helps; None while nothing is."""
    if signs.ended_ms is not None and signs.ended_ms > UNRECORDED_MS:
        ago = human_duration(signs.ended_ms // 1000 * 1000)
        text = f"run {run.id} ended {ago} ago, but is not recorded: "
        return Hint(text, Command("doctor", "runs", "nodes"))
    if signs.silent_ms is None:
        return None
    past = human_duration(signs.silent_ms // 1000 * 1000)
    text = f"run {run.id} should have ended {past} ago, process {signs.pid}"
    if signs.stall is None:
        return f"{text} is left of it: kill -9 {signs.pid}"
    return f"{text} {signs.stall.why}" + (f"; {signs.stall.command}" if signs.stall.command else "")


def _denied(task: Task, last: Sequence[Run]) -> Circumstance | None:
    """What was denied to the last completed or failed run, and what would allow exactly that."""
    worked = [run for run in last if run.state in (State.COMPLETED, State.FAILED)]
    if not worked or not worked[0].permission_denials:
        return None
    text = denied_text(permitted(task), worked[0].permission_denials)
    return Circumstance("denied", Hint(f"run {worked[0].id}: ", text))


def _waits_for(run: Run, status: Status, *, full: bool, running: bool, word: str | None) -> str:
    """What the oldest queued run of a task is waiting for."""
    if run.not_before > status.at and (run.deferred_until or run.unreachable_since) is not None:
        return str(run.error)
    if run.not_before > status.at:
        what = "its next attempt" if run.attempt > 1 else "its start (jitter)"
        return f"{what} at {to_rfc3339(run.not_before)}"
    if full:
        return "a free place: the limit of concurrent runs is reached"
    if running:
        return "the run before it to end"
    if word is not None and status.nodes:
        return word
    return "a node to execute it" if not status.nodes else "the next look of its node"
