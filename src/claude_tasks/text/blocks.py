"""Blocks of text for people: tables, pairs, toned words, before anybody lays them out.

Plain classes, not ``NamedTuple``: see the package.
"""

from __future__ import annotations

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without paying for the import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self


class Toned(str):
    """Text with a tone (``good``, ``bad``, ``warn``, ``dim``, ``bold``), shown as colour at most.

    The words must say it without the colour. A cell with a ``short`` form takes it where room is
    scarce.
    """

    __slots__ = ("short", "text", "tone")
    short: str | None
    text: str
    """As it was given: a hint keeps its commands."""
    tone: str

    def __new__(cls, text: str, tone: str = "", *, short: str | None = None) -> Self:
        """``text`` in ``tone``."""
        toned = super().__new__(cls, text)
        toned.text = text
        toned.tone = tone
        toned.short = short
        return toned


class Column:
    """A column of a table.

    ``flexible`` columns are cut to fit, those of a higher number first; 0 never is. ``droppable``
    may go altogether. ``short`` is the title beside shortened cells.
    """

    __slots__ = ("droppable", "flexible", "right", "short", "title")

    def __init__(
        self,
        title: str,
        *,
        flexible: int = 0,
        droppable: bool = False,
        right: bool = False,
        short: str | None = None,
    ) -> None:
        """``right`` aligns the cells to the right."""
        self.title = title
        self.short = short
        self.flexible = flexible
        self.droppable = droppable
        self.right = right


class Table:
    """Rows of cells under titles; ``empty`` is what stands there without any row."""

    __slots__ = ("columns", "empty", "rows")

    def __init__(
        self, columns: Sequence[Column], rows: Sequence[Sequence[str]], *, empty: str = ""
    ) -> None:
        """Each row has a cell for each column."""
        self.columns = columns
        self.rows = rows
        self.empty = empty


class Pairs:
    """Labelled values, one a line. A value of several lines is indented; "" is left out."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Label and value."""
        self.pairs = pairs


class Raw:
    """Text that is not ours, printed as it is: an agent's output, a script."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        """The text."""
        self.text = text


if TYPE_CHECKING:
    Block = str | Table | Pairs | Raw
