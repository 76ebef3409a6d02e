"""Who schedules, what runs, and whether all of them are of one version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.doctor.finding import failed, passed, shell, some, warned
from claude_tasks.domain.instant import human_duration

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import Contents, DatabaseFacts, MachineFacts, NodeFact
    from claude_tasks.doctor.finding import Finding
    from claude_tasks.domain.lease import Lease
    from claude_tasks.domain.node import Node

_START = "claude-tasks daemon"


def check_scheduler_lease(database: DatabaseFacts, machine: MachineFacts, *, at: int) -> Finding:
    """Held by a node that lives and renews it."""
    name = "scheduler_lease"
    contents = database.contents
    if contents is None:
        return _unread(name, database, none_yet=f"none yet: {_nobody()}", fix=_START)
    if contents.lease.holder is None:
        epoch = contents.lease.epoch
        if _standing_by(contents):
            return passed(name, f"free (epoch {epoch}), about to be taken by a living node")
        return warned(name, f"none holds it (epoch {epoch}): {_nobody()}", _START)
    if _lives(contents, contents.lease.holder):
        return _held(contents, contents.lease.holder, machine, at)
    text = f"{_holder(contents.lease, at)}; that node is dead"
    if _standing_by(contents):
        return passed(name, f"{text}, a living one is about to take over")
    return warned(name, f"stale: {text}, and {_nobody()}", _START)


def _held(contents: Contents, holder: str, machine: MachineFacts, at: int) -> Finding:
    """By a living node, which may hang all the same."""
    name, lease = "scheduler_lease", contents.lease
    text = f"{_holder(lease, at)}; that node lives"
    if lease.renewed_at is None or at - lease.renewed_at <= lease.ttl_ms:
        return passed(name, text)
    stale = f"stale: {text}, but has not renewed it for longer than its ttl"
    if _standing_by(contents, without=holder):
        return warned(name, f"{stale}; another node takes over", _end(lease, machine))
    return failed(name, f"{stale}, and no other stands by", _end(lease, machine))


def check_runs(database: DatabaseFacts) -> Finding:
    """None that reads as running with nobody watching; none lost; no task that always fails."""
    name = "runs"
    contents = database.contents
    if contents is None:
        return _unread(name, database, none_yet="none yet")
    stuck = [f'{run.run_id} "{run.task_name}"' for run in contents.running if not run.watched]
    lost = [f'{run_id} "{task}"' for run_id, task in contents.lost]
    failing = [f'{task_id} "{task}"' for task_id, task in contents.failing]
    found = [
        (stuck, "running, but the node that watched it is dead: run", _settle(contents)),
        (lost, "lost in the last day (nobody saw how it ended): run", "claude-tasks runs"),
        (failing, "its last 5 runs all failed: task", _runs_of(contents)),
    ]
    texts = [f"{words} {some(which)}" for which, words, _ in found if which]
    if not texts:
        return passed(name, f"{len(contents.running)} running, all watched")
    fix = next(command for which, _, command in found if which)
    return warned(name, "; ".join(texts), fix)


def check_versions(database: DatabaseFacts, machine: MachineFacts) -> Finding:
    """Every living node is of this version: an older one keeps doing what was mended since."""
    name = "versions"
    contents = database.contents
    if contents is None:
        return _unread(name, database, none_yet="none yet: no node lives")
    living = [entry.node for entry in contents.nodes if entry.alive]
    others = [node for node in living if node.version != machine.version]
    if not others:
        nodes = "node" if len(living) == 1 else "nodes"
        return passed(name, f"{machine.version}; {len(living)} living {nodes}")
    texts = [f"{node.role} {node.pid} on {node.host} is {node.version}" for node in others]
    text = f"this is {machine.version}, but {some(texts)}"
    return warned(name, text, _restart(others[0], machine))


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
    return f"{human_duration(max(0, at - then) // 1000 * 1000)} ago"


def _lives(contents: Contents, node_id: str) -> bool:
    return any(entry.alive and entry.node.id == node_id for entry in contents.nodes)


def _standing_by(contents: Contents, *, without: str = "") -> bool:
    """Whether a node lives that may take the lease."""

    def counts(entry: NodeFact) -> bool:
        return entry.alive and entry.node.scheduler and entry.node.id != without

    return any(map(counts, contents.nodes))


def _settle(contents: Contents) -> str:
    """Any look records what ended while nobody lived; beside a living node that is its work."""
    if any(entry.alive for entry in contents.nodes):
        return "claude-tasks runs --state running"
    return "claude-tasks status"


def _runs_of(contents: Contents) -> str:
    return shell("claude-tasks", "runs", str(contents.failing[0][0])) if contents.failing else ""


def _end(lease: Lease, machine: MachineFacts) -> str:
    """What hangs hears no SIGTERM. Runs outlive their daemon."""
    where = "" if lease.host == machine.host else f"ssh {shell(str(lease.host))} "
    return f"{where}kill -9 {lease.pid}"


def _restart(node: Node, machine: MachineFacts) -> str:
    where = "" if node.host == machine.host else f"ssh {shell(node.host)} "
    return f"{where}kill {node.pid}  # then start the {node.role} again; its runs go on"
