"""A screen with a list that can be searched: the tasks, the runs."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from textual.widgets import Input

from claude_tasks.tui.row_table import RowTable
from claude_tasks.tui.screens.base import BaseScreen


class ListScreen(BaseScreen):
    """Has a `RowTable`, and an `Input` named ``filter`` above it, which is there while it is used.

    After Enter the list has all its keys, and the filter stays.
    """

    DEFAULT_CSS = """
    ListScreen #head { height: auto; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    ListScreen #filter { display: none; height: 1; border: none; padding: 0 1; }
    ListScreen #filter.on { display: block; }
    ListScreen RowTable { padding: 0 1; }
    """
    filter_help: ClassVar[str] = ""
    """What stands in the filter while it is empty."""

    @property
    def table(self) -> RowTable:
        """The list."""
        return self.query_one(RowTable)

    @property
    def filter_text(self) -> str:
        """What is looked for, "" for everything."""
        return self._filter.value

    @property
    def _filter(self) -> Input:
        return self.query_one("#filter", Input)

    def filter_input(self) -> Input:
        """The filter, to be composed."""
        return Input(id="filter", placeholder=self.filter_help, compact=True)

    @abstractmethod
    def filter_changed(self) -> None:
        """Show what fits now."""

    @abstractmethod
    async def do_open(self) -> None:
        """Open what is selected."""

    def on_row_table_opened(self) -> None:
        """A double click."""
        self.begin(self.do_open)

    async def do_search(self) -> None:
        """Type into the filter."""
        self._filter.add_class("on")
        self._filter.focus()

    def on_input_changed(self) -> None:
        """The list follows what is typed, and its first row is selected."""
        self.filter_changed()
        if self._filter.has_focus:
            self.table.action_to_end(-1)

    def on_input_submitted(self) -> None:
        """The keys go back to the list; the filter stays."""
        self.table.focus()
        self._filter.set_class(bool(self.filter_text), "on")

    def set_filter(self, text: str) -> None:
        """Look for this; "" for everything."""
        self._filter.value = text
        self._filter.set_class(bool(text), "on")
        self.table.focus()

    @property
    def is_filtering(self) -> bool:
        """Whether something is looked for, or about to be."""
        return bool(self.filter_text) or self._filter.has_focus
