"""What this machine tells about claims and nodes besides their rows: which live, which hang.

No ``annotations`` import from the future: the records would compile them from text at every start.
"""

from typing import TYPE_CHECKING, NamedTuple, Protocol

from claude_tasks.domain.instant import human_duration

if TYPE_CHECKING:
    from collections.abc import Collection

    from claude_tasks.domain.node import Node
    from claude_tasks.domain.run import Run

UNRECORDED_MS = 5_000
"""An end is recorded within milliseconds: after this long it will not be recorded any more."""
SUPERVISOR_SILENCE_MS = 30_000
"""A supervisor that should have ended this long ago hangs, or its container is paused."""


class Stall(NamedTuple):
    """Why a living process does nothing, as text to follow its name; the command that helps.

    ``command`` is None where none helps. A process that ``waits`` need not be ended: another
    process blocks it.
    """

    why: str
    command: str | None
    waits: bool = False


def describe_hang(node: "Node", silent_ms: int, stall: Stall | None) -> str:
    """A sentence about a node that hangs: which, since when, and why if known."""
    since = human_duration(silent_ms // 1000 * 1000)
    text = f"{node.role} {node.pid} on {node.host} lives, but has done nothing for {since}"
    return text if stall is None else f"{text}: it {stall.why}"


class ClaimSigns(NamedTuple):
    """What the folder of a running run tells; None for what does not apply.

    ``exit.json`` was written ``ended_ms`` ago. Or the run should have ended ``silent_ms`` ago, but
    process ``pid``, its supervisor or a process of its agent, still lives; ``stall`` is what blocks
    that process.
    """

    ended_ms: int | None = None
    silent_ms: int | None = None
    pid: int | None = None
    stall: Stall | None = None


class Signs(Protocol):
    """Inspects this machine without changing anything."""

    def of_claim(self, run: "Run", *, at: int) -> ClaimSigns:
        """A running run."""
        ...

    def stall(self, node: "Node") -> Stall | None:
        """What blocks a node's process, None where unknown or on another machine."""
        ...

    def strangers(self, registered: "Collection[str]") -> list[int]:
        """The processes of living nodes that are not registered: they use another database."""
        ...

    def writer(self) -> tuple[int, Stall] | None:
        """The stopped process that keeps others from writing to the database."""
        ...
