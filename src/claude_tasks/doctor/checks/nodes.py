"""No node that lives hangs, or keeps others from their work."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.doctor.finding import (
    failed,
    passed,
    shell,
    some,
    warned,
)
from claude_tasks.doctor.node_help import (
    illegible,
    is_container,
    unread,
    wake_up,
)

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import (
        Contents,
        DatabaseFacts,
        MachineFacts,
        NodeFact,
    )
    from claude_tasks.doctor.finding import Finding
    from claude_tasks.domain.signs import Signs, Stall

from claude_tasks.domain.signs import describe_hang

_NAME = "nodes"


class LivenessFacts(NamedTuple):
    """Living processes that are not registered, or that block the database.

    ``strangers`` are nodes that use another database than the one at the path; ``writer`` is
    stopped and keeps all others from writing.
    """

    strangers: tuple[int, ...] = ()
    writer: tuple[int, Stall] | None = None


def liveness(*, database: DatabaseFacts, signs: Signs) -> LivenessFacts:
    """Living processes that are not registered in this database, or that block it."""
    contents, trouble = database.contents, database.trouble
    gone = trouble is not None and trouble.code == "storage_gone"
    if contents is None and not gone:  # the registered nodes are unknown
        return LivenessFacts()
    nodes = () if contents is None else contents.nodes
    strangers = signs.strangers([entry.node.id for entry in nodes])
    return LivenessFacts(tuple(strangers), None if gone else signs.writer())


def judge(database: DatabaseFacts, liveness: LivenessFacts, machine: MachineFacts) -> Finding:
    """FAIL where a node blocks others, or uses a database that is no longer at the path."""
    if liveness.writer is not None:
        return _writes(*liveness.writer, database.contents, machine)
    if liveness.strangers:
        pids = [str(pid) for pid in liveness.strangers]
        text = f"{_processes(pids)} of a database that was removed, or exchanged for this one"
        return failed(_NAME, f"{text}: what runs goes on under its supervisors", _kill(pids))
    contents = database.contents
    if contents is None:
        return unread(_NAME, database)
    if contents.what_is_illegible("nodes"):
        return illegible(_NAME, contents, "nodes")
    return _of_the_hung(contents, machine)


def _writes(pid: int, stall: Stall, contents: Contents | None, machine: MachineFacts) -> Finding:
    """The finding about a stopped writer; one stopped just now may go on by itself."""
    text = f"process {pid} is in the middle of a write, and nobody else can write: it {stall.why}"
    text = f"{text}; kill -9 {pid} ends it"
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
    """Which node, since when, and why if known."""
    node = entry.node
    text = describe_hang(node, entry.silent_ms or 0, entry.stall)
    if entry.stall is not None and entry.stall.waits:
        return text
    if entry.is_process:
        return f"{text}; its runs go on also where it is ended: kill -9 {node.pid}"
    paused = " (paused?)" if is_container(node.host, machine) else ""
    return f"{text}; process {node.pid} could not be matched to it, so look first{paused}"


def _processes(pids: list[str]) -> str:
    many = len(pids) > 1
    return f"process{'es' if many else ''} {some(pids)} {'are nodes' if many else 'is a node'}"


def _kill(pids: list[str]) -> str:
    return shell("kill", "-9", *pids)
