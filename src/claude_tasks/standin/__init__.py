"""A simulated ``claude`` for the demo and the tests: the real one's flags, events and exit codes.

It calls no model and says in every answer that it is simulated. What it does is chosen by a
``[case:NAME key=value …]`` directive in the prompt, else by ``CLAUDE_TASKS_STANDIN_CASE``, else it
succeeds. The cases that tests need stand beside the tests; the end-to-end ones run one table of
them through it and through the real CLI, so that it cannot drift.

It starts as fast as a bare interpreter: nothing here imports more than ``json``, ``os``, ``sys``
and ``time`` before the case needs it.
"""

from __future__ import annotations

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without paying for the import
if TYPE_CHECKING:
    from pathlib import Path


def install(folder: Path, *, program: Path | None = None) -> Path:
    """Write an executable ``claude`` that runs the stand-in into ``folder``; return its path.

    ``program`` is a script that runs it with further cases.

    The folder is made if need be, and an older wrapper there is replaced. The wrapper names this
    very interpreter and package, so it works from any environment and with any PATH.
    """
    import os  # noqa: PLC0415 - only an installation needs these
    import shlex  # noqa: PLC0415
    import sys  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    script = program or os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
    # -S -E: no site-packages, no PYTHON* variables. It needs neither, and starts in half the time.
    command = f'exec {shlex.quote(sys.executable)} -S -E {shlex.quote(str(script))} "$@"'
    path = folder / "claude"
    fresh = folder / f".claude.{os.getpid()}"
    fresh.write_text(f"#!/bin/sh\n# The simulated agent of claude-tasks.\n{command}\n", "utf-8")
    fresh.chmod(0o755)
    fresh.replace(path)  # a start at this moment gets a complete wrapper
    return path
