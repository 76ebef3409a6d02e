"""Nodes that live and do nothing, and what they keep from others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.doctor.finding import cannot_be_read, failed, passed, shell, some, warned
from claude_tasks.domain.signs import describe_hang

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import (
        Contents,
        DatabaseFacts,
        LivenessFacts,
        MachineFacts,
        NodeFact,
    )
    from claude_tasks.doctor.finding import Finding
    from claude_tasks.domain.signs import Stall

_NAME = "nodes"
_CONTAINER_NAME_LENGTH = 12
"""A container is called by so many hexadecimal digits of its id, unless somebody named it."""


def check_nodes(database: DatabaseFacts, liveness: LivenessFacts, machine: MachineFacts) -> Finding:
    """FAIL where one keeps others from their work, or works on what nobody sees any more."""
    if liveness.writer is not None:
        return _writes(*liveness.writer, database.contents, machine)
    if liveness.strangers:
        pids = [str(pid) for pid in liveness.strangers]
        text = f"{_processes(pids)} of a database that was removed, or exchanged for this one"
        return failed(_NAME, f"{text}: what runs goes on under its supervisors", _kill(pids))
    contents = database.contents
    if contents is None:
        if not database.exists or (database.trouble is None and database.schema == 0):
            return passed(_NAME, "none yet")
        return warned(_NAME, f"not looked at: {database.unread} (see database)")
    illegible = contents.what_is_illegible("nodes")
    if illegible:
        return failed(_NAME, cannot_be_read(illegible))
    return _of_the_hung(contents, machine)


def _writes(pid: int, stall: Stall, contents: Contents | None, machine: MachineFacts) -> Finding:
    """A node that was stopped a moment ago may be about to go on."""
    text = f"process {pid} is in the middle of a write, and nobody else can write: it {stall.why}"
    text = f"{text}; or end it: kill -9 {pid}"
    nodes = () if contents is None else contents.nodes
    here = (pid, machine.host)
    fresh = any((it.node.pid, it.node.host) == here and it.works for it in nodes)
    return (warned if fresh else failed)(_NAME, text, stall.command)


def _of_the_hung(contents: Contents, machine: MachineFacts) -> Finding:
    hung = [entry for entry in contents.nodes if entry.silent_ms is not None]
    if not hung:
        working = sum(entry.works for entry in contents.nodes)
        return passed(_NAME, f"{working} living, all at work" if working else "none lives")
    holding = {run.node_id for run in contents.running}
    hung.sort(key=lambda entry: entry.node.id not in holding)  # the worst first
    text = some([how_it_hangs(entry, machine) for entry in hung])
    fix = wake_up(hung[0], machine)
    if hung[0].node.id not in holding:
        return warned(_NAME, text, fix)
    held = [str(run.run_id) for run in contents.running if run.node_id == hung[0].node.id]
    return failed(_NAME, f"{text}; it holds run {some(held)}", fix)


def how_it_hangs(entry: NodeFact, machine: MachineFacts) -> str:
    """Who, since when, and why as far as that is known."""
    node = entry.node
    text = describe_hang(node, entry.silent_ms or 0, entry.stall)
    if entry.is_process:
        return f"{text}; its runs go on also where it is ended: kill -9 {node.pid}"
    paused = " (paused?)" if _is_container(node.host, machine) else ""
    return f"{text}; process {node.pid} could not be matched to it, so look first{paused}"


def wake_up(entry: NodeFact, machine: MachineFacts) -> str:
    """The command that lets it go on, or else ends it. Runs outlive their node."""
    if entry.stall is not None and entry.stall.command is not None:
        return entry.stall.command
    if not entry.is_process and _is_container(entry.node.host, machine):
        return f"docker unpause {entry.node.host}"
    return order(entry, machine, "kill -9")


def order(entry: NodeFact, machine: MachineFacts, word: str) -> str:
    """An order to the node's process; where that is not known for certain, only a look at it."""
    node = entry.node
    if entry.is_process:
        return f"{word} {node.pid}"
    where = "" if node.host == machine.host else f"ssh {shell(node.host)} "
    return f"{where}ps -o pid,user,lstart,args -p {node.pid}"


def _is_container(host: str, machine: MachineFacts) -> bool:
    named_by_id = len(host) == _CONTAINER_NAME_LENGTH and not set(host) - set("0123456789abcdef")
    return named_by_id and host != machine.host


def _processes(pids: list[str]) -> str:
    many = len(pids) > 1
    return f"process{'es' if many else ''} {some(pids)} {'are nodes' if many else 'is a node'}"


def _kill(pids: list[str]) -> str:
    return shell("kill", "-9", *pids)
