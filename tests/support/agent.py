"""The simulated agent with the cases that tests need: ``[case:NAME key=value …]`` in a prompt."""

from __future__ import annotations

from pathlib import Path

from claude_tasks import standin

PROGRAM = Path(__file__).parent / "standin" / "__main__.py"


def install(folder: Path) -> Path:
    """Write an executable ``claude`` that runs it into ``folder``; return its path."""
    return standin.install(folder, program=PROGRAM)
