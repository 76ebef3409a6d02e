"""A workshop for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.invariants import check_invariants
from support.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    made = Workshop(tmp_path)
    yield made
    made.close()
    check_invariants(made.settings.folder.database, settled=False, starts=made.starts)
