"""Messages about runs arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.doctor.finding import (
    cannot_be_read,
    failed,
    passed,
    some,
    warned,
)
from claude_tasks.doctor.node_help import unread

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import (
        DatabaseFacts,
    )
    from claude_tasks.doctor.finding import Finding
    from claude_tasks.settings import Settings

from claude_tasks.domain.hint import Command
from claude_tasks.domain.notification import addresses_of


class ChannelFacts(NamedTuple):
    """Whether anybody is told: channels of the settings, and of how many enabled tasks.

    ``apprise`` says whether its package is there, None where no address asks for it.
    """

    general: tuple[str, ...] = ()
    tasks: int = 0
    apprise: bool | None = None


def channels(*, database: DatabaseFacts, settings: Settings) -> ChannelFacts:
    """Where messages go, those of tasks of their own included."""
    tasks = () if database.contents is None else database.contents.tasks
    general = settings.addresses
    own = [addresses_of(fact.task.spec) for fact in tasks]
    wanted = any("apprise" in addresses for addresses in (general, *own))
    apprise = _is_installed("apprise") if wanted else None
    return ChannelFacts(tuple(general), sum(map(bool, own)), apprise)


def _is_installed(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def judge(database: DatabaseFacts, channels: ChannelFacts) -> Finding:
    """Messages about runs arrive. WARN at most, if they can be read: runs do not need them."""
    name = "notifications"
    if channels.apprise is False:
        text = "an Apprise address is set, and the package is not installed"
        return warned(name, text, "pip install 'claude-tasks[apprise]'")
    contents = database.contents
    if contents is None and database.exists:
        return unread(name, database)
    illegible = [] if contents is None else contents.what_is_illegible("messages")
    if illegible:
        return failed(name, cannot_be_read(illegible))
    given_up = () if contents is None else contents.given_up
    if given_up:
        text = f"{len(given_up)} given up in the last day, the newest to {given_up[0]}"
        return warned(name, text, Command("notify"))
    if contents is not None and contents.stalled:
        text = some([channel.line for channel in contents.stalled])
        return warned(name, text, Command("notify", "test") if channels.general else None)
    own = f"{channels.tasks} task{'s' * (channels.tasks != 1)} with channels of their own"
    told = [*channels.general, *([own] if channels.tasks else [])]
    return passed(name, ", ".join(told) or "no channel is set: nobody is told of a failure")
