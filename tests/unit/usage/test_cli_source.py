"""The agent asked about usage by its control protocol; agents that misbehave."""

from __future__ import annotations

import json
import os
import resource
import threading
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
            lambda: str(script),
            lambda _: {"PATH": "/usr/bin:/bin"},
            folder=str(tmp_path),
            seconds=1.0,
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


def test_the_agent_gets_the_environment_of_its_place(tmp_path: Path) -> None:
    told = answer(rate_limits_available=True, rate_limits=windows(1, 1))
    script = tmp_path / "agent"
    script.write_text(f'#!/bin/sh\necho "$BESIDE" > "$BESIDE.seen"\n{told}\n')
    script.chmod(0o755)
    source = CliSource(
        lambda: str(script), lambda path: {"BESIDE": path}, folder=str(tmp_path), seconds=5
    )
    source.ask(at=0)
    assert (tmp_path / "agent.seen").read_text().strip() == str(script)


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
        ("read -r line; yes", "usage_timeout"),  # it always has something to say
        ("read -r line; yes | tr -d '\\n'", "usage_garbage"),
        (
            "read -r line; printf '%0200000d' 0 | tr 0 '['; echo '\"control_response\"'",
            "usage_garbage",
        ),
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
        CliSource(find, lambda _: {}, folder=str(tmp_path), seconds=1).ask(at=0)
    assert caught.value.code == "usage_no_agent"


def test_an_agent_that_cannot_be_started_is_said(tmp_path: Path) -> None:
    source = CliSource(
        lambda: str(tmp_path / "none"), lambda _: {}, folder=str(tmp_path), seconds=1
    )
    with pytest.raises(UsageUnavailableError) as caught:
        source.ask(at=0)
    assert caught.value.code == "usage_no_agent"


def test_an_agent_that_is_asked_ends_when_nobody_wants_to_know(
    agent: Callable[[str], CliSource], tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    source = agent(f"sleep 61 & echo $$ $! > {pids}.new; mv {pids}.new {pids}; wait")
    source._seconds = 60
    caught: list[UsageUnavailableError] = []
    thread = threading.Thread(target=lambda: caught.append(_error_of(source)))
    thread.start()
    wait_until(pids.exists, what="the agent runs")
    source.cancel()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert caught
    for pid in map(int, pids.read_text().split()):
        wait_until(lambda pid=pid: _has_ended(pid), what="the agent has ended")  # type: ignore[misc]
    pids.unlink()
    source.cancel()
    assert _error_of(source).code == "usage_cancelled"
    assert not pids.exists()  # none is started any more


def _error_of(source: CliSource) -> UsageUnavailableError:
    with pytest.raises(UsageUnavailableError) as caught:
        source.ask(at=0)
    return caught.value


def test_a_node_with_many_open_files_can_ask(agent: Callable[[str], CliSource]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("this system allows no more open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    opened: list[int] = []
    try:
        while not opened or opened[-1] <= 1024:
            opened.append(os.open(os.devnull, os.O_RDONLY))
        told = answer(rate_limits_available=True, rate_limits=windows(42, 7))
        assert agent(told).ask(at=0).window("five_hour").utilization == 42
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
