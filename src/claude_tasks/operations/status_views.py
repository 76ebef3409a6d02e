"""Nodes, the lease, status and explanations as JSON values: what every face shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_tasks.domain.instant import to_rfc3339
from claude_tasks.operations.views import run_view

if TYPE_CHECKING:
    from claude_tasks.domain.clock_step import ClockStep
    from claude_tasks.domain.lease import Lease
    from claude_tasks.domain.store_records import NextTick
    from claude_tasks.operations.explanation import Explanation
    from claude_tasks.operations.status import NodeStatus, Status


def status_view(status: Status) -> dict[str, Any]:
    """One look at everything."""
    leader, step = status.leader, status.clock_step
    return {
        "at": to_rfc3339(status.at),
        "leader": None if leader is None else leader.id,
        "nodes": [node_view(entry) for entry in status.nodes],
        "lease": None if status.lease is None else lease_view(status.lease),
        "lease_problem": status.lease_problem,
        "queued": [run_view(run) for run in status.queued],
        "running": [run_view(run) for run in status.running],
        "next_tick_at": _time(status.next_tick_at),
        "max_concurrent_runs": status.max_concurrent_runs,
        "agent": status.agent,
        "agent_problem": status.agent_problem,
        "deliveries": status.deliveries._asdict(),
        "usage_obstacle": status.usage_obstacle,
        "clock": {
            "last_step": None if step is None else _step_view(step),
            "troubles": [entry._asdict() for entry in status.clock_troubles],
        },
    }


def _step_view(step: ClockStep) -> dict[str, Any]:
    return {"seen_at": to_rfc3339(step.seen_at), "back_seconds": step.back_ms / 1000}


def scheduler_view(status: Status, next_ticks: list[NextTick]) -> dict[str, Any]:
    """Who schedules, how much waits and runs, what comes next."""
    view = status_view(status)
    del view["next_tick_at"]
    ticks = [{**tick._asdict(), "at": to_rfc3339(tick.at)} for tick in next_ticks]
    counts = {"queued": len(status.queued), "running": len(status.running)}
    return {**view, **counts, "next_ticks": ticks}


def node_view(entry: NodeStatus) -> dict[str, Any]:
    """One node."""
    node = entry.node
    return {
        "id": node.id,
        "role": node.role,
        "host": node.host,
        "pid": node.pid,
        "version": node.version,
        "scheduler": node.scheduler,
        "started_at": to_rfc3339(node.started_at),
        "max_concurrent_runs": node.max_concurrent_runs,
        "listens": node.listens,
        "open": node.open,
        "alive": entry.alive,
        "leads": entry.leads,
        "beat_at": _time(node.beat_at),
        "hung": entry.hung,
    }


def lease_view(lease: Lease) -> dict[str, Any]:
    """The lease record."""
    return {
        "name": lease.name,
        "holder": lease.holder,
        "epoch": lease.epoch,
        "ttl_seconds": lease.ttl_ms / 1000,
        "acquired_at": _time(lease.acquired_at),
        "renewed_at": _time(lease.renewed_at),
        "expires_at": _time(lease.expires_at),
        "host": lease.host,
        "pid": lease.pid,
        "role": lease.role,
        "version": lease.version,
    }


def explanation_view(explanation: Explanation) -> dict[str, Any]:
    """Why a task did or did not run."""
    return {
        "task_id": explanation.task.id,
        "task_name": explanation.task.name,
        "findings": [finding._asdict() for finding in explanation.findings],
        "runs": [run_view(run) for run in explanation.last_runs],
    }


def _time(at: int | None) -> str | None:
    return None if at is None else to_rfc3339(at)
