"""Finds, for a denied use of a tool, the rule that would have allowed exactly this use.

A denial is stored as ``Tool(input)``. The agent's rules look similar, with differences
(https://code.claude.com/docs/en/permissions, checked against the CLI): ``Edit(//path)`` covers all
tools that write files and ``Read(//path)`` all that read them, with a second slash for an absolute
path; each part of a command with a pipe is checked; and a star is always a wildcard. Where no rule
means exactly this use, none is suggested: a user is never told to allow more.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.agent_flags import flags_of, split_tools
from claude_tasks.domain.agent_reach import is_protected, needed_folders
from claude_tasks.domain.hint import Command, Hint
from claude_tasks.domain.shell_words import parts_of_command, pieces_of, programs_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from claude_tasks.domain.task import Task

_WRITES = frozenset({"Write", "Edit", "MultiEdit", "NotebookEdit"})
_READS = frozenset({"Read", "NotebookRead"})
_ELLIPSIS = "…"
_SHOWN = 3
_LONGEST_SHOWN = 80


def parts_of(denial: str) -> tuple[str, str]:
    """Tool and its input, "" for none."""
    name, has_detail, detail = denial.partition("(")
    return (name, detail.removesuffix(")")) if has_detail else (denial, "")


def kinds_of(denial: str) -> frozenset[str]:
    """The kinds by which denials count as alike: the tool; for a command each program it starts."""
    name, detail = parts_of(denial)
    programs = programs_of(detail) if name == "Bash" else []
    return frozenset(f"{name} {program}" for program in programs) or frozenset({name})


class Remedy(NamedTuple):
    """What allows exactly one denied use: rules, and folders besides the task's own."""

    rules: tuple[str, ...]
    folders: tuple[str, ...] = ()


class Permitted(NamedTuple):
    """What a task permits. ``folder`` is the absolute one it works in, "" where that is unknown."""

    task_id: int
    allowed: tuple[str, ...] = ()
    disallowed: tuple[str, ...] = ()
    folder: str = ""
    extra_args: tuple[str, ...] = ()

    @property
    def within(self) -> tuple[str, ...]:
        """The folders it may work in, its own first."""
        added = (
            value
            for given in flags_of(self.extra_args)
            if given.name == "--add-dir"
            for value in given.values
        )
        return (self.folder, *added)

    @property
    def refusals(self) -> tuple[str, ...]:
        """What it disallows, in its field and in its extra arguments."""
        own = [
            rule
            for given in flags_of(self.extra_args)
            if given.name in ("--disallowedTools", "--disallowed-tools")
            for value in given.values
            for rule in split_tools(value)
        ]
        return (*self.disallowed, *own)


def permitted(task: Task) -> Permitted:
    """What a task permits."""
    folder = posixpath.expanduser(task.spec.working_dir or "")
    return Permitted(
        task.id,
        task.spec.allowed_tools,
        task.spec.disallowed_tools,
        folder if folder.startswith("/") else "",
        task.spec.extra_args,
    )


def remedy_for(denial: str, within: Sequence[str] = ("",)) -> Remedy | None:
    """What allows exactly this use; None where no exact rule exists."""
    name, detail = parts_of(denial)
    if denial.startswith(_ELLIPSIS) or detail.endswith(_ELLIPSIS):
        return None  # cut off
    if name == "Bash":
        return _command_remedy(detail, within)
    rules: tuple[str, ...] = ()
    if name in _WRITES or name in _READS:
        path = None if name in _WRITES and is_protected(detail) else _path_pattern(detail)
        rules = (f"{'Edit' if name in _WRITES else 'Read'}({path})",) if path else ()
    elif name == "WebFetch":
        rules = _host_rule(detail)
    else:
        plain = name.replace("_", "").replace("-", "")
        rules = (name,) if plain.isalnum() and plain.isascii() else ()
    return Remedy(rules) if rules else None


class Advice(NamedTuple):
    """The command that helps against denials, None for none; and the denials it does not help.

    ``refused`` are denied by the task's own rules; for ``beyond`` no exact rule is known; ``known``
    are allowed by now.
    """

    command: Command | None
    refused: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


def answer_to(task: Permitted, denials: Iterable[str]) -> Advice:
    """The command that allows what was denied.

    It repeats the existing entries: a list in the command replaces the old one.
    """
    rules, folders = list(dict.fromkeys(task.allowed)), list[str]()
    refused, beyond, known = [], [], []
    for denial in denials:
        remedy = remedy_for(denial, task.within)
        if refusing_rules(denial, task.refusals):
            refused.append(denial)
        elif remedy is None:
            beyond.append(denial)
        elif set(remedy.rules) <= set(task.allowed) and not remedy.folders:
            known.append(denial)
        else:
            rules += [rule for rule in remedy.rules if rule not in rules]
            folders += [folder for folder in remedy.folders if folder not in folders]
    added = len(rules) > len(set(task.allowed)) or folders
    command = _edit(task, rules, folders) if added else None
    return Advice(command, tuple(refused), tuple(beyond), tuple(known))


def refusing_rules(denial: str, disallowed: Iterable[str]) -> list[str]:
    """Which of these rules refuse it."""
    name, detail = parts_of(denial)
    found = []
    for rule in disallowed:
        tool, has_detail, rest = rule.partition("(")
        ruled = rest.removesuffix(")").strip()
        of_it = tool in (name, _ruled_as(name)) or _is_a_server_of(tool, name)
        if of_it and (not has_detail or ruled in ("", "*") or _covers(ruled, name, detail)):
            found.append(rule)
    return found


