from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.program import Program
from support.installation import Installation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """The installed program on a data folder of its own, with the simulated agent."""
    installation = Installation(tmp_path)
    started = Program(installation)
    yield started
    started.close()
    installation.close()
