"""Reads a task's extra arguments as the agent does: by the rules of commander, its parser.

A flag with one value takes the next word, even one that looks like a flag; a flag with any number
of values takes all words up to the next flag; ``--flag=value`` and ``-fvalue`` contain their value;
after ``--`` there are no flags. An unknown flag takes no value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ONE = (
    "--advisor --agent --agents --append-subagent-system-prompt --append-system-prompt"
    " --append-system-prompt-file --autocompact --debug-file --effort --environment"
    " --fallback-model --input-format --json-schema --managed-settings --max-budget-usd"
    " --max-thinking-tokens --max-turns --model --name --output-format --permission-mode"
    " --permission-prompt-tool --permission-prompts --plan-mode-instructions --plugin-dir"
    " --plugin-dir-no-mcp --plugin-url --prefill --remote-control-session-name-prefix"
    " --resume-session-at --rewind-files --session-id --setting-sources --settings"
    " --system-prompt --system-prompt-file --system-prompt-snapshot --thinking -n"
)
_PERHAPS = (
    "--cloud --debug --from-pr --prompt-suggestions --remote-control --resume --teleport"
    " --worktree -d -r -w"
)
_MANY = (
    "--add-dir --allowed-tools --allowedTools --betas --channels --disallowed-tools"
    " --disallowedTools --file --mcp-config --tools"
)
_TAKES = {
    name: kind
    for kind, names in (("one", _ONE), ("perhaps", _PERHAPS), ("many", _MANY))
    for name in names.split()
}
"""How many of the words after a flag are its values."""

_SWITCHES = "pvhc"
"""The letters without a value, which may precede others (``-pc``)."""


class Given(NamedTuple):
    """One flag with all its ``words``. A bare word has no name."""

    name: str
    values: tuple[str, ...]
    words: tuple[str, ...]


def flags_of(words: Sequence[str]) -> Iterator[Given]:
    """The flags and bare words, in their order."""
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if word == "--":
            yield Given("", (), tuple(words[index - 1 :]))
            return
        if not _is_flag(word):
            yield Given("", (), (word,))
            continue
        *before, (name, value) = _names_in(word)
        for switch, _ in before:
            yield Given(switch, (), (switch,))
        head = name if before else word
        if value is not None:
            yield Given(name, (value,), (f"{name}{value}",) if before else (word,))
            continue
        taken = _taken(name, words[index:])
        index += len(taken)
        yield Given(name, taken, (head, *taken))


def split_tools(value: str) -> list[str]:
    """Split rules for tools at commas and blanks outside brackets."""
    rules, depth = [""], 0
    for character in value:
        depth += (character == "(") - (character == ")")
        if depth <= 0 and (character == "," or character.isspace()):
            rules.append("")
        else:
            rules[-1] += character
    return [rule for rule in rules if rule]


def _is_flag(word: str) -> bool:
    return len(word) > 1 and word.startswith("-")


def _names_in(word: str) -> list[tuple[str, str | None]]:
    """The flags of one word; the last may have its value with it."""
    if word.startswith("--"):
        name, has_value, value = word.partition("=")
        return [(name, value if has_value else None)]
    found: list[tuple[str, str | None]] = []
    for place, letter in enumerate(word[1:], 2):
        rest = word[place:]
        if letter not in _SWITCHES or not rest:
            found.append((f"-{letter}", rest or None))
            break
        found.append((f"-{letter}", None))
    return found


def _taken(name: str, following: Sequence[str]) -> tuple[str, ...]:
    """The words after a flag that are its values."""
    kind = _TAKES.get(name)
    if kind is None or not following or (kind == "perhaps" and _is_flag(following[0])):
        return ()
    count = 1
    while kind == "many" and count < len(following) and not _is_flag(following[count]):
        count += 1
    return tuple(following[:count])
