"""The daemon's end of the spawner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.execution.spawner import Spawner
from support.waiting import wait_until

if TYPE_CHECKING:
    import pytest


def test_last_words_of_a_spawner_that_fails_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    spawner = Spawner()
    spawner.start()
    process = spawner._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.write(b"\0\n")  # no path that we ever ask for
    wait_until(lambda: not spawner.released()[1], what="it is gone")
    assert "embedded null byte" in caplog.text


def test_a_spawner_that_is_stopped_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    spawner = Spawner()
    spawner.start()
    spawner.stop()
    spawner.stop()
    assert caplog.text == ""
