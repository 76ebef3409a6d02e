"""What the program asks of the world about usage: where it is kept, and who can be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from claude_tasks.domain.usage import Failure, Reading, UsageState


class UsageStore(Protocol):
    """What all processes know of the agent's usage windows. The feed notes topic ``usage``."""

    def read_usage(self) -> UsageState:
        """The last good reading, and the last failure where that is newer."""
        ...

    def begin_asking(self, node_id: str, *, at: int, until: int) -> bool:
        """Ask for all processes; False while another does, whose time is not up."""
        ...

    def end_asking(self, node_id: str) -> None:
        """Ask no more, without an answer: others may at once."""
        ...

    def record_reading(self, reading: Reading) -> None:
        """Keep an answer. It ends a series of failures."""
        ...

    def learn_reading(self, reading: Reading, *, at: int) -> bool:
        """Keep what a run was told at ``reading.at``; False where something newer is known.

        It changes nothing of who asks whom and when.
        """
        ...

    def record_failure(self, failure: Failure) -> None:
        """Keep why there is none. The last good answer stays."""
        ...


class UsageSource(Protocol):
    """Somebody who can be asked about usage."""

    name: str

    def ask(self, *, at: int) -> Reading:
        """What it says, within some seconds. Errors: `UsageUnavailableError`."""
        ...
