"""A command's parser: argparse, with errors raised, near words suggested, ``--help`` returned."""

from __future__ import annotations

import argparse

from claude_tasks.cli.suggest import did_you_mean
from claude_tasks.domain.errors import ClaudeTasksError, InvalidInputError
from claude_tasks.domain.hint import Command, Hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn


_HELP_WIDTH = 96
_EXAMPLES = "examples:"
_LARGEST = 2**63 - 1
"""The largest number that a column of the database stores."""
_SHOWN_LENGTH = 60
"""Characters of a value in a message."""

# Argparse looks for a translation of each of its texts: 1.5 ms a command, for texts that exist in
# English only.
setattr(argparse, "_", str)  # noqa: B010 (no public way)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Takes the width as given: to find it, argparse loads shutil and its compressors, 2 ms."""

    def __init__(self, prog: str, width: int = _HELP_WIDTH) -> None:
        super().__init__(prog, max_help_position=26, width=width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Examples stay as they are, to be copied."""
        if text.startswith(_EXAMPLES):
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)  # noqa: SLF001 (its base)


class HelpAsked(Exception):  # noqa: N818 (it is an answer, no error)
    """The command was asked to explain itself; its text is the argument."""


class Parser(argparse.ArgumentParser):
    """The flags of one command. Positional words and flags may come in any order."""

    def __init__(self, command: str, description: str, examples: str) -> None:
        """``examples`` are shown as they stand."""
        super().__init__(
            prog=Command(command),
            description=description,
            epilog=f"{_EXAMPLES}\n{_indented(examples)}" if examples else None,
            formatter_class=_Formatter,
            allow_abbrev=False,
            add_help=False,
            usage="",
        )
        self.command = command
        self._width = _HELP_WIDTH
        self.takes_extra = False
        """Whether words after ``--`` go to the agent, as ``extra_args``."""

    def add_common(self) -> None:
        """The flags that every command has."""
        group = self.add_argument_group("everywhere")
        group.add_argument("--data", metavar="DIR", help="data folder (CLAUDE_TASKS_DATA)")
        group.add_argument("--json", action="store_true", help="print JSON, errors too")
        group.add_argument("-h", "--help", action="store_true", help="this text")

    def set_usage(self) -> None:
        """One short line; argparse's own would list every flag, and load shutil."""
        words = [_word(action) for action in self._actions if not action.option_strings]
        extra = ["[-- agent flags]"] if self.takes_extra else []
        self.usage = " ".join([self.prog, *words, "[flags]", *extra])

    def read(self, argv: Sequence[str], *, width: int | None = None) -> argparse.Namespace:
        """The arguments. Errors: `HelpAsked`; `InvalidInputError` for whatever is wrong.

        ``width`` is that of the terminal, for help.
        """
        for word in argv:
            self._check_text(word)
        words, extra = self._split(list(argv))
        if "-h" in words or "--help" in words:
            self._width = min(width or _HELP_WIDTH, _HELP_WIDTH)
            raise HelpAsked(self.format_help())
        arguments, unknown = self.parse_known_intermixed_args(words)
        if unknown:
            raise self._unknown(unknown[0])
        if self.takes_extra:
            arguments.extra_args = tuple(extra)
        return arguments

    def error(self, message: str) -> NoReturn:
        """Argparse's own complaints, as our error."""
        text = message.removeprefix("argument ")
        raise InvalidInputError(text, hint=Command(self.command, "--help"), code="usage")

    def _check_text(self, word: str) -> None:
        """Refuse invalid UTF-8: Python passes it as lone surrogates, which cannot be stored."""
        flag = word.partition("=")[0] if word.startswith("-") else None
        if "\0" in word:
            self.error(f"{flag or _shown(word)}: a NUL character cannot be part of it")
        try:
            word.encode()
        except UnicodeEncodeError as error:
            around = word[max(0, error.start - _SHOWN_LENGTH // 2) : error.start + 1]
            raw = (flag or f"'{around}'").encode(errors="surrogateescape")
            self.error(f"{raw.decode(errors='backslashreplace')}: not UTF-8 text")

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """Refuse a flag's value that is missing or empty.

        Argparse alone would skip ``--`` and go on.
        """
        if not action.option_strings or action.nargs is not None:
            return super()._get_values(action, arg_strings)
        value = arg_strings[-1] if arg_strings else ""
        flag = action.option_strings[-1]
        if value == "--":
            self.error(f"{flag}: -- is no value")
        if action.type is None and not value.strip():  # else its converter says what it takes
            self.error(f"{flag}: it is empty")
        return super()._get_values(action, [value])

    def _get_formatter(self) -> argparse.HelpFormatter:
        return _Formatter(self.prog, self._width)

    def flags(self) -> dict[str, str | None]:
        """Every flag with its help; for completion."""
        return {
            flag: action.help
            for action in self._actions
            for flag in action.option_strings
            if action.help != argparse.SUPPRESS
        }

    def _split(self, argv: list[str]) -> tuple[list[str], list[str]]:
        if not self.takes_extra or "--" not in argv:
            return argv, []
        place = argv.index("--")
        return argv[:place], argv[place + 1 :]

    def _unknown(self, word: str) -> InvalidInputError:
        help_ = Command(self.command, "--help")
        if not word.startswith("-"):
            return InvalidInputError(f"one word too many: {word!r}", hint=help_, code="usage")
        flag = word.partition("=")[0]
        near = did_you_mean(flag, self.flags())
        hint = Hint(f"{near} See ", help_) if near else help_
        return InvalidInputError(f"{self.command} has no flag {flag}", hint=hint, code="usage")


def typed(flag: str, convert: Callable[[str], Any]) -> Callable[[str], Any]:
    """A converter whose errors name the flag."""

    def converter(text: str) -> Any:
        try:
            value = convert(text)
        except ClaudeTasksError as error:
            raise InvalidInputError(f"{flag}: {error.message}", hint=error.hint) from error
        except (ValueError, OverflowError):
            kind = "a whole number" if convert is int else "a number"
            raise InvalidInputError(f"{flag}: {_shown(text)} is not {kind}", code="usage") from None
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise InvalidInputError(f"{flag}: {_shown(text)} is too large", code="usage")
        return value

    return converter


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…")


def _word(action: argparse.Action) -> str:
    word = str(action.metavar)
    return f"[{word}]" if action.nargs == "?" else word


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines())
