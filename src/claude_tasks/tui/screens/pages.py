"""Pages to read: help, why, doctor, settings, agenda."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, OptionList, Static
from textual.widgets.option_list import Option

from claude_tasks.domain.hint import called
from claude_tasks.domain.instant import DAY_MS
from claude_tasks.domain.store_records import RunFilter
from claude_tasks.operations.agenda import agenda
from claude_tasks.operations.folders import with_folder
from claude_tasks.text.blocks import Pairs, Raw, Table, Toned
from claude_tasks.text.layout import pair_lines, table_lines
from claude_tasks.text.times import relative, zone_clock
from claude_tasks.text.why_text import why_text
from claude_tasks.tui.actions import ACTIONS, PAGE, bindings, shown_key
from claude_tasks.tui.screens.base import BaseScreen
from claude_tasks.tui.timeline import LEGEND, lanes, name_cell, scale

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from typing import Self

    from textual.app import ComposeResult

    from claude_tasks.domain.run import Run
    from claude_tasks.operations.agenda import Due
    from claude_tasks.operations.facade import Operations
    from claude_tasks.text.blocks import Block
    from claude_tasks.tui.backend import Backend

    Look = Callable[[Backend], Awaitable[Sequence[Block]]]

_MOST_RUNS = 2_000
_WIDE = 120
"""So many columns show the command that does the same, too."""
_STYLES = {"good": "green", "bad": "red", "warn": "yellow", "dim": "dim", "bold": "bold"}


def as_text(blocks: Sequence[Block], width: int) -> Text:
    """Blocks of text as the command line shows them, in colour."""
    text = Text()

    def paint(words: str, tone: str) -> str:
        return f"\x00{tone}\x01{words}\x02" if tone and words else words

    for block in blocks:
        if isinstance(block, Table):
            lines = table_lines(block, width, paint) if block.rows else [block.empty]
        elif isinstance(block, Pairs):
            lines = pair_lines(block, paint)
        else:
            said: str = block.text if isinstance(block, Raw) else block
            tone = block.tone if isinstance(block, Toned) else ""
            lines = [paint(line, tone) for line in said.splitlines()] or [""]
            if isinstance(block, Joined):
                lines = ["".join(paint(*part) for part in block.parts)]
        for line in lines:
            _append(text, line)
    return text


def _append(text: Text, line: str) -> None:
    """A line whose toned parts are marked, see `as_text`."""
    first, *parts = line.split("\x00")
    text.append(first)
    for part in parts:
        tone, _, rest = part.partition("\x01")
        words, _, plain = rest.partition("\x02")
        text.append(words, style=_STYLES.get(tone, ""))
        text.append(plain)
    text.append("\n")


class Page(BaseScreen):
    """Text that is looked up when the page opens, and again with F5."""

    place = PAGE
    BINDINGS: ClassVar = [*bindings(PAGE), Binding("f5", "look_again", "Look again")]
    DEFAULT_CSS = """
    Page #title { height: 1; text-style: bold; padding: 0 1; }
    Page VerticalScroll { height: 1fr; padding: 0 1; }
    """

    def __init__(self, title: str, look: Look) -> None:
        """``look`` gives the blocks to show."""
        super().__init__()
        self._heading = title
        self._look = look

    def compose(self) -> ComposeResult:
        """Title, text, keys."""
        yield Static(self._heading, id="title", markup=False)
        with VerticalScroll():
            yield Static("Looking …", id="text", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Scrolls at once."""
        self.query_one(VerticalScroll).focus()
        self.action_look_again()

    def action_look_again(self) -> None:
        """Look it up anew."""
        self.begin(self._fill, exclusive=True)

    async def _fill(self) -> None:
        blocks = await self._look(self.backend)
        room = max(40, self.size.width - 4)
        self.query_one("#text", Static).update(as_text(blocks, room))


def why_page(task_id: int, name: str) -> Page:
    """Why a task did or did not run."""

    async def look(backend: Backend) -> Sequence[Block]:
        found = await backend.read(lambda operations: operations.status.why(task_id))
        found = await asyncio.to_thread(with_folder, found)
        return why_text(found, now=backend.now())

    return Page(f"Why · {name}", look)


def doctor_page() -> Page:
    """The same checks as ``claude-tasks doctor``, with the commands that help."""

    async def look(backend: Backend) -> Sequence[Block]:
        report = await asyncio.to_thread(backend.examine)
        blocks: list[Block] = []
        for finding in report.findings:
            tone = {"PASS": "good", "WARN": "warn"}.get(finding.verdict.value, "bad")
            blocks.append(Toned(f"{finding.verdict.value}  {finding.id}", tone))
            blocks.append(f"      {' '.join(finding.detail.split())}")
            blocks += [Toned(f"      fix: {finding.fix}", "bold")] if finding.fix else []
        return blocks

    return Page("Doctor", look)


