"""What every schedule can answer, whatever it was written as."""

from __future__ import annotations

from typing import Protocol


class Schedule(Protocol):
    """A strictly increasing row of ticks. Immutable and safe to share between threads."""

    @property
    def expression(self) -> str:
        """What the person wrote; "" for a one-off."""
        ...

    @property
    def timezone(self) -> str:
        """The IANA name of the zone whose clocks the schedule reads."""
        ...

    def next_after(self, at: int) -> int | None:
        """The first tick strictly after ``at``; None when none will ever come."""
        ...

    def latest_at_or_before(self, at: int, *, after: int) -> int | None:
        """The latest tick t with ``after`` < t <= ``at``; None when there is none.

        Costs the same however long the stretch is.
        """
        ...

    def describe(self) -> str:
        """One English sentence, with the zone."""
        ...

    def dst_note(self, tick: int) -> str | None:
        """What a change of the clocks did to this tick; None for the ordinary tick."""
        ...
