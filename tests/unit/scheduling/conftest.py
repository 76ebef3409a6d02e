"""A data folder's worth of actors on an injected clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from claude_tasks.settings import Settings, load_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = load_settings({"CLAUDE_TASKS_DATA": str(tmp_path)})
    settings.folder.create()
    return settings
