"""Fixtures that every room of tests shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from claude_tasks.storage.sqlite.store import open_store
from support.clock import FakeClock
from support.fresh_database import lay
from support.inbox import Inbox
from support.installation import Installation
from support.profile import FULL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from claude_tasks.domain.ports import Store


def pytest_report_header() -> str:
    return f"generated tests: {'full' if FULL else 'quick (TEST_PROFILE=full for all examples)'}"


STORES = ["sqlite"]
"""Every database that keeps tasks; the contract suite runs over each."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=STORES)
def open_another(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Opens stores on one and the same data: other processes, as far as the database knows."""
    assert request.param == "sqlite"
    lay(tmp_path / "tasks.db")
    opened: list[Store] = []

    def opener() -> Store:
        store = open_store(str(tmp_path / "tasks.db"), at=0, busy_timeout=2.0)
        opened.append(store)
        return store

    yield opener
    for store in opened:
        store.close()


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """A throw-away installation; every process started on it is ended."""
    made = Installation(tmp_path)
    yield made
    made.close()


@pytest.fixture
def inbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Inbox]:
    """Who gets messages."""
    monkeypatch.setenv("no_proxy", "*")
    made = Inbox()
    yield made
    made.close()


@pytest.fixture
def store(open_another: Callable[[], Store]) -> Store:
    return open_another()
