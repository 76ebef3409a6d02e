"""Running an agent, simulated or real, the way the scheduler does, and reading what it said."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

import psutil

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from e2e.cases import Case
    from e2e.messages_api import MessagesApi

MADE_UP_KEY = "sk-ant-api03-made-up-for-tests"
MADE_UP_TOKEN = "sk-ant-oat01-made-up-for-tests"
TIMEOUT_SECONDS = 60
Answer = TypeVar("Answer")
STREAM = ("--output-format", "stream-json", "--verbose")


class Agent(NamedTuple):
    """An executable and the environment it is to be run in."""

    path: Path
    environment: Mapping[str, str]
    home: Path

    @property
    def folder(self) -> Path:
        """The working directory of its runs."""
        return self.home / "work"


class Observed(NamedTuple):
    """What a run showed from outside."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The stream's events; a JSON array (json + verbose) is read as its items.

        Only a newline ends a line: ``splitlines`` would cut at a U+2028 inside a string.
        """
        lines = [
            json.loads(line) for line in self.stdout.split("\n") if line.startswith(("{", "["))
        ]
        return [event for line in lines for event in (line if isinstance(line, list) else [line])]

    @property
    def kinds(self) -> list[str]:
        """``type/subtype`` of every event, in order."""
        return ["/".join(filter(None, (e["type"], e.get("subtype")))) for e in self.events]

    @property
    def result(self) -> dict[str, Any] | None:
        """The result event, None when there was none."""
        return next((e for e in self.events if e["type"] == "result"), None)

    def first(self, kind: str) -> dict[str, Any]:
        """The first event of that ``type``."""
        return next(e for e in self.events if e["type"] == kind)


def claude_environment(
    api: MessagesApi | None, home: Path, *, subscriber: bool = False
) -> dict[str, str]:
    """A whole environment for the real CLI, nothing of ours in it: HOME, TMPDIR, endpoint, key.

    ``subscriber`` gives it a made-up OAuth token instead of an API key: only then does it speak
    of usage limits. ``home`` and its folders are made. Nothing leaves this machine: the
    endpoint is ``api`` and everything else is switched off.
    """
    for folder in (home, home / "tmp", home / "work"):
        folder.mkdir(parents=True, exist_ok=True)
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "ANTHROPIC_BASE_URL": api.url if api else "http://127.0.0.1:9",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "CLAUDE_TASKS_STANDIN_SESSIONS": str(home / "sessions"),
    }
    key = (
        {"CLAUDE_CODE_OAUTH_TOKEN": MADE_UP_TOKEN}
        if subscriber
        else {"ANTHROPIC_API_KEY": MADE_UP_KEY}
    )
    return environment | key


def command(agent: Agent, flags: tuple[str, ...]) -> list[str]:
    """The argv of one run."""
    return [str(agent.path), "-p", *flags]


def run(agent: Agent, prompt: str, flags: tuple[str, ...] = STREAM) -> Observed:
    """One run to its end, the prompt on stdin."""
    answer = subprocess.run(
        command(agent, flags),
        input=prompt.encode(),
        capture_output=True,
        cwd=agent.folder,
        env=dict(agent.environment),
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    return Observed(answer.returncode, answer.stdout.decode(), answer.stderr.decode())


def run_case(agent: Agent, case: Case) -> Observed:
    """One row of the table: its preparing run, if it has one, then the run that is looked at."""
    if case.before:
        prepared = run(agent, "[case:success]", STREAM + case.before)
        assert prepared.exit_code == 0, prepared
    return run(agent, case.prompt, case.format + case.flags)


class Started:
    """A run under way, for the cases that disturb it. Ended for certain when the block ends."""

    def __init__(self, agent: Agent, prompt: str, flags: tuple[str, ...] = ()) -> None:
        self._lines: list[bytes] = []
        self.process = subprocess.Popen(
            command(agent, STREAM + flags),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=agent.folder,
            env=dict(agent.environment),
            start_new_session=True,
        )
        assert self.process.stdin
        self.process.stdin.write(prompt.encode())
        self.process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe
            pipe.close()

    def wait_for(self, marker: bytes) -> None:
        """Read on until a line holds ``marker``."""
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.append(line)
            if marker in line:
                return
        raise AssertionError(f"the agent ended without {marker!r}: {self._lines}")

    def tool(self) -> psutil.Process:
        """The ``sleep`` it runs as a tool, once that has started."""
        agent = psutil.Process(self.process.pid)
        return until(
            lambda: next((p for p in agent.children(recursive=True) if _is_sleep(p)), None)
        )

    def end(self, number: signal.Signals) -> Observed:
        """Send the signal and see how it ends."""
        self.process.send_signal(number)
        assert self.process.stdout
        assert self.process.stderr
        rest = self.process.stdout.read()
        errors = self.process.stderr.read()
        code = self.process.wait(TIMEOUT_SECONDS)
        return Observed(code, b"".join([*self._lines, rest]).decode(), errors.decode())


def _is_sleep(process: psutil.Process) -> bool:
    try:
        return bool(process.name() == "sleep")
    except psutil.Error:
        return False


def until(question: Callable[[], Answer | None]) -> Answer:
    """The first answer that is neither None nor False; fails after ``TIMEOUT_SECONDS``."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (answer := question()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
    return answer


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs: a zombie that waits for its parent does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
