"""Commands of this program, and prose with such commands in it.

Both are plain texts in JSON, logs, rows and comparisons. Only the command line uses ``called``,
with the name by which its process was started, so that a user can type what it prints.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without the cost of the import
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

PROGRAM = "claude-tasks"


class Placeholder(str):
    """A word to be replaced before a command is typed: ``<TIME>``, ``"PROMPT"``. Never quoted."""

    __slots__ = ()


class Command(str):
    """One command of this program: ``Command("edit", 3, "--dir", "a b")``, quoted for a shell."""

    __slots__ = ("words",)
    words: tuple[str, ...]
    """The words after the program's name, not quoted."""

    def __new__(cls, *words: object) -> Self:
        """A `Placeholder` is kept unchanged, any other word is quoted."""
        shown = (word if isinstance(word, Placeholder) else quoted(str(word)) for word in words)
        command = super().__new__(cls, " ".join((PROGRAM, *shown)))
        command.words = tuple(
            word if isinstance(word, Placeholder) else str(word) for word in words
        )
        return command

    def __reduce__(self) -> tuple[type[Self], tuple[str, ...]]:
        """For copies."""
        return type(self), self.words

    def called(self, program: str) -> str:
        """The same where the program is started with ``program``."""
        return program + self[len(PROGRAM) :]


class Hint(str):
    """Prose with commands in it: ``Hint("start one with: ", Command("daemon"))``."""

    __slots__ = ("parts",)
    parts: tuple[str, ...]

    def __new__(cls, *parts: str) -> Self:
        """The parts in their order; a part may be a hint."""
        flat: list[str] = []
        for part in parts:
            flat += part.parts if isinstance(part, Hint) else (part,)
        hint = super().__new__(cls, "".join(flat))
        hint.parts = tuple(flat)
        return hint

    def __reduce__(self) -> tuple[type[Self], tuple[str, ...]]:
        """For copies."""
        return type(self), self.parts

    def called(self, program: str) -> str:
        """The text, each command in it started with ``program``."""
        return "".join(called(part, program) for part in self.parts)


def called(text: str, program: str) -> str:
    """The text with its commands started with ``program``; plain text as it is."""
    return text.called(program) if isinstance(text, (Command, Hint)) else text


def joined(separator: str, texts: Iterable[str]) -> Hint:
    """Like ``separator.join``, but the commands in the texts stay commands."""
    parts: list[str] = []
    for text in texts:
        parts += (separator, text)
    return Hint(*parts[1:])


def quoted(word: str) -> str:
    """Like `shlex.quote`, without its import of regular expressions."""
    plain = word.isascii() and all(it.isalnum() or it in "@%+=:,./-_" for it in word)
    return word if plain and word else "'" + word.replace("'", "'\"'\"'") + "'"
