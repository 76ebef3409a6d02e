"""The flags that say what a task is, shared by ``add`` and ``edit``, and the fields they become."""

from __future__ import annotations

import os

from claude_tasks.cli.arguments import Parser, typed
from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.domain.instant import human_duration
from claude_tasks.domain.schedule.duration import parse_duration
from claude_tasks.domain.task import (
    NOTIFY_ON,
    ONE_OFF,
    PERMISSION_MODES,
    Catchup,
    OnUsageLimit,
    Overlap,
    TaskSpec,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable
    from typing import Any

    from claude_tasks.cli.context import Context
    from claude_tasks.domain.task import Task

_CONFLICTING = ("cron", "every", "at", "now")

_TEXTS = (
    ("--model", "model", "NAME", "the agent's model"),
    ("--permission-mode", "permission_mode", "MODE", " | ".join(PERMISSION_MODES)),
    ("--append-system-prompt", "append_system_prompt", "TEXT", "added to the system prompt"),
    ("--overlap", "overlap", "RULE", "while it still runs: " + " | ".join(Overlap)),
    ("--catchup", "catchup", "RULE", "missed ticks: " + " | ".join(Catchup)),
    ("--notify-on", "notify_on", "WHEN", " | ".join(NOTIFY_ON) + " (default: as the settings say)"),
    ("--discord", "discord_webhook", "URL", "a Discord webhook to tell"),
    ("--slack", "slack_webhook", "URL", "a Slack webhook to tell"),
    ("--webhook", "webhook_url", "URL", "an address that gets signed JSON"),
    ("--apprise", "apprise_url", "URL", "any service of Apprise (needs claude-tasks[apprise])"),
    ("--on-usage-limit", "on_usage_limit", "RULE", "skip | defer (default: as the settings say)"),
)
_DURATIONS = (
    ("--timeout", "timeout_seconds", "end a run after this long, such as 30m"),
    ("--catchup-window", "catchup_window_seconds", "how late a missed tick still runs"),
    ("--jitter", "jitter_seconds", "start up to this much later, always the same for a task"),
)
_NUMBERS = (
    ("--retries", "max_retries", int, "after a transient failure"),
    ("--max-concurrency", "max_concurrency", int, "runs of this task at once"),
    ("--max-turns", "max_turns", int, "of the agent"),
    ("--max-budget", "max_budget_usd", float, "US dollars a run"),
)
_LISTS = (
    ("--allow-tool", "allowed_tools", "TOOL", "a tool the agent may use; repeatable"),
    ("--deny-tool", "disallowed_tools", "TOOL", "a tool it may not use; repeatable"),
    ("--tag", "tags", "TAG", "repeatable"),
)
_ONE_LINE = ("--model", *(row[0] for row in _LISTS))
_SIMPLE = tuple(row[1] for row in (*_TEXTS, *_DURATIONS, *_NUMBERS, *_LISTS))

CHOICES: dict[str, tuple[str, ...]] = {
    "--permission-mode": PERMISSION_MODES,
    "--overlap": tuple(Overlap),
    "--catchup": tuple(Catchup),
    "--on-usage-limit": tuple(OnUsageLimit),
    "--notify-on": NOTIFY_ON,
}
"""For completion; whether a word is one of them, operations decide."""

FIELD_OF = {
    row[0].removeprefix("--"): row[1] for row in (*_TEXTS, *_DURATIONS, *_NUMBERS, *_LISTS)
} | {"extra-args": "extra_args"}
"""What can be cleared, by the name of its flag."""


FLAG_OF = {field: f"--{flag}" for flag, field in FIELD_OF.items()}


def add_task_flags(parser: Parser) -> None:
    """All flags of a task."""
    when = parser.add_argument_group("when (one of)")
    when.add_argument("--cron", metavar="EXPR", help="'0 9 * * 1-5', 6 fields, or @daily")
    when.add_argument("--every", metavar="SPAN", help="90s, 30m, 1h30m, 2d")
    when.add_argument("--at", metavar="TIME", help="once: 'tomorrow 9am', 'in 2h', ISO time")
    when.add_argument("--now", action="store_true", help="once, at once")
    when.add_argument("--tz", metavar="ZONE", help="IANA zone (default: this machine's)")
    what = parser.add_argument_group("what")
    what.add_argument("--prompt", metavar="TEXT", help="instead of the word PROMPT")
    what.add_argument("--prompt-file", metavar="FILE", help="read the prompt there; - is stdin")
    what.add_argument("--dir", metavar="DIR", help="where the agent works (default: here)")
    how = parser.add_argument_group("how")
    for flag, field, metavar, text in _TEXTS:
        help_ = f"{text}{_default(field)}"
        how.add_argument(flag, dest=field, metavar=metavar, help=help_)
    for flag, field, text in _DURATIONS:
        convert, help_ = typed(flag, parse_duration), f"{text}{_default(field)}"
        how.add_argument(flag, dest=field, metavar="SPAN", type=convert, help=help_)
    for flag, field, kind, text in _NUMBERS:
        convert, help_ = typed(flag, kind), f"{text}{_default(field)}"
        how.add_argument(flag, dest=field, metavar="N", type=convert, help=help_)
    for flag, field, metavar, text in _LISTS:
        how.add_argument(flag, dest=field, metavar=metavar, action="append", help=text)


def _default(field: str) -> str:
    value = TaskSpec._field_defaults[field]
    if value is None:
        return ""
    shown = human_duration(value * 1000) if field.endswith("_seconds") and value else value
    return f" (default: {shown})"


def naming_flags(change: Callable[[], Task]) -> Task:
    """What ``change`` gives, its refusals in the words of the command line: flags, not fields."""
    try:
        return change()
    except InvalidInputError as error:
        for flag, field in FIELD_OF.items():
            rest = error.message.removeprefix(field)
            if rest != error.message and rest.startswith((" must", ":")):
                unit = " seconds" if field.endswith("_seconds") else ""
                message = f"--{flag}{rest}{unit}"
                raise InvalidInputError(message, hint=error.hint, code=error.code) from error
        raise


def named_fields(arguments: Namespace) -> dict[str, Any]:
    """The fields whose flag was given, but for prompt and schedule."""
    fields: dict[str, Any] = {}
    for name in _SIMPLE:
        value = getattr(arguments, name)
        if value is not None:
            _check_lines(FLAG_OF[name], value)
            fields[name] = tuple(value) if isinstance(value, list) else value
    if arguments.extra_args:
        fields["extra_args"] = arguments.extra_args
    if arguments.tz is not None:
        fields["timezone"] = arguments.tz
    return fields


def _check_lines(flag: str, value: object) -> None:
    """A name that is typed and shown is one line, without what steers a terminal."""
    for word in value if isinstance(value, list) else [str(value)]:
        if flag in _ONE_LINE and not word.isprintable():
            raise InvalidInputError(f"{flag}: one line without control characters", code="usage")


def given_dir(context: Context, folder: str | None) -> dict[str, Any]:
    """The working directory, absolute: a daemon has another current directory."""
    if folder is None:
        return {}
    path = os.path.expanduser(folder)
    if not os.path.isabs(path):
        path = os.path.join(context.folder_here(), path)
    return {"working_dir": os.path.normpath(path)}


def given_schedule(context: Context, arguments: Namespace, timezone: str) -> dict[str, Any]:
    """The schedule that was named, {} for none. Errors: `InvalidInputError` for two."""
    named = [name for name in _CONFLICTING if getattr(arguments, name)]
    if len(named) > 1:
        raise InvalidInputError(f"--{named[0]} and --{named[1]}: give one of them", code="usage")
    if arguments.cron is not None:
        if not arguments.cron.strip():
            raise InvalidInputError("--cron: it is empty", hint="for a task that runs once: --at")
        return {"cron_expr": arguments.cron}
    if arguments.every is not None:
        return {"cron_expr": f"@every {arguments.every.strip()}"}
    if arguments.now or " ".join((arguments.at or "").lower().split()) == "now":
        return {"cron_expr": ONE_OFF, "scheduled_at": None}
    if arguments.at is None:
        return {}
    from claude_tasks.domain.schedule.moment import parse_moment

    moment = parse_moment(arguments.at, at=context.now(), timezone=timezone)
    return {"cron_expr": ONE_OFF, "scheduled_at": moment}


def given_prompt(context: Context, arguments: Namespace, word: str | None) -> str | None:
    """The prompt from the word, --prompt, a file or standard input; None when none is named."""
    sources = [name for name in (word, arguments.prompt, arguments.prompt_file) if name is not None]
    if len(sources) > 1:
        raise InvalidInputError("the prompt is given twice", code="usage")
    if word == "-" or arguments.prompt_file == "-":
        return context.read_stdin()
    if arguments.prompt_file is None:
        return word if word is not None else arguments.prompt
    return read_text(arguments.prompt_file)


def read_text(path: str) -> str:
    """A file's text. Errors: `InvalidInputError`."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise InvalidInputError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path}: not UTF-8 text") from error