def settings_page() -> Page:
    """Every setting, its value, where that comes from."""

    async def look(backend: Backend) -> Sequence[Block]:
        lines = backend.settings()
        tones = ("" if line.origin == "default" else "bold" for line in lines)
        return [
            Pairs([
                (line.name, Toned(f"{line.value}  ({line.origin})", tone))
                for line, tone in zip(lines, tones, strict=True)
            ])
        ]  # fmt: skip

    return Page("Settings", look)


def agenda_page() -> Page:
    """Everything that is due in the next 24 h, in order."""

    async def look(backend: Backend) -> Sequence[Block]:
        now = backend.now()
        entries = await backend.read(
            lambda operations: agenda(operations.tasks.list(), until=now + DAY_MS)
        )
        if not entries:
            return ["Nothing is due in the next 24 hours."]
        pairs = []
        for due in entries:
            often = f": {due.often}" if due.often else ""
            clock = zone_clock(due.at, due.timezone, now=now)
            pairs.append((relative(due.at, now=now), f"{clock}  {due.task_name}{often}"))
        return [Pairs(pairs)]

    return Page("Agenda · the next 24 hours", look)


def timeline_page(width: int) -> Page:
    """The last and the next 24 hours, a lane for each task; ``width`` is in cells."""

    async def look(backend: Backend) -> Sequence[Block]:
        now, room = backend.now(), max(60, width - 4)

        def find(operations: Operations) -> tuple[list[Run], list[Due]]:
            wanted = RunFilter(since=now - DAY_MS, limit=_MOST_RUNS)
            due = agenda(operations.tasks.list(), until=now + DAY_MS)
            return operations.runs.list(wanted), due

        runs, due = await backend.read(find)
        lines: list[Block] = [
            Joined([(name_cell(lane.name), "bold"), (" ", ""), *lane.cells])
            for lane in lanes(reversed(runs), due, now=now, width=room)
        ]
        if not lines:
            return ["Nothing ran in the last 24 hours, and nothing is due in the next."]
        head = Toned(scale(now=now, timezone=backend.zone, width=room), "dim")
        return [head, *lines, "", Toned(f"{LEGEND}   times: {backend.zone}", "dim")]

    return Page("Timeline · the last and the next 24 hours", look)


class Joined(str):
    """One line of several toned parts."""

    __slots__ = ("parts",)
    parts: tuple[tuple[str, str], ...]

    def __new__(cls, parts: Iterable[tuple[str, str]]) -> Self:
        """Text and tone of each."""
        given = tuple(parts)
        line = super().__new__(cls, "".join(text for text, _ in given))
        line.parts = given
        return line


class HelpPage(ModalScreen[str]):
    """All keys, searched by typing; Enter does what is chosen. Gives the action's id, or ""."""

    BINDINGS: ClassVar = [
        Binding("escape", "close", "Close"),
        Binding("down", "app.focus_next", show=False),
    ]
    DEFAULT_CSS = """
    HelpPage { align: center middle; }
    HelpPage > VerticalScroll { width: 90%; height: 90%; border: round $primary; padding: 0 1;
                                background: $surface; }
    HelpPage OptionList { height: 1fr; border: none; }
    """

    def __init__(self, place: str, call: str) -> None:
        """``place`` is where it was asked for: its actions come first, and can be done.

        ``call`` is how this program is started.
        """
        super().__init__()
        self._place = place
        self._call = call

    def compose(self) -> ComposeResult:
        """What to look for, and what there is."""
        with VerticalScroll(can_focus=False):
            yield Input(placeholder="type to search, Enter does it, Esc closes")
            yield OptionList()

    def on_mount(self) -> None:
        """Everything, until something is typed."""
        self._fill("")
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search."""
        self._fill(event.value)

    def on_input_submitted(self) -> None:
        """Do the first that was found."""
        options = self.query_one(OptionList)
        first = next((option for option in options.options if not option.disabled), None)
        self.dismiss("" if first is None else str(first.id))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Do that one."""
        self.dismiss(str(event.option.id))

    def action_close(self) -> None:
        """Nothing."""
        self.dismiss("")

    def _fill(self, words: str) -> None:
        options = self.query_one(OptionList)
        options.clear_options()
        wanted = words.lower().split()
        here = [action for action in ACTIONS if self._place in action.places]
        others = [action for action in ACTIONS if self._place not in action.places]
        for action in [*here, *others]:
            text = f"{action.label} {action.help} {action.twin}".lower()
            if all(word in text for word in wanted):
                row = Text(no_wrap=True, overflow="ellipsis")  # one line, however narrow
                row.append(f"{shown_key(action.keys):<8}", style="bold")
                row.append(f"{action.label:<10} {action.help}")
                if self.size.width >= _WIDE:
                    row.append(f"   {called(action.twin, self._call)}", style="dim")
                options.add_option(Option(row, id=action.id, disabled=action not in here))
        if not options.option_count:
            options.add_option(Option("Nothing found.", disabled=True))
