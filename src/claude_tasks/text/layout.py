"""Blocks to lines: columns aligned, cut to the terminal's width, control characters written out.

Pure. ``paint`` puts colour around text whose width has been settled.
"""

from __future__ import annotations

from claude_tasks.domain.control_characters import escape_controls
from claude_tasks.text.blocks import Toned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from claude_tasks.text.blocks import Column, Pairs, Table

    Paint = Callable[[str, str], str]

GAP = "  "
_NARROWEST = 8


def clean(text: str) -> str:
    """Text whose control characters are written out, but for its lines and tabs."""
    return escape_controls(text, "\n\t")


def one_line(text: str) -> str:
    """Text for a cell."""
    return text if text.isascii() and text.isprintable() else clean(" ".join(text.split()))


def text_width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, width: int) -> str:
    """Text cut to ``width`` columns, the cut marked."""
    if text_width(text) <= width:
        return text
    while text and text_width(text) > width - 1:
        text = text[:-1]
    return text.rstrip() + "…"


def table_lines(table: Table, width: int | None, paint: Paint) -> list[str]:
    """A table as lines of at most ``width`` columns, however long without one."""
    columns = list(table.columns)
    head: list[str] = [Toned(column.title, "dim", short=column.short) for column in columns]
    rows = [head, *([_cell(cell) for cell in row] for row in table.rows)]
    widths = _natural_widths(rows)
    if width is not None:
        _shorten(rows, widths, width)
    kept = _fit(columns, widths, width)
    return [_row(row, columns, widths, kept, paint) for row in rows]


def pair_lines(pairs: Pairs, paint: Paint) -> list[str]:
    """Labels in one column, values in the next."""
    shown = [(label, value) for label, value in pairs.pairs if value]
    width = max((len(label) for label, _ in shown), default=0)
    lines = []
    for label, value in shown:
        tone = value.tone if isinstance(value, Toned) else ""
        first, *others = clean(value).splitlines() or [""]
        lines.append(f"{GAP}{paint(label.ljust(width), 'dim')}{GAP}{paint(first, tone)}")
        lines += [f"{GAP}{' ' * width}{GAP}{paint(other, tone)}" for other in others]
    return lines


def _cell(cell: str) -> str:
    text = one_line(cell)
    return Toned(text, cell.tone, short=cell.short) if isinstance(cell, Toned) else text


def _natural_widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(text_width, cells)) for cells in zip(*rows, strict=True)]


def _shorten(rows: list[list[str]], widths: list[int], limit: int) -> None:
    """Where it is too wide give up what says a thing twice, column by column from the left."""
    for place in range(len(widths)):
        if _total(widths, range(len(widths))) <= limit:
            return
        for row in rows:
            cell = row[place]
            if isinstance(cell, Toned) and cell.short is not None:
                row[place] = Toned(cell.short, cell.tone)
        widths[place] = max(text_width(row[place]) for row in rows)


def _fit(columns: Sequence[Column], widths: list[int], limit: int | None) -> list[int]:
    """Narrow ``widths`` until all fits; the places of the columns that stay."""
    kept = list(range(len(columns)))
    while limit is not None and _total(widths, kept) > limit:
        wide = [i for i in kept if columns[i].flexible and widths[i] > _NARROWEST]
        droppable = [i for i in kept if columns[i].droppable]
        spare = sum(widths[i] - _NARROWEST for i in wide)
        if droppable and spare < _total(widths, kept) - limit:
            kept.remove(droppable[0])
        elif wide:
            widths[max(wide, key=lambda i: (columns[i].flexible, widths[i]))] -= 1
        else:
            break
    return kept


def _total(widths: Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[i] for i in kept) + len(GAP) * (len(kept) - 1)


def _row(
    cells: Sequence[str],
    columns: Sequence[Column],
    widths: Sequence[int],
    kept: Sequence[int],
    paint: Paint,
) -> str:
    shown = []
    for place in kept:
        cell = cells[place]
        text = cut(cell, widths[place])
        padding = " " * (widths[place] - text_width(text))
        painted = paint(text, cell.tone) if isinstance(cell, Toned) else text
        shown.append(padding + painted if columns[place].right else painted + padding)
    return GAP.join(shown).rstrip()
