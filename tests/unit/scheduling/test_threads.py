"""The node's threads: they stop when told, and a failure is never silent."""

from __future__ import annotations

import io
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.cli import main as program
from claude_tasks.domain.node import Role
from claude_tasks.notify.notifier import Notifier
from claude_tasks.scheduling.engine import Engine
from claude_tasks.scheduling.leadership import LeaseKeeper
from claude_tasks.wiring.node import build_node
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from claude_tasks.settings import Settings


def fail(*_: Any, **__: Any) -> float:
    raise RuntimeError("a bug")


def test_a_node_starts_once_and_stops_more_than_once(settings: Settings) -> None:
    node = build_node(settings, role=Role.DAEMON, schedules=True)
    node.start()
    node.start()
    wait_until(lambda: node.term is not None)
    node.stop()
    node.stop()
    assert node.term is None
    assert node.failure is None


def test_a_stopped_node_leaves_no_trace_in_the_register(settings: Settings, tmp_path: Path) -> None:
    node = build_node(settings, role=Role.DAEMON, schedules=False)
    node.start()
    assert len(list((tmp_path / "nodes").iterdir())) == 1
    node.stop()
    assert list((tmp_path / "nodes").iterdir()) == []


@pytest.mark.parametrize("actor", ["engine", "keeper"])
def test_a_bug_in_a_thread_is_kept_for_the_main_thread(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    actor: str,
) -> None:
    if actor == "engine":
        monkeypatch.setattr(Engine, "run_pass", fail)
    else:
        monkeypatch.setattr(LeaseKeeper, "step", fail)
    node = build_node(settings, role=Role.DAEMON, schedules=True)
    with caplog.at_level(logging.CRITICAL):
        node.start()
        wait_until(lambda: node.failure is not None)
    assert "a bug" in str(node.failure)
    assert "failed" in caplog.text
    node.stop()


def test_a_bug_in_the_notifier_ends_nothing_and_is_logged_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    steps: list[int] = []

    def fails(*_: Any) -> None:
        steps.append(1)
        raise RuntimeError("a bug")

    monkeypatch.setattr(Notifier, "step", fails)
    node = build_node(settings, role=Role.DAEMON, schedules=True)
    node.start()
    wait_until(lambda: len(steps) == 2, what="it goes on")
    assert node.failure is None
    assert node.term is not None
    node.stop()
    assert [record.getMessage() for record in caplog.records if "bug" in record.getMessage()] == [
        "messages have to wait, for the notifier failed: RuntimeError('a bug')"
    ]


def test_a_run_in_the_foreground_whose_node_failed_ends_with_an_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {"CLAUDE_TASKS_DATA": settings.data}
    streams = {"stdin": io.StringIO(), "stdout": sys.stdout, "stderr": sys.stderr}
    added = ["add", "nightly", "hello", "--at", "tomorrow 9am"]
    assert program.run(added, environment, **streams) == 0  # type: ignore[arg-type]
    monkeypatch.setattr(Engine, "run_pass", fail)
    assert program.run(["run", "nightly"], environment, **streams) == 1  # type: ignore[arg-type]
    assert "its scheduler failed" in capsys.readouterr().err


def test_a_daemon_whose_scheduler_failed_ends_with_an_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Engine, "run_pass", fail)
    code = program.run(
        ["daemon"],
        {"CLAUDE_TASKS_DATA": settings.data},
        stdin=io.StringIO(),
        stdout=sys.stdout,
        stderr=sys.stderr,
    )
    assert code == 1
    assert "its scheduler failed" in capsys.readouterr().err
