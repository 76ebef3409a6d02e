"""Parses, runs the command, prints; the one place where errors become exit codes."""

from __future__ import annotations

from claude_tasks.cli import exit_codes
from claude_tasks.cli.catalog import COMMANDS, PLAIN, STAYING
from claude_tasks.cli.render import Printer
from claude_tasks.domain.errors import ClaudeTasksError, InvalidInputError
from claude_tasks.domain.hint import PROGRAM, Command, Hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence
    from types import ModuleType, SimpleNamespace
    from typing import TextIO

    from claude_tasks.cli.arguments import Parser

_FLAGS_WITH_VALUE = ("--data",)
_GLOBAL_FLAGS = ("--data", "--json")
_UI, _UI_FLAG = "tui", "--scheduler"
"""The terminal UI, and its flag on the bare command."""
_OTHER_WORDS = {
    "del": "rm", "delete": "rm", "remove": "rm", "undelete": "restore",
    "ls": "list", "tasks": "list", "ps": "status", "kill": "cancel", "stop": "cancel",
    "start": "run", "log": "logs", "history": "runs", "new": "add", "create": "add",
    "info": "show", "update": "edit", "pause": "disable", "suspend": "disable", "off": "disable",
    "resume": "enable", "unpause": "enable", "on": "enable", "trigger": "run", "fire": "run",
}  # fmt: skip
"""The names of our commands in other programs."""


class Invocation:
    """What was asked for: a command's module and its arguments, or a text to show."""

    __slots__ = ("arguments", "command", "help", "module")

    def __init__(
        self,
        command: str,
        *,
        module: ModuleType | None = None,
        arguments: Namespace | SimpleNamespace | None = None,
        help_text: str = "",
    ) -> None:
        """``module`` and ``arguments``, or ``help_text``."""
        self.command = command
        self.module = module
        self.arguments = arguments
        self.help = help_text


def parse(
    argv: Sequence[str], *, width: int | None = None, on_terminal: bool = False
) -> Invocation:
    """Read the command line; nothing is done yet. Errors: `InvalidInputError`.

    ``width`` is that of the terminal, for a text to show. Without a command it is the terminal UI
    ``on_terminal``, else help.
    """
    given, rest = _leading_flags(list(argv))
    if not rest and on_terminal and "--json" not in given:
        return _command(_UI, given, width)
    if not rest or rest[0] in ("-h", "--help"):
        return _help(rest[1:], width)
    if rest[0].partition("=")[0] == _UI_FLAG:
        return _command(_UI, [*given, *rest], width)
    if rest[0] == "help":
        return _help([word for word in rest[1:] if word not in ("-h", "--help")], width)
    command = "version" if rest[0] in ("-V", "--version") else rest[0]
    return _command(command, [*given, *rest[1:]], width)


def run(
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: TextIO,
    stdout: TextIO,
    stderr: TextIO,
    program: str = PROGRAM,
) -> int:
    """Do what ``argv`` asks for; the exit code. Raises `BrokenPipeError` without a reader.

    ``program`` is how it was started, for hints.
    """
    printer = Printer(stdout, stderr, environment, as_json=_wants_json(argv), program=program)
    on_terminal = all(stream.isatty() for stream in (stdin, stdout, stderr))
    try:
        invocation = parse(argv, width=printer.width, on_terminal=on_terminal)
        return _execute(invocation, environment, printer, stdin)
    except ClaudeTasksError as error:
        return _refused(printer, error)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _refused(printer, _as_ours(error))
    except exit_codes.Terminated:
        return exit_codes.TERMINATED
    except KeyboardInterrupt:
        printer.note("interrupted")
        return exit_codes.INTERRUPTED


def _refused(printer: Printer, error: ClaudeTasksError) -> int:
    printer.error(error)
    return exit_codes.exit_code_of(error)


def _as_ours(error: OSError) -> ClaudeTasksError:
    """The error for a refusal of the system, with its text and the file."""
    place = f"{error.filename}: " if error.filename else ""
    return ClaudeTasksError(f"{place}{error.strerror or error}", code="system")


