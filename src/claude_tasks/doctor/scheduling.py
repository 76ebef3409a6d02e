"""Who schedules, what runs, and whether all of them are of one version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.doctor.finding import cannot_be_read, failed, passed, shell, some, warned
from claude_tasks.domain.instant import human_duration

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

_START = "claude-tasks daemon"
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
        return warned(name, f"none holds it (epoch {lease.epoch}): {_nobody()}", _START)
    return _held(contents, lease, machine, at)


def _held(contents: Contents, lease: Lease, machine: MachineFacts, at: int) -> Finding:
    """By a node that lives, is dead, or of which it cannot be told."""
    name = "scheduler_lease"
    holder = _node(contents, lease.holder)
    text = _holder(lease, at)
    is_late = lease.renewed_at is not None and at - lease.renewed_at > lease.ttl_ms
    if holder is not None and holder.alive:
        return (
            _late(contents, lease, holder, machine, at)
            if is_late
            else passed(name, f"{text}; that node lives")
        )
    if holder is not None and holder.alive is None:
        text = f"{text}; whether that node lives cannot be told: its lock may not be looked at"
        return warned(name, f"stale: {text}; look as its user") if is_late else passed(name, text)
    text = f"{text}; that node is dead"
    if _standing_by(contents):
        return passed(name, f"{text}, a living one is about to take over")
    return warned(name, f"stale: {text}, and {_nobody()}", _START)


def _late(
    contents: Contents, lease: Lease, holder: NodeFact, machine: MachineFacts, at: int
) -> Finding:
    """It lives, and hangs. What hangs hears no SIGTERM. Runs outlive their daemon."""
    name = "scheduler_lease"
    text = f"stale: {_holder(lease, at)}; that node lives, but has not renewed it in time"
    end = _order(holder, machine, "kill -9")
    if not holder.is_process:
        text = f"{text}; process {holder.node.pid} could not be matched to it, so look first"
    if _standing_by(contents, without=holder.node.id):
        return warned(name, f"{text}; another node takes over", end)
    return failed(name, f"{text}, and no other stands by", end)


def check_runs(database: DatabaseFacts) -> Finding:
    """None that reads as running with nobody watching; none lost; no task that always fails."""
    name = "runs"
    contents = database.contents
    if contents is None:
        return _unread(name, database, none_yet="none yet")
    illegible = contents.what_is_illegible("runs")
    if illegible:
        return failed(name, cannot_be_read(illegible))
    found = [(_run_names(runs), words, fix) for runs, words, fix in _stuck(contents)] + [
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
    fix = next(command for which, _, command in found if which)
    return warned(name, "; ".join(texts), fix)


def _stuck(contents: Contents) -> list[tuple[list[RunningFact], str, str]]:
    """Runs that do not go on, why, and what helps: a node adopts or ends what it finds."""
    running = [run for run in contents.running if run.queued_for_ms is None]
    queued = [run for run in contents.running if run.queued_for_ms is not None]
    led = _standing_by(contents)
    help_ = "claude-tasks runs --state running" if led else _START
    waiting = "claude-tasks runs --state queued" if led else _START
    orphaned = [run for run in queued if not run.watched and not led]
    long = [run for run in queued if run not in orphaned and (run.queued_for_ms or 0) > LONG_MS]
    return [
        (
            [run for run in running if not run.watched],
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
    return warned(name, text, _order(others[0], machine, "kill"))


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
        return bool(entry.alive) and entry.node.scheduler and entry.node.id != without

    return any(map(counts, contents.nodes))


def _runs_of(contents: Contents) -> str:
    return shell("claude-tasks", "runs", str(contents.failing[0][0])) if contents.failing else ""


def _order(fact: NodeFact, machine: MachineFacts, order: str) -> str:
    """An order to the node's process; where that is not known for certain, only a look at it."""
    node = fact.node
    if fact.is_process:
        return f"{order} {node.pid}"
    where = "" if node.host == machine.host else f"ssh {shell(node.host)} "
    return f"{where}ps -o pid,user,lstart,args -p {node.pid}"
