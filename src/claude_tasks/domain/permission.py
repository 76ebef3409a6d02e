"""From a tool that was denied to the rule that would have let exactly it pass.

A denial is kept as ``Tool(what it was asked)``. The agent's rules look alike, but not quite
(https://code.claude.com/docs/en/permissions, checked against the CLI): all that writes files is
ruled by ``Edit(//path)`` and all that reads them by ``Read(//path)``, with a second slash for an
absolute path; a command with a pipe is looked at piece by piece; and a star is always a wildcard.
Where no rule means exactly this and nothing else there is none: nobody is told to allow more.
"""

from __future__ import annotations

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without paying for the import
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WRITES = frozenset({"Write", "Edit", "MultiEdit", "NotebookEdit"})
_READS = frozenset({"Read", "NotebookRead"})
_ELLIPSIS = "…"
_SHOWN = 3
_LONGEST_SHOWN = 80


def parts_of(denial: str) -> tuple[str, str]:
    """Tool and what it was asked, "" for nothing."""
    name, has_detail, detail = denial.partition("(")
    return (name, detail.removesuffix(")")) if has_detail else (denial, "")


def kind_of(denial: str) -> str:
    """What makes two denials alike: the tool, of a command also the program."""
    name, detail = parts_of(denial)
    program = detail.split(maxsplit=1)[0] if detail.split() else ""
    return f"{name} {program}" if name == "Bash" and program else name


def rules_for(denial: str) -> tuple[str, ...]:
    """The rules that let exactly it pass; none where it takes more than that."""
    name, detail = parts_of(denial)
    if denial.startswith(_ELLIPSIS) or detail.endswith(_ELLIPSIS):
        return ()  # cut off
    if name == "Bash":
        return _command_rules(detail)
    if name in _WRITES or name in _READS:
        path = _path_pattern(detail)
        return (f"{'Edit' if name in _WRITES else 'Read'}({path})",) if path else ()
    if name == "WebFetch":
        return _host_rule(detail)
    plain = name.replace("_", "").replace("-", "")
    return (name,) if plain.isalnum() and plain.isascii() else ()


def allow_command(
    task_id: int, allowed: Sequence[str], denials: Iterable[str]
) -> tuple[str | None, list[str]]:
    """The command that allows what was denied, and what no exact rule allows.

    The command names what is allowed already too: a list that is named replaces the old one. It is
    None when there is nothing to add.
    """
    rules = list(dict.fromkeys(allowed))
    beyond: list[str] = []
    for denial in denials:
        found = rules_for(denial)
        if not found:
            beyond.append(denial)
        rules += [rule for rule in found if rule not in rules]
    if len(rules) == len(set(allowed)):
        return None, beyond
    import shlex  # noqa: PLC0415 (only where something was denied)

    flags = " ".join(f"--allow-tool {shlex.quote(rule)}" for rule in rules)
    return f"claude-tasks edit {task_id} {flags}", beyond


def denied_text(task_id: int, allowed: Sequence[str], denials: Sequence[str]) -> str:
    """What was denied, and what to do about it."""
    amount = f"{len(denials)} tool use{'' if len(denials) == 1 else 's'}"
    named = ", ".join(_shown(denial) for denial in denials[:_SHOWN])
    more = f" and {len(denials) - _SHOWN} more" if len(denials) > _SHOWN else ""
    text = f"{amount} denied: {named}{more}"
    command, beyond = allow_command(task_id, allowed, denials)
    if command is not None:
        text += f"; to allow {'it' if len(denials) == 1 else 'them'}: {command}"
    elif not beyond:
        text += "; the task allows it by now"
    if beyond:
        which = "it" if len(denials) == 1 else ", ".join(_shown(each) for each in beyond[:_SHOWN])
        text += (
            f"; no rule allows exactly {which}: see --permission-mode and --allow-tool in "
            "claude-tasks edit --help"
        )
    return text


def _shown(denial: str) -> str:
    line = " ".join(denial.split())
    return line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}{_ELLIPSIS}"


def _command_rules(command: str) -> tuple[str, ...]:
    """A rule for each piece of a command, none where pieces are not all there is to it."""
    pieces = _pieces(command)
    sound = [piece for piece in pieces if _fits_in_a_rule(piece)]
    return tuple(f"Bash({piece})" for piece in sound) if len(sound) == len(pieces) else ()


def _pieces(command: str) -> list[str]:
    """What stands between pipes, semicolons and line ends outside of quotes.

    [""] for what is more than that: redirections, substitutions, groups, the background.
    """
    pieces, piece, quote, escaped = [], "", "", False
    index = 0
    while index < len(command):
        character = command[index]
        pair = command[index : index + 2]
        index += 1
        if escaped or (quote == "'" and character != "'"):
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == "`" or pair == "$(":
            return [""]
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif pair in ("&&", "||") or character in "|;\n":
            index += pair in ("&&", "||")
            pieces.append(piece.strip())
            piece = ""
            continue
        elif character in "<>(){}&#":
            return [""]
        piece += character
    if quote or escaped:
        return [""]
    pieces.append(piece.strip())
    return [each for each in pieces if each] or [""]


def _fits_in_a_rule(piece: str) -> bool:
    """Whether a rule can say it: a star would match more, and brackets end it."""
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
    """Rules for the web know hosts only: that is as exact as it gets."""
    from urllib.parse import urlsplit  # noqa: PLC0415 (rarely needed)

    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    sound = host and all(part.isalnum() or part in ".-" for part in host)
    return (f"WebFetch(domain:{host})",) if sound else ()
