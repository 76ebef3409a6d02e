"""A server for a whole module, and one of its own for a test that changes what all would see.

Whatever a test asks of them, the answer is held against the documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from api.as_documented import check
from support.installation import Installation
from support.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def shared_installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The data and the simulated agent of `server`, as other processes use them."""
    made = Installation(tmp_path_factory.mktemp("api"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(shared_installation: Installation) -> Iterator[Server]:
    """A server that the tests of a module share: each makes tasks of its own."""
    started = Server(shared_installation, CLAUDE_TASKS_DISABLE_USAGE_CHECK="1")
    started.client.event_hooks = {"response": [check]}
    yield started
    started.close()


@pytest.fixture
def own_server(installation: Installation) -> Iterator[Server]:
    """A server with nothing in it yet."""
    started = Server(installation)
    started.client.event_hooks = {"response": [check]}
    yield started
    started.close()