def load_command(command: str) -> tuple[Parser, ModuleType]:
    """A command's parser and module. Errors: `InvalidInputError` for an unknown command."""
    from claude_tasks.cli.arguments import Parser

    if command not in COMMANDS:
        raise _unknown_command(command)
    summary = COMMANDS[command][1]
    module = _module(command)
    described = getattr(module, "DESCRIPTIONS", {}).get(command) or module.DESCRIPTION
    examples = getattr(module, "EXAMPLES_OF", {}).get(command) or module.EXAMPLES
    summary = summary[0].upper() + summary[1:]
    parser = Parser(command, f"{summary}. {described}".strip(), examples)
    module.configure(parser)
    parser.add_common()
    parser.set_usage()
    return parser, module


def _command(command: str, words: Sequence[str], width: int | None) -> Invocation:
    plain = _plain_command(command, list(words)) if command in PLAIN else None
    if plain is not None:
        return plain
    parser, module = load_command(command)
    from claude_tasks.cli.arguments import HelpAsked

    try:
        return Invocation(command, module=module, arguments=parser.read(words, width=width))
    except HelpAsked as asked:
        return Invocation(command, help_text=str(asked))


def _plain_command(command: str, words: list[str]) -> Invocation | None:
    """Read a command without flags, without argparse: saves a quarter of ``python -c pass``.

    None where there is more to it, or something wrong with it.
    """
    values: dict[str, object] = {**PLAIN[command], "data": None, "json": False}
    while words:
        flag, joined, value = words.pop(0).partition("=")
        if value == "--":
            return None
        if flag == "--json" and not joined:
            values["json"] = True
        elif flag == "--data" and (joined or (words and not words[0].startswith("-"))):
            values["data"] = value if joined else words.pop(0)
        else:
            return None
    from types import SimpleNamespace

    return Invocation(command, module=_module(command), arguments=SimpleNamespace(**values))


def _module(command: str) -> ModuleType:
    name = COMMANDS[command][0]
    module: ModuleType = __import__(f"claude_tasks.cli.commands.{name}", fromlist=["run"])
    return module


def _help(words: Sequence[str], width: int | None) -> Invocation:
    if words and words[0] in COMMANDS and words[0] != "help":
        return _command(words[0], ["--help"], width)
    if words and not words[0].startswith("-") and words[0] != "help":
        raise _unknown_command(words[0])
    from claude_tasks.cli.overview import overview

    return Invocation("help", help_text=overview())


def _execute(
    invocation: Invocation, environment: Mapping[str, str], printer: Printer, stdin: TextIO
) -> int:
    if invocation.module is None:
        printer.text(invocation.help)
        return exit_codes.DONE
    if invocation.command in STAYING:
        import gc

        gc.enable()
    from claude_tasks.cli.context import Context

    assert invocation.arguments is not None  # it comes with the module
    invocation.arguments.command = invocation.command
    context = Context(environment, printer, stdin, data=invocation.arguments.data)
    try:
        result = invocation.module.run(context, invocation.arguments)
        printer.result(result)  # some of it is looked up only now
    finally:
        context.close()
    return int(result.exit_code)


def _leading_flags(argv: list[str]) -> tuple[list[str], list[str]]:
    """The global flags before the command, and the rest."""
    given: list[str] = []
    while argv and argv[0].partition("=")[0] in _GLOBAL_FLAGS:
        given.append(argv.pop(0))
        if given[-1] in _FLAGS_WITH_VALUE and argv:
            given.append(argv.pop(0))
    return given, argv


def _wants_json(argv: Sequence[str]) -> bool:
    """Known before parsing, so that a parsing error is printed as asked for."""
    words = list(argv)
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def _unknown_command(word: str) -> InvalidInputError:
    from claude_tasks.cli.suggest import did_you_mean

    known = [*COMMANDS] if not word.startswith("-") else ["--data", "--json", "--help", "--version"]
    near = did_you_mean(word, known, also=_OTHER_WORDS)
    kind = "flag" if word.startswith("-") else "command"
    help_ = Command("--help")
    hint = Hint(f"{near} See ", help_) if near else Hint(help_, " lists them")
    return InvalidInputError(f"there is no {kind} {word}", hint=hint, code="usage")
