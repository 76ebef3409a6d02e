"""Ask the agent for its version, in bounded time, whatever it leaves behind."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from claude_tasks.doctor.facts import AgentFacts, Trouble
from claude_tasks.domain.errors import SpawnError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VERSION_SECONDS = 10.0
_QUIET = {"DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
_SHOWN = 200
_MOST_BYTES = 64 * 1024
"""More than any version takes: an agent that never stops is ended there."""

_NO_NODE = re.compile(r"exit code 12[67]: .*\bnode\W{0,3} (No such file|(command )?not found)")
"""``env``, ``sh`` and ``bash``, each in its own words."""


def agent_facts(
    find: Callable[[], str],
    *,
    from_setting: bool,
    environment_of: Callable[[str], Mapping[str, str]],
    find_node: Callable[[], str | None] = lambda: None,
    seconds: float = VERSION_SECONDS,
) -> AgentFacts:
    """Where the agent is and what it says. ``find`` raises `SpawnError` without one.

    ``environment_of`` the agent at a path is what a run of it would get; ``find_node`` is asked
    where the agent finds none there.
    """
    try:
        path = find()
    except SpawnError as error:
        missing = Trouble(error.message, error.hint, error.code)
        return AgentFacts(None, missing, from_setting=from_setting)
    says, problem = _ask(path, environment_of(path), seconds)
    needs_node = problem is not None and _NO_NODE.search(problem) is not None
    return AgentFacts(
        path,
        from_setting=from_setting,
        says=says,
        does_not_run=problem,
        needs_node=needs_node,
        node=find_node() if needs_node else None,
    )


def _ask(path: str, environment: Mapping[str, str], seconds: float) -> tuple[str, str | None]:
    """Its first line, and how it failed."""
    try:
        process = subprocess.Popen(
            [path, "--version"],
            env={**environment, **_QUIET},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )
    except OSError as error:
        return "", f"cannot be started: {error.strerror}"
    try:
        until = time.monotonic() + seconds
        output = _listen(process, until)
        if len(output) >= _MOST_BYTES:
            return _first_line(output), f"said more than {_MOST_BYTES // 1024} KiB to --version"
        process.wait(timeout=max(0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        return "", f"gave no version within {seconds:g} s"
    finally:
        _end(process)
    said = _first_line(output)
    if process.returncode == 0:
        return said, None
    return said, f"failed with exit code {process.returncode}: {said or 'it said nothing'}"


def _listen(process: subprocess.Popen[bytes], until: float) -> bytes:
    """What it says until it closes its output, at most so much. Errors: `TimeoutExpired`."""
    assert process.stdout is not None  # it was asked for
    descriptor, output = process.stdout.fileno(), b""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while len(output) < _MOST_BYTES:
        left = until - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise subprocess.TimeoutExpired(process.args, left)
        chunk = os.read(descriptor, _MOST_BYTES - len(output))
        if not chunk:
            break
        output += chunk
    return output


def _end(process: subprocess.Popen[bytes]) -> None:
    """Also what it started: a grandchild that holds the pipe is not waited for."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _first_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[0][:_SHOWN] if lines else ""
