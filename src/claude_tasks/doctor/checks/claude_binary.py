"""The agent is found, runs, and is not too old."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.doctor.facts import Trouble
from claude_tasks.doctor.finding import (
    failed,
    passed,
    shell,
    warned,
)
from claude_tasks.domain.errors import (
    SpawnError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from claude_tasks.doctor.finding import Finding
    from claude_tasks.settings import Settings

import contextlib
import re
import select
import signal
import subprocess
import time
from functools import partial

OLDEST_AGENT = (2, 0)
"""Older ones lack flags and events that runs depend on."""
_INSTALL = "npm install -g @anthropic-ai/claude-code"
_INSTALL_NATIVE = "curl -fsSL https://claude.ai/install.sh | bash"
_SETTING = "export CLAUDE_TASKS_CLAUDE_BIN="
_NAMES = ("claude", "code", "version")

VERSION_SECONDS = 10.0
_QUIET = {"DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
_SHOWN = 200
_MOST_BYTES = 64 * 1024
"""More than any version takes: an agent that never stops is ended there."""
_NO_NODE = re.compile(r"exit code 12[67]: .*\bnode\W{0,3} (No such file|(command )?not found)")
"""``env``, ``sh`` and ``bash``, each in its own words."""


class AgentFacts(NamedTuple):
    """The agent's binary: where, or why not; what it says to ``--version``, or how it failed.

    ``elsewhere`` is one that would be found without the setting that leads nowhere. With
    ``needs_node`` it found no node; ``node`` is one that is not on its PATH.
    """

    path: str | None
    missing: Trouble | None = None
    from_setting: bool = False
    elsewhere: str | None = None
    says: str = ""
    does_not_run: str | None = None
    needs_node: bool = False
    node: str | None = None


def agent(
    *,
    settings: Settings,
    find_agent: Callable[[str | None, str | None], str],
    environment_of: Callable[[str], Mapping[str, str]],
    find_node: Callable[[], str | None],
) -> AgentFacts:
    """Where it is and what it says. Takes as long as the agent takes to say its version."""
    facts = agent_facts(
        partial(find_agent, settings.claude_bin, None),
        from_setting=bool(settings.claude_bin),
        environment_of=environment_of,
        find_node=find_node,
    )
    return facts._replace(elsewhere=agent_here(find_agent, None)) if facts.missing else facts


def agent_here(
    find_agent: Callable[[str | None, str | None], str], setting: str | None
) -> str | None:
    """Where this shell finds the agent; None where it does not."""
    try:
        return find_agent(setting, None)
    except SpawnError:
        return None


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


def judge(agent: AgentFacts) -> Finding:
    """Found, runs, not too old."""
    name = "claude_binary"
    if agent.path is None:
        why = "not found" if agent.missing is None else agent.missing.text
        return failed(name, why, _way_to_an_agent(agent))
    if agent.does_not_run is not None:
        fix = _way_to_a_node(agent) if agent.needs_node else shell(agent.path, "--version")
        return failed(name, f"{agent.path} {agent.does_not_run}", fix)
    version = _version_in(agent.says)
    if version is None:
        said = agent.says or "nothing"
        return warned(name, f"{agent.path} runs, but says no version: {said!r}")
    if _numbers(version) < OLDEST_AGENT:
        needed = ".".join(map(str, OLDEST_AGENT))
        text = f"{agent.path} is {version}: too old, {needed} or later is needed"
        return failed(name, text, shell(agent.path, "update"))
    return passed(name, f"{agent.path}, {version}")


def _way_to_an_agent(agent: AgentFacts) -> str:
    """Where a setting leads nowhere, installing another would not help."""
    if not agent.from_setting:
        return _INSTALL
    if agent.elsewhere is not None:
        return _SETTING + shell(agent.elsewhere)
    return f"unset CLAUDE_TASKS_CLAUDE_BIN && {_INSTALL}"


def _way_to_a_node(agent: AgentFacts) -> str:
    """Its folder onto the PATH; where there is none, an agent that needs none."""
    if agent.node is None:
        return f'{_INSTALL_NATIVE} && {_SETTING}"$HOME/.local/bin/claude"'
    return f'export PATH={shell(agent.node.rpartition("/")[0])}:"$PATH"'


def _version_in(says: str) -> str | None:
    """``2.1.330 (Claude Code)``, ``claude v2.1``: a number with at most Claude's name before it.

    Elsewhere it may be anybody's: what complains of ``node 18.0.1`` says no version.
    """
    for word in says.split():
        if _numbers(word):
            return word
        if word.lower().strip("(),:") not in _NAMES:
            return None
    return None


def _numbers(word: str) -> tuple[int, ...]:
    """``2.1.330`` and ``v2.1`` as numbers; empty for what is no version."""
    parts = word.removeprefix("v").partition("-")[0].split(".")
    plain = len(parts) > 1 and all(part.isascii() and part.isdecimal() for part in parts)
    return tuple(map(int, parts)) if plain else ()
