"""The interfaces for usage: the store, and the sources to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from claude_tasks.domain.usage import Failure, Reading, UsageState


class UsageStore(Protocol):
    """The usage record that all processes share. The feed notes topic ``usage``."""

    def read_usage(self) -> UsageState:
        """The last good reading, and the last failure where that is newer."""
        ...

    def begin_asking(self, node_id: str, *, at: int, until: int) -> bool:
        """Become the one process that asks; False while another does and its time is not up."""
        ...

    def end_asking(self, node_id: str) -> None:
        """End asking without an answer: others may ask at once."""
        ...

    def record_reading(self, reading: Reading) -> None:
        """Store an answer. It ends a series of failures."""
        ...

    def learn_reading(self, reading: Reading, *, at: int) -> bool:
        """Store what a run reported at ``reading.at``; False where something newer is known.

        It does not change which process asks and when.
        """
        ...

    def record_failure(self, failure: Failure) -> None:
        """Store why there is no answer. The last good answer stays."""
        ...


class UsageSource(Protocol):
    """A source that can be asked about usage."""

    name: str

    def ask(self, *, at: int) -> Reading:
        """Ask once; takes some seconds at most. Errors: `UsageUnavailableError`."""
        ...
