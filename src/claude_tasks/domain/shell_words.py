"""Splits shell commands, as far as rules need it: into pieces, words, programs and paths."""

from __future__ import annotations

import re

_KEYWORDS_TEXT = (
    "! [[ { } case coproc do done elif else esac fi for function if in select then until while"
    " break continue return"
)
_KEYWORDS = frozenset(_KEYWORDS_TEXT.split())
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)\+?=")
_SET = frozenset(
    {"declare", "export", "getopts", "local", "mapfile", "read", "readonly", "typeset"}
)
"""Commands that give variables a value."""
_RUNNERS = frozenset(
    {"builtin", "command", "env", "exec", "nice", "nohup", "sudo", "time", "timeout"}
)
_UNKNOWN = re.compile(r"\$(?:[?!$#@*\-_\d{'\"])")
"""Variables whose value only a running shell knows."""
_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)")


def pieces_of(command: str) -> list[str]:
    """The parts between pipes, semicolons and line ends outside quotes.

    None for a command with more than that: redirections, substitutions, groups, loops, the
    background, variables that the command itself sets.
    """
    found = _split(command, strict=True)
    known = {name for piece in found for name in _assigned(piece)}
    sound = all(
        _names_a_program(piece)
        and not _UNKNOWN.search(piece)
        and not known.intersection(_VARIABLE.findall(piece))
        for piece in found
    )
    return found if sound else []


def _names_a_program(piece: str) -> bool:
    words = [word for word in words_of(piece) if not _ASSIGNMENT.match(word)]
    return bool(words) and piece.split(maxsplit=1)[0] not in _KEYWORDS and words[0] not in _KEYWORDS


def programs_of(command: str) -> list[str]:
    """The programs that a command starts; ``cd`` is not one."""
    found = [_program(piece) for piece in _split(command, strict=False)]
    return [program for program in dict.fromkeys(found) if program not in ("", "cd")]


def parts_of_command(command: str) -> list[str]:
    """The commands within a command, each unchanged and from its program on."""
    parts = _split(command, strict=False)
    return [*parts, *(" ".join(command_of(part)) for part in parts)]


def words_of(piece: str) -> list[str]:
    """The words of a piece without their quotes; none where quotes do not close."""
    import shlex  # noqa: PLC0415 (only where something was denied)

    try:
        return shlex.split(piece)
    except ValueError:
        return []


def command_of(piece: str) -> list[str]:
    """Its words from the program on, without assignments and programs that only run another.

    None where such a runner has flags: then it is unknown which word is the program.
    """
    words = words_of(piece)
    while words and (_ASSIGNMENT.match(words[0]) or words[0] in _RUNNERS):
        runner = words.pop(0)
        if words and words[0].startswith("-"):
            return []
        if runner == "timeout":
            del words[:1]  # how long
    return words


def _program(piece: str) -> str:
    """The first word that is neither an assignment nor a word of the shell's grammar."""
    for word in words_of(piece) or piece.split():
        if word in ("for", "case", "select", "function"):
            return ""  # what follows is a name
        if word not in _KEYWORDS and not _ASSIGNMENT.match(word):
            return word
    return ""


def _assigned(piece: str) -> list[str]:
    """The variables that a piece gives a value."""
    words = piece.split()
    names = []
    for word in words:
        found = _ASSIGNMENT.match(word)
        if found is None:
            break
        names.append(found[1])
    if words and words[0] in _SET:
        names += [word.partition("=")[0] for word in words[1:]]
    return names


def _split(command: str, *, strict: bool) -> list[str]:
    """The pieces; ``strict`` finds none where there is more to a command than pieces."""
    if not strict:
        command = _without_documents(command)
    pieces, piece, quote, escaped, index = [], "", "", False, 0
    while index < len(command):
        character, pair = command[index], command[index : index + 2]
        index += 1
        if escaped or (quote == "'" and character != "'"):
            escaped = False
        elif character == "\\":
            escaped = True
        elif strict and _is_more(character, pair, quote):
            return []
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif pair in ("&&", "||") or character in "|;\n" or (not strict and _parts(command, index)):
            index += pair in ("&&", "||")
            pieces.append(piece.strip())
            piece = ""
            continue
        piece += character
    if strict and (quote or escaped):
        return []
    pieces.append(piece.strip())
    return [each for each in pieces if each]


def _is_more(character: str, pair: str, quote: str) -> bool:
    """Whether from here on a command has more than plain pieces."""
    if character == "`" or pair == "$(":
        return True
    return not quote and pair != "&&" and character in "<>(){}&#"


_DOCUMENT = re.compile(r"<<-?\s*\\?['\"]?(\w+)[^\n]*\n")


def _without_documents(command: str) -> str:
    """A command without its here-documents, and what follows them."""
    document = _DOCUMENT.search(command)
    return command if document is None else command[: document.end()]


def _parts(command: str, index: int) -> bool:
    """Whether the character before this index separates commands here."""
    character = command[index - 1]
    if character == "&":
        return command[index - 2 : index - 1] != ">" and command[index : index + 1] != ">"
    return character in "()"
