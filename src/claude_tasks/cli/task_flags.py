"""The flags that say what a task is, shared by ``add`` and ``edit``, and the fields they become."""

from __future__ import annotations

import os

from claude_tasks.cli.arguments import Parser, typed
from claude_tasks.domain.errors import FieldError, InvalidInputError
from claude_tasks.domain.instant import human_duration
from claude_tasks.domain.schedule.duration import parse_duration
from claude_tasks.domain.task_fields import FIELDS, ONE_OFF, Field, Group, Kind, Unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace, _ArgumentGroup
    from collections.abc import Callable
    from typing import Any

    from claude_tasks.cli.context import Context
    from claude_tasks.domain.task import Task

_CONFLICTING = ("cron", "every", "at", "now")

FLAGGED = tuple(field for field in FIELDS.values() if field.flag)
"""The fields with exactly one flag. Schedule, prompt and folder have several, or a plain word."""

CHOICES = {field.flag: field.choices for field in FLAGGED if field.choices}
"""For completion; whether a word is one of them, operations decide."""

FIELD_OF = {field.flag.removeprefix("--"): field.name for field in FLAGGED} | {
    "extra-args": "extra_args"
}
"""What can be cleared, by the name of its flag."""

FLAG_OF = {field: f"--{flag}" for flag, field in FIELD_OF.items()}


def add_task_flags(parser: Parser) -> None:
    """All flags of a task."""
    when = parser.add_argument_group("when (one of)")
    when.add_argument("--cron", metavar="EXPR", help="'0 9 * * 1-5', 6 fields, or @daily")
    when.add_argument("--every", metavar="SPAN", help="90s, 30m, 1h30m, 2d")
    when.add_argument("--at", metavar="TIME", help="once: 'tomorrow 9am', 'in 2h', ISO time")
    when.add_argument("--now", action="store_true", help="once, at once")
    what = parser.add_argument_group("what")
    what.add_argument("--prompt", metavar="TEXT", help="instead of the word PROMPT")
    what.add_argument("--prompt-file", metavar="FILE", help="read the prompt there; - is stdin")
    what.add_argument("--dir", metavar="DIR", help="where the agent works (default: here)")
    groups = {Group.WHEN: when, Group.WHAT: what}
    for field in FLAGGED:
        if field.group not in groups:
            groups[field.group] = parser.add_argument_group(field.group)
        _add_flag(groups[field.group], field)


def _add_flag(group: _ArgumentGroup, field: Field) -> None:
    help_ = f"{_help_of(field)}{_default(field)}"
    if field.kind is Kind.LIST:
        group.add_argument(
            field.flag, dest=field.name, metavar=field.metavar, action="append", help=help_
        )
        return
    convert: Callable[[str], Any] = str
    if field.unit is Unit.SECONDS:
        convert = parse_duration
    elif field.kind in (Kind.WHOLE, Kind.NUMBER):
        convert = int if field.kind is Kind.WHOLE else float
    group.add_argument(
        field.flag,
        dest=field.name,
        metavar=field.metavar,
        type=None if convert is str else typed(field.flag, convert),  # type: ignore[arg-type]
        help=help_,
    )


def _help_of(field: Field) -> str:
    return ": ".join(part for part in (field.help, " | ".join(field.choices)) if part)


def _default(field: Field) -> str:
    value = field.default
    if field.unset:
        return f" (default: {field.unset})"
    if value in (None, ()):
        return ""
    shown = human_duration(value * 1000) if field.unit is Unit.SECONDS and value else value
    return f" (default: {shown})"


def naming_flags(change: Callable[[], Task]) -> Task:
    """What ``change`` gives, its refusals in the words of the command line: flags, not fields."""
    try:
        return change()
    except FieldError as error:
        if error.field not in FLAG_OF:
            raise
        raise FieldError(FLAG_OF[error.field], error.problem, hint=error.hint) from error


def named_fields(arguments: Namespace) -> dict[str, Any]:
    """The fields whose flag was given, but for prompt and schedule."""
    fields: dict[str, Any] = {}
    for field in FLAGGED:
        value = getattr(arguments, field.name)
        if value is not None:
            _check_lines(field, value)
            fields[field.name] = tuple(value) if field.kind is Kind.LIST else value
    if arguments.extra_args:
        fields["extra_args"] = arguments.extra_args
    return fields


def _check_lines(field: Field, value: object) -> None:
    """A name that is typed and shown is one line, without what steers a terminal."""
    for word in value if isinstance(value, list) else [str(value)]:
        if field.is_line and not word.isprintable():
            text = f"{field.flag}: one line without control characters"
            raise InvalidInputError(text, code="usage")


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
