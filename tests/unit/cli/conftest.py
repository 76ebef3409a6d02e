from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from unit.cli.command_line import CommandLine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """The command line on a data folder of its own."""
    return CommandLine(tmp_path / "data")
