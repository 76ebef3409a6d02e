"""``status``: who schedules, what waits, what runs."""

from __future__ import annotations

from claude_tasks.cli.results import Result
from claude_tasks.domain.hint import Command, Hint, joined
from claude_tasks.text.blocks import Column, Pairs, Table, Toned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context
    from claude_tasks.doctor.finding import Report
    from claude_tasks.domain.run import Run
    from claude_tasks.operations.status import NodeStatus, Status
    from claude_tasks.text.blocks import Block

DESCRIPTION = "Exits 0 whenever it can be read."
EXAMPLES = """
claude-tasks status
claude-tasks status --json | jq .leader
"""
_NODE_COLUMNS = (
    Column("NODE"),
    Column("ROLE"),
    Column("PID", right=True),
    Column("HOST", flexible=1),
    Column("STANDING"),
    Column("UP FOR", right=True),
    Column("VERSION", droppable=True),
)
_RUN_COLUMNS = (
    Column("RUN", right=True),
    Column("TASK", flexible=1),
    Column("SINCE"),
    Column("WAITS FOR", flexible=3, droppable=True),
)
_SHORT_ID = 8
_THIS = Command("status")
"""The doctor's fix that is not shown, since it is this command."""
_MOST_TROUBLES = 3


def configure(_parser: Parser) -> None:
    """No flags of its own."""


def run(context: Context, _arguments: Namespace) -> Result:
    """Look."""
    from claude_tasks.doctor.views import report_view
    from claude_tasks.operations.status_views import status_view
    from claude_tasks.wiring.doctor import quick_report

    context.settle()
    status = context.operations.status.status()
    report = quick_report(context.settings, context.environment)
    return Result(
        data=lambda: {**status_view(status), "doctor": report_view(report)},
        text=lambda: _text(context, status, report),
    )


def _text(context: Context, status: Status, report: Report) -> list[Block]:
    from claude_tasks.text.message_text import counts_text

    pairs = [
        ("scheduler", _scheduler(status)),
        ("lease", _lease(status)),
        ("agent", _agent(status)),
        ("runs", _runs(status)),
        ("next tick", _next(status, context.zone)),
        ("usage", Toned(status.usage_obstacle or "", "bad")),
        ("clock", _clock(status)),
        ("messages", counts_text(status.deliveries)),
        ("data", context.settings.data),
        ("doctor", _doctor(report)),
    ]
    blocks: list[Block] = [Pairs(pairs)]
    if status.nodes:
        rows = [_node_row(entry, status.at) for entry in status.nodes]
        blocks += ["", Table(_NODE_COLUMNS, rows)]
    for title, runs in (("Running", status.running), ("Queued", status.queued)):
        if runs:
            blocks += ["", title, Table(_RUN_COLUMNS, [_run_row(r, status.at) for r in runs])]
    return blocks


def _agent(status: Status) -> Toned:
    if status.agent_problem is not None:
        if status.leader is not None:
            text = f"not found from here, the leader may know better: {status.agent_problem}"
            return Toned(text, "warn")
        return Toned(f"! {status.agent_problem}", "bad")
    return Toned(status.agent or "")


def _clock(status: Status) -> Toned:
    """What a clock that was ahead left, as long as it matters."""
    from claude_tasks.operations.clock_text import is_felt, step_text

    troubles = status.clock_troubles
    if troubles:
        more = [f"and {len(troubles) - _MOST_TROUBLES} more"] * (len(troubles) > _MOST_TROUBLES)
        lines = [each.line for each in troubles[:_MOST_TROUBLES]]
        return Toned(joined("\n", [*lines, *more]), "bad")
    step = status.clock_step
    return Toned(step_text(step) if step and is_felt(step, at=status.at) else "", "warn")


def _doctor(report: Report) -> Toned:
    """What the quick checks complain of; nothing where all is well."""
    from claude_tasks.doctor.finding import Verdict

    lines = []
    for finding in report.findings:
        if finding.verdict is not Verdict.PASS:
            lines.append(Hint(f"{finding.verdict.value} {finding.id}: ", finding.detail))
            if finding.fix is not None and finding.fix != _THIS:
                lines.append(Hint("  fix: ", finding.fix))
    if not lines:
        return Toned("")
    return Toned(joined("\n", lines), "bad" if report.problems else "warn")


def _runs(status: Status) -> str:
    from claude_tasks.cli.follow import UNWATCHED

    counts = f"{len(status.running)} of {status.max_concurrent_runs} running"
    text = f"{counts}, {len(status.queued)} queued"
    if status.running and not any(entry.alive for entry in status.nodes):
        return Toned(f"{text}; {UNWATCHED}", "warn")
    return text


def _scheduler(status: Status) -> Toned:
    leading, leader = status.leading, status.leader
    if leading is not None and leading.hung:
        return Toned(leading.how_it_hangs(), "bad")
    if leader is not None:
        return Toned(f"{leader.role} {leader.pid} on {leader.host} leads", "good")
    if status.stands_by:
        return Toned("about to be taken over by a living node", "warn")
    overdue = status.next_tick_at is not None and status.next_tick_at < status.at
    none = "none lives, and a tick is overdue" if overdue else "none lives"
    return Toned(Hint(none, "; start one with: ", Command("daemon")), "bad")


def _lease(status: Status) -> str:
    from claude_tasks.text.times import relative

    lease = status.lease
    if lease is None:
        return Toned(f"! {status.lease_problem}", "bad")
    if lease.holder is None:
        return f"free (epoch {lease.epoch})"
    times = [
        f"{word} {relative(at, now=status.at)}"
        for word, at in (("renewed", lease.renewed_at), ("expires", lease.expires_at))
        if at is not None
    ]
    return ", ".join([f"epoch {lease.epoch} held by {lease.holder[:_SHORT_ID]}", *times])


def _next(status: Status, zone: str) -> str:
    from claude_tasks.text.times import when

    tick = status.next_tick_at
    return "none" if tick is None else when(tick, zone, now=status.at)


def _node_row(entry: NodeStatus, now: int) -> tuple[str, ...]:
    from claude_tasks.text.times import coarse

    node = entry.node
    return (
        node.id[:_SHORT_ID],
        node.role,
        str(node.pid),
        node.host,
        _leadership(entry),
        coarse(max(0, now - node.started_at)) if entry.alive else "-",
        node.version,
    )


def _leadership(entry: NodeStatus) -> str:
    if not entry.alive:
        return Toned("dead", "bad")
    if entry.hung:
        return Toned("hangs", "bad")
    if entry.leads:
        return Toned("leader", "good")
    return "follower" if entry.node.scheduler else "does not schedule"


def _run_row(run: Run, now: int) -> tuple[str, ...]:
    from claude_tasks.text.times import coarse

    since = coarse(max(0, now - (run.started_at or run.queued_at)))
    return (str(run.id), run.task_name, since, _waits_for(run, now))


def _waits_for(run: Run, now: int) -> str:
    from claude_tasks.text.times import relative

    if run.deferred_until is None:
        return run.error or ""
    return f"usage, until the reset {relative(run.deferred_until, now=now)}"
