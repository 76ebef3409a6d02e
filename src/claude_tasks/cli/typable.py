"""Hints that can be typed as they stand, also where ``claude-tasks`` is not on PATH."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROGRAM = "claude-tasks"
_CALL = f"{PROGRAM} "


def typable(text: str, program: str, environment: Mapping[str, str]) -> str:
    """``text`` with its commands called the way this program was started.

    PATH is looked at only where there is a command to type: most lines have none.
    """
    if program == PROGRAM or _CALL not in text or _is_on_path(environment):
        return text
    words = text.split(_CALL)
    # A name within another word (claude-tasks-demo, ./claude-tasks) is no command of a hint.
    joined = words[0]
    for word in words[1:]:
        called = not joined or joined[-1] in " `'(:"
        joined += (f"{program} " if called else _CALL) + word
    return joined


def program_name(argv: Sequence[str], executable: str) -> str:
    """How to start this program again, from how it was started: a path, or ``python -m``."""
    started = argv[0] if argv else PROGRAM
    if os.path.basename(started) == "__main__.py":
        return f"{quoted(executable)} -m claude_tasks"
    return quoted(started) if os.sep in started else PROGRAM


def quoted(path: str) -> str:
    """A path as one word of a shell's. Not ``shlex``: that loads regular expressions."""
    plain = all(character.isalnum() or character in "/._-+:@%,=" for character in path)
    return path if plain and path else "'" + path.replace("'", "'\\''") + "'"


def _is_on_path(environment: Mapping[str, str]) -> bool:
    folders = environment.get("PATH", "").split(os.pathsep)
    return any(folder and os.access(os.path.join(folder, PROGRAM), os.X_OK) for folder in folders)
