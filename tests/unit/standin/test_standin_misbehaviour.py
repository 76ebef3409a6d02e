"""The cases no real CLI can be made to show: each must really do to its caller what it promises."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from e2e.agents import STREAM, Agent, Started, command, is_alive, run, until

if TYPE_CHECKING:
    from pathlib import Path


def raw_run(agent: Agent, prompt: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(agent, STREAM),
        input=prompt.encode(),
        capture_output=True,
        cwd=agent.folder,
        env=dict(agent.environment),
        timeout=60,
        check=False,
    )


def pid_in(path: Path) -> psutil.Process:
    until(path.exists)
    return psutil.Process(int(path.read_text()))


@pytest.mark.parametrize("mode", ["json", "text", "oneline"])
def test_big_output_writes_at_least_what_was_asked_and_then_concludes(
    mode: str, agent: Agent
) -> None:
    answer = raw_run(agent, f"[case:big_output bytes=3000000 mode={mode}]")
    assert answer.returncode == 0
    assert 3_000_000 <= len(answer.stdout) < 4_200_000
    assert b"conclusion" in answer.stdout[-2000:]
    lines = answer.stdout.count(b"\n")
    assert lines == 0 if mode == "oneline" else lines > 500


def test_big_output_of_json_is_valid_to_the_last_line(agent: Agent) -> None:
    observed = run(agent, "[case:big_output bytes=100000]")
    assert observed.result
    assert observed.result["result"].startswith("Simulated answer")
    assert observed.kinds.count("assistant") > 20


def test_invalid_utf8_comes_in_event_line_result_and_stderr(agent: Agent) -> None:
    answer = raw_run(agent, "[case:invalid_utf8]")
    assert answer.returncode == 0
    for part in (answer.stderr, *answer.stdout.splitlines()[1:]):
        with pytest.raises(UnicodeDecodeError):
            part.decode()
    last = json.loads(answer.stdout.splitlines()[-1].decode(errors="replace"))
    assert last["result"].startswith("end caf\ufffd")


def test_long_line_is_longer_than_asyncio_reads(agent: Agent) -> None:
    observed = run(agent, "[case:long_line bytes=70000]")
    assert observed.result
    assert len(observed.result["result"]) == 70_000
    assert max(map(len, observed.stdout.split("\n"))) > 1 << 16


@pytest.mark.parametrize("code", [0, 3])
def test_missing_result_ends_with_the_code_asked_for(code: int, agent: Agent) -> None:
    observed = run(agent, f"[case:missing_result code={code}]")
    assert (observed.exit_code, observed.kinds) == (code, ["system/init", "assistant"])


def test_text_is_plain_although_a_stream_was_asked_for(agent: Agent) -> None:
    observed = run(agent, "[case:text]")
    assert (observed.exit_code, observed.events) == (0, [])
    assert observed.stdout.count("\n") == 2


def test_garbage_lies_between_good_lines(agent: Agent) -> None:
    answer = raw_run(agent, "[case:garbage]")
    good, bad = [], []
    for line in answer.stdout.splitlines():
        try:
            good.append(json.loads(line))
        except ValueError:
            bad.append(line)
    assert len(bad) == 3
    assert any(not isinstance(value, dict) for value in good)
    assert good[-1]["type"] == "result"


def test_crash_is_a_death_by_sigkill_in_mid_work(agent: Agent) -> None:
    observed = run(agent, "[case:crash]")
    assert (observed.exit_code, observed.result) == (-signal.SIGKILL, None)


def test_exit_ends_with_the_code_asked_for_and_a_word_on_stderr(agent: Agent) -> None:
    observed = run(agent, "[case:exit code=42]")
    assert (observed.exit_code, observed.result) == (42, None)
    assert observed.stderr == "simulated failure, exit 42\n"


def test_ignore_term_survives_sigterm_and_not_sigkill(agent: Agent) -> None:
    with Started(agent, "[case:ignore_term seconds=30]") as started:
        started.wait_for(b'"init"')
        started.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            started.process.wait(0.2)
        assert started.end(signal.SIGKILL).exit_code == -signal.SIGKILL


def test_ignore_term_succeeds_when_its_time_is_over(agent: Agent) -> None:
    observed = run(agent, "[case:ignore_term seconds=0.05]")
    assert (observed.exit_code, observed.kinds[-1]) == (0, "result/success")


def test_grandchild_holds_stdout_open_after_the_agent_ended(agent: Agent, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with Started(agent, f"[case:grandchild seconds=30 pid_file={pid_file}]") as started:
        started.wait_for(b'"type":"result"')
        grandchild = pid_in(pid_file)
        assert started.process.wait(10) == 0
        assert is_alive(grandchild)
        assert os.getsid(grandchild.pid) == grandchild.pid
        assert started.process.stdout
        readable, _, _ = select.select([started.process.stdout], [], [], 0.1)
        assert readable == [], "stdout was closed although the grandchild holds it"
        grandchild.kill()
        assert started.process.stdout.read() == b""


def test_escaped_leaves_a_daemon_outside_its_tree_that_ignores_sigterm(
    agent: Agent, tmp_path: Path
) -> None:
    pid_file = tmp_path / "pid"
    with Started(agent, f"[case:escaped seconds=30 pid_file={pid_file}]") as started:
        started.wait_for(b"escaped")
        daemon = pid_in(pid_file)
        tree = psutil.Process(started.process.pid).children(recursive=True)
        assert daemon.pid not in [process.pid for process in tree]
        assert os.getsid(daemon.pid) != os.getsid(started.process.pid)
        for pid in (daemon.pid, started.process.pid):
            os.kill(pid, signal.SIGTERM)
        time.sleep(0.1)  # nothing may happen, and that shows only after a while
        survived = is_alive(daemon), started.process.poll()
        started.process.kill()
        started.process.wait()
        outlived = is_alive(daemon)
        daemon.kill()
    assert survived == (True, None)
    assert outlived


def test_slow_shows_signs_of_life(agent: Agent) -> None:
    observed = run(agent, "[case:slow seconds=0.6]")
    assert "stream_event" in observed.kinds
    assert observed.kinds[-1] == "result/success"
