"""Every living node is of this version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.doctor.finding import (
    passed,
    some,
    warned,
)
from claude_tasks.doctor.node_help import (
    illegible,
    order,
    unread,
)

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import (
        DatabaseFacts,
        MachineFacts,
    )
    from claude_tasks.doctor.finding import Finding


def judge(database: DatabaseFacts, machine: MachineFacts) -> Finding:
    """Every living node is of this version: an older one still has defects fixed since."""
    name = "versions"
    contents = database.contents
    if contents is None:
        return unread(name, database, none_yet="none yet: no node lives")
    if contents.what_is_illegible("nodes"):
        return illegible(name, contents, "nodes")
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
