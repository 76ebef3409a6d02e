"""Words and commands about nodes and the database they share, for several checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.doctor.finding import cannot_be_read, failed, passed, shell, some, warned
from claude_tasks.domain.hint import Command

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import Contents, DatabaseFacts, MachineFacts, NodeFact
    from claude_tasks.doctor.finding import Finding


START = Command("daemon")

_CONTAINER_NAME_LENGTH = 12
"""A container is called by so many hexadecimal digits of its id, unless somebody named it."""


def wake_up(entry: NodeFact, machine: MachineFacts) -> str:
    """The command that lets a node go on, or else ends it. Its runs go on."""
    if entry.stall is not None and entry.stall.command is not None:
        return entry.stall.command
    if not entry.is_process and is_container(entry.node.host, machine):
        return f"docker unpause {entry.node.host}"
    return order(entry, machine, "kill -9")


def order(entry: NodeFact, machine: MachineFacts, word: str) -> str:
    """A command to the node's process; where its pid is uncertain, one that only shows it."""
    node = entry.node
    if entry.is_process:
        return f"{word} {node.pid}"
    where = "" if node.host == machine.host else f"ssh {shell(node.host)} "
    return f"{where}ps -o pid,user,lstart,args -p {node.pid}"


def is_container(host: str, machine: MachineFacts) -> bool:
    named_by_id = len(host) == _CONTAINER_NAME_LENGTH and not set(host) - set("0123456789abcdef")
    return named_by_id and host != machine.host


def node_of(contents: Contents, node_id: str | None) -> NodeFact | None:
    return next((entry for entry in contents.nodes if entry.node.id == node_id), None)


def standing_by(contents: Contents, *, without: str = "") -> bool:
    """Whether a node lives that may take the lease."""

    def counts(entry: NodeFact) -> bool:
        return entry.works and entry.node.scheduler and entry.node.id != without

    return any(map(counts, contents.nodes))


def illegible(name: str, contents: Contents, part: str) -> Finding:
    """The finding about unreadable rows. The leader repairs rows, but not a missing table."""
    texts = contents.what_is_illegible(part)
    if any(it.part == part and it.of_all for it in contents.illegible):
        return failed(name, cannot_be_read(texts))
    text = f"cannot be read from the database: {some(texts)}"
    if standing_by(contents):
        return warned(name, f"{text}; a living node is about to set it right")
    return failed(name, f"{text}; a node that starts sets it right", START)


def unread(
    name: str, database: DatabaseFacts, *, none_yet: str = "none yet", fix: str | None = None
) -> Finding:
    """The finding without contents: no database yet, or an unreadable one."""
    if not database.exists or (database.trouble is None and database.schema == 0):
        return passed(name, none_yet) if fix is None else warned(name, none_yet, fix)
    return warned(name, f"not looked at: {database.unread} (see database)")
