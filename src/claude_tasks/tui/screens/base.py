"""What every screen does: its keys come from the registry, its data from the application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.screen import Screen
from textual.widgets import Footer

from claude_tasks.domain.errors import ClaudeTasksError
from claude_tasks.tui.actions import BY_ID

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from claude_tasks.tui.app import Interface
    from claude_tasks.tui.backend import Backend
    from claude_tasks.tui.dashboard import Dashboard


class BaseScreen(Screen[Any]):
    """``place`` is which actions it has, see `claude_tasks.tui.actions`."""

    place: ClassVar[str] = ""

    @property
    def interface(self) -> Interface:
        """The application."""
        return cast("Interface", self.app)

    @property
    def backend(self) -> Backend:
        """What it works with."""
        return self.interface.backend

    @property
    def is_whole(self) -> bool:
        """Whether its parts are there: not before it is mounted, nor while it is closed."""
        return self.app.is_running and self.is_attached and bool(self.query(Footer))

    def action_do(self, name: str) -> None:
        """Do one of the actions of the registry. What goes wrong is said, and changes nothing."""
        doing = getattr(self, f"do_{name}", None)
        if doing is None:
            self.notify(f"{BY_ID[name].label} has no meaning here", severity="warning")
            return
        self.begin(doing, group="actions")

    def begin(
        self,
        doing: Callable[[], Awaitable[None]],
        *,
        group: str = "default",
        exclusive: bool = False,
    ) -> None:
        """Do it beside everything else, so that it may wait for a dialog or for the database.

        An ``exclusive`` one takes the place of those of its ``group`` that still go on.
        """

        async def work() -> None:
            await self.interface.has_looked.wait()
            await self.attempt(doing)

        worker: Any = work  # what Textual says of its type fits no screen that gives a value
        self.run_worker(worker, group=group, exclusive=exclusive)

    async def attempt(self, doing: Callable[[], Awaitable[None]]) -> None:
        """Do it; an error that was foreseen is shown with what helps."""
        try:
            await doing()
        except ClaudeTasksError as error:
            hint = f"\n{error.hint}" if error.hint else ""
            self.notify(f"{error.message}{hint}", severity="error", timeout=10, markup=False)

    def show_dashboard(self, dashboard: Dashboard) -> None:
        """Something changed."""

    def tick(self) -> None:
        """A second has passed: spans that are shown grow."""

    async def do_help(self) -> None:
        """All keys."""
        from claude_tasks.tui.screens.pages import HelpPage

        chosen = await self.app.push_screen_wait(HelpPage(self.place, self.backend.call))
        if chosen:
            self.action_do(chosen)

    async def do_back(self) -> None:
        """To where one came from."""
        self.dismiss()

    async def do_quit(self) -> None:
        """Leave."""
        await self.interface.leave()

    async def do_suspend(self) -> None:
        """To the shell."""
        self.interface.stop_for_the_shell()
