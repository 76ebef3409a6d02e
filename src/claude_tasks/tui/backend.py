"""What the terminal UI works with: operations on threads of their own, its node, this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from claude_tasks.doctor.finding import Report
    from claude_tasks.operations.database_threads import DatabaseThreads
    from claude_tasks.operations.facade import Operations

T = TypeVar("T")


class OwnNode(Protocol):
    """The node of this process."""

    @property
    def id(self) -> str:
        """Its id in the registry."""
        ...

    @property
    def leads(self) -> bool:
        """Whether it holds the lease."""
        ...

    @property
    def failure(self) -> BaseException | None:
        """Why it cannot go on, None while it lives."""
        ...

    def wake(self) -> None:
        """Have it look at the queue now."""
        ...


class SettingLine(NamedTuple):
    """A setting as it is shown: name, value, where that comes from, what it means."""

    name: str
    value: str
    origin: str
    help: str


class Backend(NamedTuple):
    """Given to the application by whoever starts it.

    ``zone`` is this machine's time zone. ``now`` is in ms. ``mode`` is the scheduler's mode:
    ``auto``, ``on`` or ``off``. ``call`` is how this program is started, for commands to copy.
    ``events_path`` is where the events of a run of a task stand. ``keymap`` gives actions other
    keys.
    """

    threads: DatabaseThreads
    node: OwnNode
    mode: str
    zone: str
    call: str
    now: Callable[[], int]
    examine: Callable[[], Report]
    settings: Callable[[], Sequence[SettingLine]]
    events_path: Callable[[int, int], str]
    resume_argv: Callable[[str], Sequence[str]]
    crash_file: Callable[[], str]
    keymap: Mapping[str, str]

    async def read(self, work: Callable[[Operations], T]) -> T:
        """What ``work`` finds, looked up on the read thread. Errors: its own."""
        return await self.threads.read(work)

    async def write(self, work: Callable[[Operations], T]) -> T:
        """What ``work`` changed, on the write thread. Errors: its own."""
        return await self.threads.write(work)
