"""A throw-away installation for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.installation import Installation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    yield made
    made.close()
