"""Asks the agent's own CLI by its control protocol: one line in, one line out, no model call."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from claude_tasks.domain.errors import SpawnError, UsageUnavailableError
from claude_tasks.domain.usage import NO_AGENT
from claude_tasks.usage.windows import reading_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from claude_tasks.domain.usage import Reading

NAME = "cli"
_LARGEST = 1 << 20
_BLOCK = 1 << 16
_REQUEST_ID = "usage"
_FLAGS = ("-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose")
_REQUEST = {
    "type": "control_request",
    "request_id": _REQUEST_ID,
    "request": {"subtype": "get_usage", "skip_behaviors": True},
}


class CliSource:
    """``claude -p`` with a `get_usage` control request on its standard input."""

    name = NAME

    def __init__(
        self,
        find_agent: Callable[[], str],
        environment_of: Callable[[str], Mapping[str, str]],
        *,
        folder: str,
        seconds: float,
    ) -> None:
        """``find_agent`` raises `SpawnError`; ``environment_of`` takes the agent's path.

        The process runs in ``folder`` for at most ``seconds``.
        """
        self._find_agent = find_agent
        self._environment_of = environment_of
        self._folder = folder
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = False
        self._lock = threading.Lock()
        """Held while a process begins or ends, so that `cancel` never signals another process."""

    def ask(self, *, at: int) -> Reading:
        """Ask once. Errors: `UsageUnavailableError`."""
        answer = self._response()
        if not answer.get("rate_limits_available"):
            raise UsageUnavailableError(
                "the agent knows of no subscription: it is not logged in, or billed otherwise",
                hint="log in with: claude, then /login",
                code="no_credentials",
            )
        if not isinstance(answer.get("rate_limits"), dict):
            raise UsageUnavailableError(
                "the agent could not learn its usage itself", code="usage_unreachable"
            )
        return reading_of(answer["rate_limits"], source=NAME, at=at)

    def cancel(self) -> None:
        """End the running process, and start no more. For any thread."""
        with self._lock:
            self._cancelled = True
            if self._process is not None:
                _kill(self._process)

    def _response(self) -> dict[str, Any]:
        process = self._start()
        try:
            return _response_in(self._first_answer(process))
        finally:
            self._end(process)

    def _start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._cancelled:
                raise UsageUnavailableError("nobody is asked any more", code="usage_cancelled")
            try:
                self._process = self._spawn()
            except (SpawnError, OSError, ValueError) as error:
                raise UsageUnavailableError(
                    f"the agent could not be asked: {error}",
                    hint=getattr(error, "hint", None),
                    code=NO_AGENT,
                ) from error
            return self._process

    def _spawn(self) -> subprocess.Popen[bytes]:
        agent = self._find_agent()
        return subprocess.Popen(
            [agent, *_FLAGS],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            env=dict(self._environment_of(agent)),
            start_new_session=True,
        )

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._process = None
            # It leads its own session: its children are ended with it.
            _kill(process)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            process.wait()

    def _first_answer(self, process: subprocess.Popen[bytes]) -> bytes:
        """The line that answers. Errors: `UsageUnavailableError` when none comes in time."""
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(_REQUEST).encode() + b"\n")
            process.stdin.close()  # no further request
        except BrokenPipeError:
            raise _silent() from None
        seen = b""
        for block in self._blocks(process):
            *lines, seen = (seen + block).split(b"\n")
            for line in lines:
                if b'"control_response"' in line:
                    return line
            if len(seen) > _LARGEST:
                break
        raise _silent()

    def _blocks(self, process: subprocess.Popen[bytes]) -> Iterator[bytes]:
        """Its output until it ends. Errors: `UsageUnavailableError` when its time is over."""
        assert process.stdout is not None
        deadline = time.monotonic() + self._seconds
        # Not select: it cannot handle descriptors above 1023, which a node may have.
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                if not selector.select(left):
                    continue
                block = os.read(process.stdout.fileno(), _BLOCK)
                if not block:
                    return
                yield block
        raise UsageUnavailableError(
            f"the agent did not answer within {self._seconds:g} s", code="usage_timeout"
        )


def _silent() -> UsageUnavailableError:
    return UsageUnavailableError(
        "the agent ended without an answer about usage", code="usage_garbage"
    )


def _response_in(line: bytes) -> dict[str, Any]:
    try:
        response = json.loads(line)["response"]
        answer = response["response"] if response["subtype"] == "success" else None
    except (ValueError, LookupError, TypeError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise UsageUnavailableError(
            "the agent does not know how to tell its usage", code="usage_garbage"
        )
    return answer


def _kill(process: subprocess.Popen[bytes]) -> None:
    """KILL its session. Only before it is reaped: later its pid may be another process's."""
    with suppress(ProcessLookupError, PermissionError):  # macOS raises it for a zombie
        os.killpg(process.pid, signal.SIGKILL)
