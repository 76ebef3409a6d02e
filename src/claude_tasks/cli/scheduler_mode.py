"""Whether a long-running process schedules: the flag's words, and a line that states the mode.

``daemon`` and ``serve`` take the lease when it is free, or never (`ON`, `OFF`). The terminal UI may
also leave scheduling to them (`AUTO`): it takes a free lease only while no living daemon or server
may take it.
"""

from __future__ import annotations

from enum import Enum

from claude_tasks.domain.errors import InvalidInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from claude_tasks.domain.node import Node


class Mode(Enum):
    """Whether a process may take the lease."""

    ON = "on"
    OFF = "off"
    AUTO = "auto"

    @property
    def schedules(self) -> bool:
        """Whether it may lead at all."""
        return self is not Mode.OFF


SWITCH = {"true": Mode.ON, "false": Mode.OFF}
"""The words of ``daemon`` and ``serve``."""

CHOICE = {"auto": Mode.AUTO, "off": Mode.OFF, "on": Mode.ON}
"""The words of the terminal UI."""


def parse_mode(words: Mapping[str, Mode]) -> Callable[[str], Mode]:
    """A converter for ``--scheduler``, any case. Its errors list the choices."""

    def convert(text: str) -> Mode:
        mode = words.get(text.strip().lower())
        if mode is None:
            raise InvalidInputError(
                f"--scheduler: {text!r}", hint=f"one of: {', '.join(words)}", code="usage"
            )
        return mode

    return convert


def switch_line(name: str, mode: Mode, *, leads: bool, leader: Node | None) -> str:
    """``Daemon scheduler: enabled (leader=false), leader is serve pid 123 on host``."""
    if not mode.schedules:
        return f"{name} scheduler: disabled"
    other = "" if leads or leader is None else f", leader is {_named(leader)}"
    return f"{name} scheduler: enabled (leader={str(leads).lower()}){other}"


def mode_line(name: str, mode: Mode, *, leads: bool, leader: Node | None) -> str:
    """``TUI scheduler mode: auto (follower; leader is daemon pid 123 on host)``."""
    if not mode.schedules:
        return f"{name} scheduler mode: {mode.value}"
    if leads:
        return f"{name} scheduler mode: {mode.value} (leader)"
    other = "no leader" if leader is None else f"leader is {_named(leader)}"
    return f"{name} scheduler mode: {mode.value} (follower; {other})"


def _named(node: Node) -> str:
    return f"{node.role} pid {node.pid} on {node.host}"
