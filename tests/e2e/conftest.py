"""Fixtures of the end-to-end tests: the real CLI, the API it talks to, its environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from e2e import agents
from e2e.messages_api import MessagesApi
from support import agent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REAL_CLAUDE_VARIABLE = "CLAUDE_TASKS_E2E_CLAUDE"


@pytest.fixture(scope="session")
def real_claude() -> Path:
    """The real CLI's executable, as ``install_claude.py`` prints it."""
    named = os.environ.get(REAL_CLAUDE_VARIABLE)
    if not named:
        pytest.skip(f"{REAL_CLAUDE_VARIABLE} names no real Claude CLI (make e2e-claude sets it)")
    path = Path(named)
    assert os.access(path, os.X_OK), f"{REAL_CLAUDE_VARIABLE}={path} is no executable"
    return path


@pytest.fixture(scope="session")
def simulated_claude(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in's executable."""
    return agent.install(tmp_path_factory.mktemp("standin"))


@pytest.fixture
def messages_api() -> Iterator[MessagesApi]:
    """A loopback Messages API, stopped afterwards."""
    with MessagesApi() as api:
        yield api


@pytest.fixture
def claude_environment() -> Callable[..., dict[str, str]]:
    """``claude_environment(api, home, subscriber=False)``: see ``agents.claude_environment``."""
    return agents.claude_environment