def _ruled_as(name: str) -> str:
    """The tool whose rules also apply to this tool."""
    return "Edit" if name in _WRITES else "Read" if name in _READS else name


def _covers(ruled: str, name: str, detail: str) -> bool:
    """Whether the text in a rule's brackets covers the input of a tool."""
    patterns, asked = [ruled], [detail]
    if name == "Bash":
        asked += parts_of_command(detail)
        prefix = ruled.removesuffix(":*").removesuffix(" *")
        if prefix != ruled:
            patterns = [prefix, f"{prefix} *"]
    elif name == "WebFetch":
        asked = [rule[len("WebFetch(") : -1] for rule in _host_rule(detail)]
    elif _ruled_as(name) in ("Edit", "Read"):
        # The base of a relative path is unknown here: such a rule may cover it.
        patterns = [ruled[1:] if ruled.startswith("//") else "*"]
    else:
        return True
    return any(_fits(pattern, each) for pattern in patterns for each in asked)


def _fits(pattern: str, text: str) -> bool:
    """Whether a pattern with stars matches the text."""
    expression = ".*".join(re.escape(part) for part in re.split(r"\*+", pattern))
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _is_a_server_of(rule: str, name: str) -> bool:
    """Whether a rule for a whole MCP server covers a tool."""
    rule = rule.removesuffix("*").rstrip("_")
    return rule.startswith("mcp__") and name.startswith(f"{rule}__")


def _edit(task: Permitted, rules: Sequence[str], folders: Sequence[str]) -> Command:
    words = [word for rule in rules for word in ("--allow-tool", rule)]
    if folders:
        added = [word for folder in folders for word in ("--add-dir", folder)]
        words += ["--", *task.extra_args, *added]
    return Command("edit", task.task_id, *words)


def denied_text(task: Permitted, denials: Sequence[str]) -> Hint:
    """A sentence about what was denied, and what to do about it."""
    amount = f"{len(denials)} tool use{'' if len(denials) == 1 else 's'}"
    parts: list[str] = [f"{amount} denied: {_named(denials)}"]
    answer = answer_to(task, denials)
    if answer.command is not None:
        parts += (f"; to allow {'it' if len(denials) == 1 else 'them'}: ", answer.command)
    if answer.known and len(answer.known) == len(denials):
        parts.append("; the task names the rule for it by now")
    which = {
        each: "it" if len(denials) == 1 else _named(each)
        for each in (answer.refused, answer.beyond)
    }
    if answer.refused:
        parts.append(_refused_text(task, answer.refused, which[answer.refused]))
    if answer.beyond:
        no_rule = f"; no rule allows exactly {which[answer.beyond]}: see --permission-mode and "
        parts += (f"{no_rule}--allow-tool in ", Command("edit", "--help"))
    return Hint(*parts)


def _refused_text(task: Permitted, refused: Sequence[str], named: str) -> Hint:
    """A sentence: the task's own rules override all that allow, and how to remove them."""
    rules = {rule for denial in refused for rule in refusing_rules(denial, task.refusals)}
    text = f"; the task itself disallows {named}, by {', '.join(sorted(rules))}"
    if not rules <= set(task.disallowed):
        return Hint(f"{text}: see its extra arguments, ", Command("show", task.task_id))
    kept = [rule for rule in task.disallowed if rule not in rules]
    flags = [word for rule in kept for word in ("--deny-tool", rule)] or ["--clear", "deny-tool"]
    return Hint(f"{text}; to lift that: ", Command("edit", task.task_id, *flags))


def _named(denials: Sequence[str]) -> str:
    more = f" and {len(denials) - _SHOWN} more" if len(denials) > _SHOWN else ""
    return ", ".join(_shown(denial) for denial in denials[:_SHOWN]) + more


def _shown(denial: str) -> str:
    line = " ".join(denial.split())
    return line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}{_ELLIPSIS}"


def _command_remedy(command: str, within: Sequence[str]) -> Remedy | None:
    """A rule for each piece of a command; None where it has more than plain pieces."""
    pieces = pieces_of(command)
    if not pieces or not all(_fits_in_a_rule(piece) for piece in pieces):
        return None
    folders = needed_folders(pieces, within)
    return None if folders is None else Remedy(tuple(f"Bash({each})" for each in pieces), folders)


def _fits_in_a_rule(piece: str) -> bool:
    """Whether a rule can contain the piece: a star would match more, and a bracket would end it."""
    depth = 0
    for character in piece:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return bool(piece) and depth == 0 and piece.isprintable() and "*" not in piece


def _path_pattern(path: str) -> str | None:
    """An absolute path as a pattern of ``.gitignore`` that matches nothing else."""
    special = "?" in path or "\\" in path
    if not path.startswith("/") or special or path != path.strip() or not path.isprintable():
        return None
    for character in "[]*":
        path = path.replace(character, f"\\{character}")
    return f"/{path}" if path.count("(") == path.count(")") else None


def _host_rule(url: str) -> tuple[str, ...]:
    """The rule for a URL: rules for the web can name hosts only."""
    from urllib.parse import urlsplit  # noqa: PLC0415 (rarely needed)

    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    sound = host and all(part.isalnum() or part in ".-" for part in host)
    return (f"WebFetch(domain:{host})",) if sound else ()
