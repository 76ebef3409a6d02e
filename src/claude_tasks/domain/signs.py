"""What this machine tells of claims and nodes beside their rows: who lives, and does nothing.

No ``annotations`` import from the future: its records would compile them from text at every start.
"""

from typing import TYPE_CHECKING, NamedTuple, Protocol

from claude_tasks.domain.instant import human_duration

if TYPE_CHECKING:
    from collections.abc import Collection

    from claude_tasks.domain.node import Node
    from claude_tasks.domain.run import Run

UNRECORDED_MS = 5_000
"""An end is recorded within milliseconds: one that is not after this long is not going to be."""
SUPERVISOR_SILENCE_MS = 30_000
"""A supervisor that should have ended this long ago hangs, or is frozen with its container."""


class Stall(NamedTuple):
    """Why a process that lives does nothing, to follow its name; the command that helps.

    ``command`` is None where none does. One that ``waits`` has to be ended by nobody: another is in
    its way.
    """

    why: str
    command: str | None
    waits: bool = False


def describe_hang(node: "Node", silent_ms: int, stall: Stall | None) -> str:
    """A node that lives and hangs: who, since when, and why as far as that is known."""
    since = human_duration(silent_ms // 1000 * 1000)
    text = f"{node.role} {node.pid} on {node.host} lives, but has done nothing for {since}"
    return text if stall is None else f"{text}: it {stall.why}"


class ClaimSigns(NamedTuple):
    """What the folder of a running run tells.

    ``ended_ms`` ago it ended on disk; ``silent_ms`` ago it should have ended at the latest, and
    process ``pid``, its supervisor or what is left of its agent, is still there. ``stall`` is what
    keeps that one. None where it is not so.
    """

    ended_ms: int | None = None
    silent_ms: int | None = None
    pid: int | None = None
    stall: Stall | None = None


class Signs(Protocol):
    """Looks at this machine, and changes nothing."""

    def of_claim(self, run: "Run", *, at: int) -> ClaimSigns:
        """A running run."""
        ...

    def stall(self, node: "Node") -> Stall | None:
        """What keeps a node's process, None where that is not known or it is another machine's."""
        ...

    def strangers(self, registered: "Collection[str]") -> list[int]:
        """The processes of living nodes that no registry names: theirs is another database."""
        ...

    def writer(self) -> tuple[int, Stall] | None:
        """The process that does nothing, and keeps others from writing to the database."""
        ...
