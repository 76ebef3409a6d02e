"""Who schedules, what runs, and whether all of them are of one version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.doctor.finding import cannot_be_read, failed, passed, shell, some, warned
from claude_tasks.doctor.nodes import order, wake_up
from claude_tasks.domain.instant import human_duration
from claude_tasks.domain.signs import UNRECORDED_MS

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import (
        Contents,
        DatabaseFacts,
        MachineFacts,
        NodeFact,
        RunningFact,
    )
    from claude_tasks.doctor.finding import Finding
    from claude_tasks.domain.lease import Lease

    _Stuck = tuple[list[RunningFact], str, str | None]
    """Runs, what is said of them, the command that helps."""

_START = "claude-tasks daemon"
_TICK_SLACK_MS = 5_000
"""Beyond the ttl that a takeover may take, a tick becomes a row within this."""
LONG_MS = 3_600_000
"""A run that waits for longer is worth a look."""
_MOST_READ = 1000
"""So many runs are read at most."""


def check_scheduler_lease(database: DatabaseFacts, machine: MachineFacts, *, at: int) -> Finding:
    """Held by a node that lives and renews it."""
    name = "scheduler_lease"
    contents = database.contents
    if contents is None:
        return _unread(name, database, none_yet=f"none yet: {_nobody()}", fix=_START)
    lease = contents.lease
    illegible = contents.what_is_illegible("lease", "nodes")
    if lease is None or illegible:
        return failed(name, cannot_be_read(illegible))
    if lease.holder is None:
        if _standing_by(contents):
            return passed(name, f"free (epoch {lease.epoch}), about to be taken by a living node")
        return _unled(contents, f"none holds it (epoch {lease.epoch}): {_nobody()}", at)
    return _held(contents, lease, machine, at)


def _unled(contents: Contents, text: str, at: int) -> Finding:
    """Nobody schedules: that waits until somebody has a task that should run."""
    armed = sorted(it.task.next_run_at for it in contents.tasks if it.task.next_run_at is not None)
    if not armed:
        return warned("scheduler_lease", text, _START)
    tasks = "a task waits" if len(armed) == 1 else f"{len(armed)} tasks wait"
    text = f"{text}, and {tasks} for it"
    if armed[0] < at:
        text = f"{text}, the first tick was due {_age(armed[0], at)}"
        return failed("scheduler_lease", text, _START)
    return warned("scheduler_lease", text, _START)._replace(reservation=_nobody())


def _behind(contents: Contents, lease: Lease, at: int) -> Finding | None:
    """It renews the lease, and ticks that were due long ago have no row."""
    due = [
        fact.task
        for fact in contents.tasks
        if fact.task.next_run_at is not None
        and fact.task.next_run_at < at - lease.ttl_ms - _TICK_SLACK_MS
    ]
    if not due:
        return None
    oldest = min(due, key=lambda task: task.next_run_at or 0)
    text = (
        f"{_holder(lease, at)}; that node lives, but {len(due)} of {len(contents.tasks)} tasks"
        f" are overdue, {oldest.id} was due {_age(oldest.next_run_at, at)}; its log says why"
    )
    return failed("scheduler_lease", text, f"claude-tasks why {oldest.id}")


def _held(contents: Contents, lease: Lease, machine: MachineFacts, at: int) -> Finding:
    """By a node that lives, is dead, or of which it cannot be told."""
    name = "scheduler_lease"
    holder = _node(contents, lease.holder)
    text = _holder(lease, at)
    is_late = lease.renewed_at is not None and at - lease.renewed_at > lease.ttl_ms
    if holder is not None and holder.alive:
        if holder.silent_ms is not None:  # a leader moves its beat with the lease
            return _late(contents, lease, holder, machine, at)
        return _behind(contents, lease, at) or passed(name, f"{text}; that node lives")
    if holder is not None and holder.alive is None:
        text = f"{text}; whether that node lives cannot be told: its lock may not be looked at"
        return warned(name, f"stale: {text}; look as its user") if is_late else passed(name, text)
    text = f"{text}; that node is dead"
    if _standing_by(contents):
        return passed(name, f"{text}, a living one is about to take over")
    return _unled(contents, f"stale: {text}, and {_nobody()}", at)


def _late(
    contents: Contents, lease: Lease, holder: NodeFact, machine: MachineFacts, at: int
) -> Finding:
    """It lives, and hangs. What hangs hears no SIGTERM. Runs outlive their daemon."""
    name = "scheduler_lease"
    text = f"stale: {_holder(lease, at)}; that node lives, but has not renewed it in time"
    help_ = order(holder, machine, "kill -9")
    if holder.stall is not None:
        text = f"{text}: it {holder.stall.why}"
        if holder.stall.command is not None:
            text, help_ = f"{text} ({help_} ends it instead)", holder.stall.command
    if not holder.is_process:
        text = f"{text}; process {holder.node.pid} could not be matched to it, so look first"
    if _standing_by(contents, without=holder.node.id):
        return warned(name, f"{text}; another node takes over", help_)
    return failed(name, f"{text}, and no other stands by", help_)


def check_runs(database: DatabaseFacts, machine: MachineFacts) -> Finding:
    """None that reads as running with nobody watching; none lost; no task that always fails.

    FAIL where one stays so until somebody does something.
    """
    name = "runs"
    contents = database.contents
    if contents is None:
        return _unread(name, database, none_yet="none yet")
    illegible = contents.what_is_illegible("runs")
    if illegible:
        return failed(name, cannot_be_read(illegible))
    leadership = _standing_still(contents, machine)
    found = [
        (_run_names(runs), words, fix) for runs, words, fix in (*leadership, *_stuck(contents))
    ] + [
        (
            [f'{run_id} "{task}"' for run_id, task in contents.lost],
            "lost in the last day (nobody saw how it ended): run",
            "claude-tasks runs",
        ),
        (
            [f'{task_id} "{task}"' for task_id, task in contents.failing],
            "its last 5 runs all failed: task",
            _runs_of(contents),
        ),
    ]
    texts = [f"{words} {_several(which)}" for which, words, _ in found if which]
    if not texts:
        running = sum(run.queued_for_ms is None for run in contents.running)
        return passed(name, f"{running} running, all watched")
    fix = next((command for which, _, command in found if which and command), None)
    return (failed if any(runs for runs, _, _ in leadership) else warned)(
        name, "; ".join(texts), fix
    )


def _standing_still(contents: Contents, machine: MachineFacts) -> list[_Stuck]:
    """Runs that are over, or should be, and will not be recorded as such by themselves."""
    running = [run for run in contents.running if run.queued_for_ms is None]
    ended = [run for run in running if (run.signs.ended_ms or 0) > UNRECORDED_MS]
    silent = [run for run in running if run.signs.silent_ms is not None]
    return [
        (ended, "ended, but not recorded: run", _who_records(contents, ended, machine)),
        (silent, *_what_ends(silent)),
    ]


def _who_records(contents: Contents, ended: list[RunningFact], machine: MachineFacts) -> str | None:
    """The node that holds it is to go on, or to be ended; where there is none, one is started."""
    holder = _node(contents, ended[0].node_id) if ended else None
    if holder is not None and holder.silent_ms is not None and not _standing_by(contents):
        return wake_up(holder, machine)
    return "claude-tasks status" if _standing_by(contents) else _START


def _what_ends(silent: list[RunningFact]) -> tuple[str, str | None]:
    """What is said of silent ones, and the command that ends the first of them."""
    if not silent:
        return "", None
    signs = silent[0].signs
    past = human_duration((signs.silent_ms or 0) // 1000 * 1000)
    words = f"should have ended {past} ago, process {signs.pid}"
    if signs.stall is None:
        return f"{words} is left of it: run", f"kill -9 {signs.pid}"
    return f"{words} {signs.stall.why}: run", signs.stall.command


def _stuck(contents: Contents) -> list[_Stuck]:
    """Runs that do not go on, why, and what helps: a node adopts or ends what it finds."""
    running = [run for run in contents.running if run.queued_for_ms is None]
    queued = [run for run in contents.running if run.queued_for_ms is not None]
    led = _standing_by(contents)
    help_ = "claude-tasks runs --state running" if led else _START
    waiting = "claude-tasks runs --state queued" if led else _START
    orphaned = [run for run in queued if not run.watched and not led]
    unwatched = [run for run in running if not run.watched and run.signs.ended_ms is None]
    long = [run for run in queued if run not in orphaned and (run.queued_for_ms or 0) > LONG_MS]
    return [
        (
            unwatched,
            "running, but the node that watched it is dead: run",
            help_,
        ),
        (orphaned, "queued for a node that is dead: run", waiting),
        (long, "queued for more than an hour: run", waiting),
    ]


def _run_names(runs: list[RunningFact]) -> list[str]:
    return [f'{run.run_id} "{run.task_name}"' for run in runs]


def _several(which: list[str]) -> str:
    return some(which, at_least=len(which) >= _MOST_READ)


def check_versions(database: DatabaseFacts, machine: MachineFacts) -> Finding:
    """Every living node is of this version: an older one keeps doing what was mended since."""
    name = "versions"
    contents = database.contents
    if contents is None:
        return _unread(name, database, none_yet="none yet: no node lives")
    illegible = contents.what_is_illegible("nodes")
    if illegible:
        return failed(name, cannot_be_read(illegible))
    living = [entry for entry in contents.nodes if entry.alive]
    others = [entry for entry in living if entry.node.version != machine.version]
    if not others:
        nodes = "node" if len(living) == 1 else "nodes"
        return passed(name, f"{machine.version}; {len(living)} living {nodes}")
    texts = [
        f"{node.role} {node.pid} on {node.host} is {node.version}"
        for node in (entry.node for entry in others)
    ]
    text = f"this is {machine.version}, but {some(texts)}; stop it and start it again: runs go on"
    return warned(name, text, order(others[0], machine, "kill"))


def _unread(
    name: str, database: DatabaseFacts, *, none_yet: str, fix: str | None = None
) -> Finding:
    """Without contents: nothing there yet, or nothing that could be read."""
    if not database.exists or (database.trouble is None and database.schema == 0):
        return passed(name, none_yet) if fix is None else warned(name, none_yet, fix)
    return warned(name, f"not looked at: {database.unread} (see database)")


def _nobody() -> str:
    return "nobody schedules"


def _holder(lease: Lease, at: int) -> str:
    """Who, in which term, how fresh."""
    who = f"{lease.role} {lease.pid} on {lease.host}"
    return f"{who}, epoch {lease.epoch}, renewed {_age(lease.renewed_at, at)}"


def _age(then: int | None, at: int) -> str:
    if then is None:
        return "never"
    seconds = max(0, at - then) // 1000
    return f"{human_duration(seconds * 1000)} ago" if seconds else "just now"


def _node(contents: Contents, node_id: str | None) -> NodeFact | None:
    return next((entry for entry in contents.nodes if entry.node.id == node_id), None)


def _standing_by(contents: Contents, *, without: str = "") -> bool:
    """Whether a node lives that may take the lease."""

    def counts(entry: NodeFact) -> bool:
        return entry.works and entry.node.scheduler and entry.node.id != without

    return any(map(counts, contents.nodes))


def _runs_of(contents: Contents) -> str:
    return shell("claude-tasks", "runs", str(contents.failing[0][0])) if contents.failing else ""
