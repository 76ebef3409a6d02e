"""``notify``: where messages go, what became of the latest, and whether a channel works."""

from __future__ import annotations

from claude_tasks.cli.results import Result
from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.domain.hint import Command, Hint
from claude_tasks.domain.task_fields import ADDRESS_FIELDS
from claude_tasks.text.blocks import Pairs, Toned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context
    from claude_tasks.domain.task import Task
    from claude_tasks.text.blocks import Block
    from claude_tasks.wiring.channels import Addressed

DESCRIPTION = (
    "Without a task: where messages go that its task says nothing of. Addresses are secrets, and "
    "shown without what makes them one. test exits 1 when a channel does not take its message."
)
EXAMPLES = """
claude-tasks notify
claude-tasks notify test
claude-tasks notify test --task nightly
"""
_ACTIONS = ("test",)
_SHOWN = 20
_NAMED = 10
_NONE = "no channel is set, so nobody is told of anything"
_HOW = Hint(
    f"set one of {', '.join(ADDRESS_FIELDS)} in config.toml, or one for a task: ",
    Command("edit", "TASK", "--slack", "URL"),
)


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("action", metavar="test", nargs="?", help="send a test message")
    parser.add_argument("--task", metavar="TASK", help="as for this task, id or name")


def run(context: Context, arguments: Namespace) -> Result:
    """Look, or try."""
    task = None if arguments.task is None else context.find_task(arguments.task)
    if arguments.action is None:
        return _show(context, task)
    if arguments.action not in _ACTIONS:
        raise InvalidInputError(
            f"notify has no {arguments.action}",
            hint=f"one of: {', '.join(_ACTIONS)}",
            code="usage",
        )
    return _test(context, task)


def _show(context: Context, task: Task | None) -> Result:
    from claude_tasks.operations.notifications import delivery_view
    from claude_tasks.text.message_text import message_table
    from claude_tasks.wiring.channels import channels_of

    channels = channels_of(context.settings, task)
    messages = context.operations.notifications
    stalled = messages.stalled()
    own = [] if task is not None or channels else _with_own_channels(context)
    records = messages.latest(limit=_SHOWN, task_id=None if task is None else task.id)
    on = (
        context.settings.notify_on
        if task is None or task.spec.notify_on is None
        else task.spec.notify_on
    )

    def text() -> list[Block]:
        pairs = [("tells of", _WORDS[on]), *((each.channel, each.address) for each in channels)]
        return [Pairs(pairs), "", message_table(records, now=context.now())]

    return Result(
        data=lambda: {
            "notify_on": on,
            "channels": [{"channel": c.channel, "address": c.address} for c in channels],
            "deliveries": [delivery_view(record) for record in records],
        },
        text=text,
        notes=[*(f"Note: {channel.line}" for channel in stalled), *_none_set(channels, own)],
    )


def _with_own_channels(context: Context) -> list[str]:
    from claude_tasks.domain.notification import addresses_of

    return [str(each.task.id) for each in context.tasks.list() if addresses_of(each.task.spec)]


def _none_set(channels: Sequence[Addressed], own: list[str]) -> list[str]:
    """A sentence: no messages are sent, or only for tasks with their own addresses."""
    if channels:
        return []
    if own:
        some = ", ".join(own[:_NAMED]) + (", …" if len(own) > _NAMED else "")
        return [Hint(f"no channel is set but by tasks themselves: {some}; ", _HOW)]
    return [Hint(f"{_NONE}; ", _HOW)]


_WORDS = {
    "failure": "failures and skips (failure)",
    "always": "every run that ends (always)",
    "change": "tasks that start failing, and that recover (change)",
}


def _test(context: Context, task: Task | None) -> Result:
    from claude_tasks.wiring.channels import send_test_messages

    sent = send_test_messages(context.settings, task)
    if not sent:
        raise InvalidInputError(_NONE, hint=_HOW)
    return Result(
        data=lambda: [entry._asdict() for entry in sent],
        text=lambda: [Pairs([(entry.channel, _came(entry)) for entry in sent])],
        exit_code=0 if all(entry.delivered for entry in sent) else 1,
    )


def _came(entry: Addressed) -> Toned:
    if entry.delivered:
        return Toned(f"delivered to {entry.address}", "good")
    return Toned(f"not delivered: {entry.detail}", "bad")
