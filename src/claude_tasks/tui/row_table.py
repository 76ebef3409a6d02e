"""A list of rows that draws only the lines in view, whatever their number.

The selection is the id of a row, never its place: rows may come, go and move between two draws, and
what is selected stays selected. Cells are asked for when a line is drawn, so ten thousand rows cost
no more than those on the screen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from claude_tasks.text.blocks import Toned
from claude_tasks.text.layout import cut, one_line, text_width

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual import events

_GAP = 2


class Title(NamedTuple):
    """A column. ``share`` of the room that is left goes to it; one of a high ``rank`` goes first.

    ``width`` is in cells of the terminal, the least for a column with a share.
    """

    text: str
    width: int
    share: int = 0
    rank: int = 0
    right: bool = False


class RowTable(ScrollView, can_focus=True):
    """Rows by id, with a line of titles above them that stays."""

    BINDINGS: ClassVar = [
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("down,j", "move(1)", "down", show=False),
        Binding("pageup,ctrl+b", "move_page(-1)", "page up", show=False),
        Binding("pagedown,ctrl+f", "move_page(1)", "page down", show=False),
        Binding("home,g", "to_end(-1)", "first", show=False),
        Binding("end,G", "to_end(1)", "last", show=False),
    ]
    DEFAULT_CSS = """
    RowTable { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }
    """

    class Selected(Message):
        """Another row is selected, or none (0)."""

        def __init__(self, row_id: int) -> None:
            """``row_id`` is 0 where there is no row."""
            super().__init__()
            self.row_id = row_id

    class Opened(Message):
        """A row was clicked twice."""

        def __init__(self, row_id: int) -> None:
            """By its id."""
            super().__init__()
            self.row_id = row_id

    def __init__(
        self,
        titles: Sequence[Title],
        cells: Callable[[int], Sequence[str]],
        *,
        empty: str = "",
        id: str | None = None,  # noqa: A002 (Textual's own word)
    ) -> None:
        """``cells`` gives the cells of a row by its id; ``empty`` stands where there is no row."""
        super().__init__(id=id)
        self._titles = titles
        self._cells = cells
        self.empty = empty
        self._ids: Sequence[int] = ()
        self._places: dict[int, int] = {}
        self.selected = 0
        """The id of the selected row, 0 while there is none."""
        self._place = 0
        self._drawn: dict[int, tuple[int, Sequence[str]]] = {}
        """What stands on each line: a row, and its cells."""

    def show(self, ids: Sequence[int]) -> None:
        """Show these rows, in this order. What was selected stays so, else its neighbour is."""
        if ids != self._ids:
            self._ids = ids
            self._places = {row_id: place for place, row_id in enumerate(ids)}
            self.virtual_size = Size(self.size.width, len(ids) + 1)
        place = self._places.get(self.selected)
        if place is None:
            self._select(min(self._place, len(ids) - 1))
        else:
            self._place = place
        self.bring_up_to_date()

    def bring_up_to_date(self) -> None:
        """Draw the lines anew whose rows or cells are others by now."""
        for y in range(1, self.size.height):
            place = y - 1 + self.scroll_offset.y
            row_id = self._ids[place] if place < len(self._ids) else 0
            cells = self._cells(row_id) if row_id else ()
            if self._drawn.get(y) != (row_id, cells):
                self.refresh(Region(0, y, self.size.width, 1))

    def select(self, row_id: int) -> None:
        """Select a row, if it is there."""
        if row_id in self._places:
            self._select(self._places[row_id])

    @property
    def visible_ids(self) -> Sequence[int]:
        """Those in view now."""
        first = self.scroll_offset.y
        return self._ids[first : first + max(1, self.size.height)]

    def action_move(self, by: int) -> None:
        """Select the row above or below."""
        self._select(self._place + by)

    def action_move_page(self, by: int) -> None:
        """A screen of rows up or down."""
        self._select(self._place + by * max(1, self.size.height - 2))

    def action_to_end(self, end: int) -> None:
        """The first row, or the last."""
        self._select(0 if end < 0 else len(self._ids) - 1)

    def on_click(self, event: events.Click) -> None:
        """Once selects, twice opens."""
        place = event.y - 1 + self.scroll_offset.y
        if event.y > 0 and 0 <= place < len(self._ids):
            self._select(place)
            if event.chain > 1:
                self.post_message(self.Opened(self.selected))

    def on_resize(self) -> None:
        """The width of a line is that of the widget."""
        self.virtual_size = Size(self.size.width, len(self._ids) + 1)
        self._bring_into_view()

    def render_line(self, y: int) -> Strip:
        """The titles, a row, or nothing."""
        width = self.size.width
        widths = self._widths(width)
        if y == 0:
            texts = [Toned(title.text, "dim") for title in self._titles]
            return self._strip(texts, widths, width, Style())
        place = y - 1 + self.scroll_offset.y
        if place >= len(self._ids):
            self._drawn[y] = (0, ())
            text = self.empty if y == 1 and not self._ids else ""
            return Strip([Segment(text.ljust(width)[:width], self.rich_style)], width)
        row_id = self._ids[place]
        cells = self._cells(row_id)
        self._drawn[y] = (row_id, cells)
        style = self._chosen_style() if row_id == self.selected else Style()
        return self._strip(cells, widths, width, style)

    def _chosen_style(self) -> Style:
        return Style(reverse=True) if self.has_focus else Style(bold=True, underline=True)

    def _strip(self, cells: Sequence[str], widths: Sequence[int], width: int, over: Style) -> Strip:
        base = self.rich_style + over
        segments, used = [], 0
        for cell, title, room in zip(cells, self._titles, widths, strict=True):
            if not room:
                continue
            text = cut(one_line(cell), room)
            pad = " " * (room - text_width(text))
            shown = pad + text if title.right else text + pad
            tone = cell.tone if isinstance(cell, Toned) else ""
            segments += [Segment(shown, base + self._tone(tone, over)), Segment(" " * _GAP, base)]
            used += room + _GAP
        segments.append(Segment(" " * max(0, width - used), base))
        return Strip(segments).crop(0, width)

    def _tone(self, tone: str, over: Style) -> Style:
        if tone in ("bold", "dim"):
            return Style(bold=tone == "bold" or None, dim=tone == "dim" or None)
        theme = self.app.current_theme
        colours = {"good": theme.success, "bad": theme.error, "warn": theme.warning}
        colour = colours.get(tone)
        return Style() if colour is None or over.reverse else Style(color=colour)

    def _widths(self, width: int) -> list[int]:
        """Of each column, 0 for one that has to give way."""
        kept = set(range(len(self._titles)))
        while len(kept) > 1 and self._least(kept) > width:
            kept.remove(max(kept, key=lambda place: (self._titles[place].rank, place)))
        spare = max(0, width - self._least(kept))
        shares = sum(self._titles[place].share for place in kept)
        return [
            0 if place not in kept else title.width + spare * title.share // max(1, shares)
            for place, title in enumerate(self._titles)
        ]

    def _least(self, kept: set[int]) -> int:
        return sum(self._titles[place].width + _GAP for place in kept) - _GAP

    def _select(self, place: int) -> None:
        before, line = self.selected, self._place - self.scroll_offset.y + 1
        self._place = max(0, min(place, len(self._ids) - 1))
        self.selected = self._ids[self._place] if self._ids else 0
        self._bring_into_view()
        for y in (line, self._place - self.scroll_offset.y + 1):
            self.refresh(Region(0, y, self.size.width, 1))
        if self.selected != before:
            self.post_message(self.Selected(self.selected))

    def _bring_into_view(self) -> None:
        rows = max(1, self.size.height - 1)
        top = self.scroll_offset.y
        if self._place < top:
            self.scroll_to(y=self._place, animate=False, immediate=True)
        elif self._place >= top + rows:
            self.scroll_to(y=self._place - rows + 1, animate=False, immediate=True)
