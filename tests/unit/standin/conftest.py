"""The stand-in as an agent to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e.agents import Agent, claude_environment
from support.agent import install

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """A freshly installed stand-in with an environment of its own."""
    home = tmp_path / "home"
    return Agent(install(tmp_path / "bin"), claude_environment(None, home), home)
