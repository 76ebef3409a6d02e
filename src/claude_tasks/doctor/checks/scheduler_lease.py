"""Who holds the lease, and whether that node lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.doctor.finding import (
    failed,
    passed,
    warned,
)
from claude_tasks.doctor.node_help import (
    START,
    illegible,
    node_of,
    order,
    standing_by,
    unread,
)
from claude_tasks.domain.hint import Command
from claude_tasks.domain.instant import human_duration

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import (
        Contents,
        DatabaseFacts,
        MachineFacts,
        NodeFact,
    )
    from claude_tasks.doctor.finding import Finding
    from claude_tasks.domain.lease import Lease


_TICK_SLACK_MS = 5_000
"""Beyond the ttl that a takeover may take, a tick becomes a row within this."""


def judge(database: DatabaseFacts, machine: MachineFacts, *, at: int) -> Finding:
    """Held by a node that lives and renews it."""
    name = "scheduler_lease"
    contents = database.contents
    if contents is None:
        return unread(name, database, none_yet=f"none yet: {_nobody()}", fix=START)
    lease = contents.lease
    if contents.what_is_illegible("nodes"):
        return illegible(name, contents, "nodes")
    if lease is None:
        return illegible(name, contents, "lease")
    if lease.holder is None:
        if standing_by(contents):
            return passed(name, f"free (epoch {lease.epoch}), about to be taken by a living node")
        return _unled(contents, f"none holds it (epoch {lease.epoch}): {_nobody()}", at)
    return _held(contents, lease, machine, at)


def _unled(contents: Contents, text: str, at: int) -> Finding:
    """The finding where no node schedules: a failure only once a task should run."""
    armed = sorted(it.task.next_run_at for it in contents.tasks if it.task.next_run_at is not None)
    if not armed:
        return warned("scheduler_lease", text, START)
    tasks = "a task waits" if len(armed) == 1 else f"{len(armed)} tasks wait"
    text = f"{text}, and {tasks} for it"
    if armed[0] < at:
        text = f"{text}, the first tick was due {_age(armed[0], at)}"
        return failed("scheduler_lease", text, START)
    return warned("scheduler_lease", text, START)._replace(reservation=_nobody())


def _behind(contents: Contents, lease: Lease, at: int) -> Finding | None:
    """The finding where a leader renews the lease, but overdue ticks have no row."""
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
    return failed("scheduler_lease", text, Command("why", oldest.id))


def _held(contents: Contents, lease: Lease, machine: MachineFacts, at: int) -> Finding:
    """The finding about a held lease: its node lives, is dead, or cannot be checked."""
    name = "scheduler_lease"
    holder = node_of(contents, lease.holder)
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
    if standing_by(contents):
        return passed(name, f"{text}, a living one is about to take over")
    return _unled(contents, f"stale: {text}, and {_nobody()}", at)


def _late(
    contents: Contents, lease: Lease, holder: NodeFact, machine: MachineFacts, at: int
) -> Finding:
    """The finding where the holder hangs. It needs KILL, not TERM; its runs go on."""
    name = "scheduler_lease"
    text = f"stale: {_holder(lease, at)}; that node lives, but has not renewed it in time"
    help_ = order(holder, machine, "kill -9")
    if holder.stall is not None:
        text = f"{text}: it {holder.stall.why}"
        if holder.stall.waits:
            return failed(name, text, holder.stall.command)
        if holder.stall.command is not None:
            text, help_ = f"{text} ({help_} ends it instead)", holder.stall.command
    if not holder.is_process:
        text = f"{text}; process {holder.node.pid} could not be matched to it, so look first"
    if standing_by(contents, without=holder.node.id):
        return warned(name, f"{text}; another node takes over", help_)
    return failed(name, f"{text}, and no other stands by", help_)


def _nobody() -> str:
    return "nobody schedules"


def _holder(lease: Lease, at: int) -> str:
    """Who, in which term, how fresh."""
    who = f"{lease.role} {lease.pid} on {lease.host}"
    if lease.role is None or lease.pid is None or lease.host is None:
        who = f"node {lease.holder}"  # its row was repaired, and holds no more
    return f"{who}, epoch {lease.epoch}, renewed {_age(lease.renewed_at, at)}"


def _age(then: int | None, at: int) -> str:
    if then is None:
        return "never"
    seconds = max(0, at - then) // 1000
    return f"{human_duration(seconds * 1000)} ago" if seconds else "just now"
