"""What a command returns: data for ``--json``, blocks of text for people, an exit code.

Plain classes, not ``NamedTuple``: see the package.
"""

from __future__ import annotations

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without paying for the import
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from claude_tasks.text.blocks import Block


class Result:
    """The outcome of a command.

    ``data`` and ``text`` are called only when they are wanted. ``notes`` go to standard error: what
    to do next, what to know. ``streamed`` says that all data was printed as it came.
    """

    __slots__ = ("data", "exit_code", "notes", "streamed", "text")

    def __init__(
        self,
        *,
        data: Callable[[], Any],
        text: Callable[[], Sequence[Block]],
        notes: Sequence[str] = (),
        exit_code: int = 0,
        streamed: bool = False,
    ) -> None:
        """``data`` gives a JSON value, ``text`` blocks."""
        self.streamed = streamed
        self.data = data
        self.text = text
        self.notes = notes
        self.exit_code = exit_code
