"""The real CLI's flags, read as it reads them: commander's rules and wording (2.1.330)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SWITCH, VALUE, OPTIONAL, MANY = "switch", "value", "optional", "many"

_SWITCHES = (
    "--print -p --verbose --version -v --help -h --continue -c --fork-session --bare --brief --ide"
    " --dangerously-skip-permissions --allow-dangerously-skip-permissions --no-chrome --chrome"
    " --include-partial-messages --include-hook-events --replay-user-messages --restricted"
    " --no-session-persistence --strict-mcp-config --disable-slash-commands --safe-mode"
    " --exclude-dynamic-system-prompt-sections --forward-subagent-text"
)
_VALUES = {
    "--append-system-prompt": "prompt",
    "--system-prompt": "prompt",
    "--agent": "agent",
    "--agents": "json-or-file",
    "--debug-file": "path",
    "--effort": "level",
    "--fallback-model": "model",
    "--input-format": "format",
    "--json-schema": "schema",
    "--max-budget-usd": "amount",
    "--max-turns": "turns",
    "--model": "model",
    "--name": "name",
    "--output-format": "format",
    "--permission-mode": "mode",
    "--permission-prompts": "target",
    "--plugin-dir": "path",
    "--session-id": "uuid",
    "--setting-sources": "sources",
    "--settings": "file-or-json",
}
_OPTIONALS = {"--resume": "value", "--worktree": "name", "--debug": "filter"}
_MANY = {
    "--add-dir": "directories...",
    "--allowedTools": "tools...",
    "--betas": "betas...",
    "--disallowedTools": "tools...",
    "--file": "specs...",
    "--mcp-config": "configs...",
    "--tools": "tools...",
}
_ALIASES = {
    "-p": "--print",
    "-v": "--version",
    "-h": "--help",
    "-c": "--continue",
    "-r": "--resume",
    "-w": "--worktree",
    "-d": "--debug",
    "-n": "--name",
    "--allowed-tools": "--allowedTools",
    "--disallowed-tools": "--disallowedTools",
}
_CHOICES = {
    "--output-format": ("text", "json", "stream-json"),
    "--input-format": ("text", "stream-json"),
    "--permission-mode": (
        "acceptEdits",
        "auto",
        "bypassPermissions",
        "manual",
        "dontAsk",
        "plan",
    ),
}
_QUIETLY_ACCEPTED = {"--permission-mode": ("default",)}


class RejectedError(Exception):
    """The command line, or what it asks for, is refused: the text for stderr, exit 1."""


class Flags:
    """The command line as read: ``get("--model")``, ``has("--verbose")``, and the prompt words."""

    def __init__(self) -> None:
        """Nothing given yet."""
        self.given: dict[str, Any] = {}
        self.words: list[str] = []
        self.swallowed: tuple[str, str] | None = None

    def has(self, name: str) -> bool:
        """Whether the flag was given at all."""
        return name in self.given

    def get(self, name: str, default: str = "") -> str:
        """The value of a flag that takes one."""
        return str(self.given.get(name, default))

    def many(self, name: str) -> list[str]:
        """The values of a flag that takes several, split at commas and spaces as the CLI does.

        What stands in brackets, as the command of a rule, is not split.
        """
        return [word for value in self.given.get(name, []) for word in _split(value)]


def _split(value: str) -> list[str]:
    words, depth = [""], 0
    for character in value:
        depth += (character == "(") - (character == ")")
        if character in ", " and depth <= 0:
            words.append("")
        else:
            words[-1] += character
    return [word for word in words if word]


def parse(argv: list[str]) -> Flags:
    """Read ``argv`` (without the program). Raises ``RejectedError`` with commander's wording."""
    flags = Flags()
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            flags.words += rest
            break
        if _is_flag(word):
            _read_flag(flags, word, rest)
        else:
            flags.words.append(word)
    return flags


def _is_flag(word: str) -> bool:
    return len(word) > 1 and word.startswith("-")


def _read_flag(flags: Flags, word: str, rest: list[str]) -> None:
    given, has_value, value = word.partition("=") if word.startswith("--") else (word, "", "")
    name = _ALIASES.get(given, given)
    kind, metavar = _kind_of(name, word)
    if has_value and kind is not SWITCH:
        rest.insert(0, value)
    if kind is SWITCH:
        flags.given[name] = True
    elif kind is MANY:
        flags.given[name] = flags.given.get(name, []) + _take_many(name, metavar, rest)
        flags.swallowed = (given, flags.given[name][-1])
    elif kind is VALUE:
        flags.given[name] = _checked(name, metavar, _take_one(name, metavar, rest))
    else:
        flags.given[name] = rest.pop(0) if rest and not _is_flag(rest[0]) else ""


def _kind_of(name: str, word: str) -> tuple[str, str]:
    if name in _SWITCHES.split():
        return SWITCH, ""
    for kind, table in ((VALUE, _VALUES), (MANY, _MANY), (OPTIONAL, _OPTIONALS)):
        if name in table:
            return kind, table[name]
    raise RejectedError(f"error: unknown option '{word}'")


def _take_one(name: str, metavar: str, rest: list[str]) -> str:
    """The next word, even one that starts with a dash: that is commander's rule."""
    if not rest:
        raise RejectedError(f"error: option '{name} <{metavar}>' argument missing")
    return rest.pop(0)


def _take_many(name: str, metavar: str, rest: list[str]) -> list[str]:
    """All words up to the next flag: this is how a prompt after ``--allowedTools`` gets lost."""
    values = [_take_one(name, metavar, rest)]
    while rest and not _is_flag(rest[0]):
        values.append(rest.pop(0))
    return values


def _checked(name: str, metavar: str, value: str) -> str:
    problem = _problem_with(name, value)
    if problem:
        raise RejectedError(
            f"error: option '{name} <{metavar}>' argument '{value}' is invalid. {problem}"
        )
    return value


def _problem_with(name: str, value: str) -> str:
    choices = _CHOICES.get(name)
    if choices and value not in choices + _QUIETLY_ACCEPTED.get(name, ()):
        return f"Allowed choices are {', '.join(choices)}."
    if name == "--max-turns" and _number(value) is None:
        return "must be a number"
    if name == "--max-budget-usd" and (_number(value) or 0) <= 0:
        return "--max-budget-usd must be a number greater than 0"
    return ""


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
