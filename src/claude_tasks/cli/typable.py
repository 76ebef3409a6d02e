"""Hints that can be typed as they stand, also where ``claude-tasks`` is not on PATH."""

from __future__ import annotations

import os

from claude_tasks.cli.catalog import COMMANDS
from claude_tasks.domain.hint import PROGRAM, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CALL = f"{PROGRAM} "


def typable(
    text: str, program: str, environment: Mapping[str, str], *, data: str | None = None
) -> str:
    """``text`` with its commands called the way this program was started.

    ``data`` is the folder that was given by flag: without it they would act on another one. PATH
    is looked at only where there is a command to type: most lines have none.
    """
    if _CALL not in text:
        return text
    if program != PROGRAM and _is_on_path(environment):
        program = PROGRAM
    call = f"{program} " if data is None else f"{program} --data {quoted(data)} "
    if call == _CALL:
        return text
    words = text.split(_CALL)
    # A name within another word (claude-tasks-demo, ./claude-tasks) is no command of a hint, and
    # neither is one in prose (every claude-tasks process).
    joined = words[0]
    for word in words[1:]:
        called = (not joined or joined[-1] in " `'(:") and _begins_with_command(word)
        joined += (call if called else _CALL) + word
    return joined


def _begins_with_command(text: str) -> bool:
    first = text.split(maxsplit=1)[:1]
    return bool(first) and (text[0] == "-" or first[0].rstrip("`'),.:;") in COMMANDS)


def program_name(argv: Sequence[str], executable: str) -> str:
    """How to start this program again, from how it was started: a path, or ``python -m``."""
    started = argv[0] if argv else PROGRAM
    if os.path.basename(started) == "__main__.py":
        return f"{quoted(executable)} -m claude_tasks"
    return quoted(started) if os.sep in started else PROGRAM


def _is_on_path(environment: Mapping[str, str]) -> bool:
    folders = environment.get("PATH", "").split(os.pathsep)
    return any(folder and os.access(os.path.join(folder, PROGRAM), os.X_OK) for folder in folders)
