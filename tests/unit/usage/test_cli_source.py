"""The agent asked about usage by its control protocol; agents that misbehave."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from claude_tasks.domain.errors import SpawnError, UsageUnavailableError
from claude_tasks.usage.cli_source import CliSource
from support.usage_endpoint import windows
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def agent(tmp_path: Path) -> Callable[[str], CliSource]:
    """A source whose agent is a shell script with this body."""

    def made(body: str) -> CliSource:
        script = tmp_path / "agent"
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)
        return CliSource(
            lambda: str(script), {"PATH": "/usr/bin:/bin"}, folder=str(tmp_path), seconds=1.0
        )

    return made


def answer(**response: object) -> str:
    line = {
        "type": "control_response",
        "response": {"subtype": "success", "request_id": "usage", "response": response},
    }
    return f"read -r line; printf '%s\\n' '{json.dumps(line)}'"


def test_the_agent_tells_its_windows(agent: Callable[[str], CliSource], tmp_path: Path) -> None:
    told = answer(rate_limits_available=True, rate_limits=windows(42, 7))
    source = agent(f'echo "$@" > {tmp_path}/argv; echo noise; {told}; sleep 60')
    begun = time.monotonic()
    reading = source.ask(at=5)
    assert time.monotonic() - begun < 30  # it does not wait for the agent to end
    assert reading.window("five_hour").utilization == 42
    assert (reading.source, reading.at) == ("cli", 5)
    assert "stream-json" in (tmp_path / "argv").read_text()


def test_whatever_it_started_ends_with_it(
    agent: Callable[[str], CliSource], tmp_path: Path
) -> None:
    told = answer(rate_limits_available=True, rate_limits=windows(1, 1))
    agent(f"sleep 61 & echo $! > {tmp_path}/child; {told}; wait").ask(at=0)
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: _has_ended(child), what="the agent's child has ended")


def _has_ended(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("exit 1", "usage_garbage"),
        ("read -r line; echo garbage", "usage_garbage"),
        ('read -r line; echo \'{"type":"control_response"}\'', "usage_garbage"),
        ("sleep 30", "usage_timeout"),
        (answer(rate_limits_available=False, rate_limits=None), "no_credentials"),
        (answer(rate_limits_available=True, rate_limits=None), "usage_unreachable"),
        (answer(rate_limits_available=True, rate_limits={}), "usage_garbage"),
    ],
)
def test_every_failure_has_its_name(
    agent: Callable[[str], CliSource], body: str, code: str
) -> None:
    with pytest.raises(UsageUnavailableError) as caught:
        agent(body).ask(at=0)
    assert caught.value.code == code


def test_a_missing_agent_is_said(tmp_path: Path) -> None:
    def find() -> str:
        raise SpawnError("the claude binary was not found")

    with pytest.raises(UsageUnavailableError) as caught:
        CliSource(find, {}, folder=str(tmp_path), seconds=1).ask(at=0)
    assert caught.value.code == "usage_no_agent"
