"""Reads what an agent prints until it has exited, and ends it on cancel or at its time limit.

    working ──exits──▶ over
       │
       ├── cancel ─────────────────────────────┐
       ├── time limit ─────────────────────────┤
       └── its result is there, and then ──────┴──▶ ending: TERM ──grace──▶ KILL ──▶ over
           nothing comes for `linger_seconds`

The supervisor goes on reading while it ends the agent: an agent blocked by a full pipe could not
print its last events before the KILL.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import termios
import time
from array import array
from typing import TYPE_CHECKING

from claude_tasks.execution.contract import EndedBy

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.execution.activity import Activity
    from claude_tasks.execution.agent_process import AgentProcess
    from claude_tasks.execution.contract import RunSpec

    Sinks = tuple[Callable[[bytes], None], ...]

_CHUNK = 256 * 1024
_FOR_EVER = float("inf")
_BACKGROUND_SECONDS = 600.0
"""How long the CLI itself waits for background tasks and subagents after its result."""

_BACKGROUND_VARIABLE = "CLAUDE_CODE_PRINT_BG_WAIT_CEILING_MS"


class Following:
    """One agent from its start to its exit."""

    def __init__(
        self,
        agent: AgentProcess,
        spec: RunSpec,
        *,
        wakeup: int,
        deadline: float,
        activity: Activity,
    ) -> None:
        """``wakeup`` tells signals; ``deadline``, on the monotonic clock, is the time limit."""
        self._agent = agent
        self._spec = spec
        self._wakeup = wakeup
        self._deadline = deadline
        self._activity = activity
        self._last_word = time.monotonic()
        self._kill_at: float | None = None
        """When KILL is sent, None before TERM."""
        self.ended_by = EndedBy.EXIT
        self.lingered: float | None = None
        """Seconds without output from an agent that had reported its result and did not exit."""

    def follow(self, output: int, to_output: Sinks, error: int, to_error: Sinks) -> None:
        """Read until the agent has exited, even if other processes keep its pipes open."""
        streams = {output: (*to_output, self._note_word), error: to_error}
        poller = select.poll()
        poller.register(self._wakeup, select.POLLIN)
        for descriptor in streams:
            os.set_blocking(descriptor, False)
            poller.register(descriptor, select.POLLIN)
        while self._agent.poll() is None:
            for descriptor, _ in poller.poll(self._patience_ms()):
                if descriptor == self._wakeup:
                    self._read_signals()
                elif not _drain_once(descriptor, streams[descriptor]):
                    poller.unregister(descriptor)
            self._end_when_due()
        for descriptor, sinks in streams.items():
            _drain_rest(descriptor, sinks)

    def _note_word(self, _chunk: bytes) -> None:
        self._last_word = time.monotonic()

    def _read_signals(self) -> None:
        if signal.SIGTERM in os.read(self._wakeup, 64) and self.ended_by is not EndedBy.CANCEL:
            self.ended_by, self.lingered = EndedBy.CANCEL, None
            self._begin_to_end()

    def _end_when_due(self) -> None:
        now = time.monotonic()
        if self._kill_at is None:
            if now >= self._deadline and not self._is_done():
                self.ended_by = EndedBy.TIMEOUT
                self._begin_to_end()
            elif now >= self._next_step_at():
                self.lingered = round(now - self._last_word, 3)
                self._begin_to_end()
        elif now >= self._kill_at:
            self._kill_at = _FOR_EVER
            self._agent.kill()

    def _begin_to_end(self) -> None:
        if self._kill_at is None and self._agent.poll() is None:
            self._kill_at = time.monotonic() + self._spec.kill_grace_seconds
            self._agent.terminate()

    def _is_done(self) -> bool:
        """Whether the agent has reported its result and has only failed to exit."""
        return self._activity.reported and not self._activity.outstanding

    def _next_step_at(self) -> float:
        """When the agent must next be sent a signal, on the monotonic clock."""
        if self._kill_at is not None:
            return self._kill_at
        if not self._activity.reported:
            return self._deadline
        linger = self._spec.linger_seconds
        if self._activity.outstanding:
            linger = max(linger, background_seconds())
        return min(self._deadline, self._last_word + linger)

    def _patience_ms(self) -> int | None:
        at = self._next_step_at()
        return None if at == _FOR_EVER else max(0, int((at - time.monotonic()) * 1000) + 1)


def background_seconds() -> float:
    """The CLI's own limit, or a longer one set in the environment."""
    text = os.environ.get(_BACKGROUND_VARIABLE, "")
    return max(_BACKGROUND_SECONDS, int(text[:12]) / 1000 if text.isdecimal() else 0.0)


def _drain_once(descriptor: int, sinks: Sinks) -> bool:
    """Read one chunk into every sink; False when no more will come."""
    try:
        chunk = os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return True
    for sink in sinks:
        sink(chunk)
    return bool(chunk)


def _drain_rest(descriptor: int, sinks: Sinks) -> None:
    """Read only what is in the pipe now: a child of the agent may go on writing."""
    waiting = array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, waiting)
    left = waiting[0]
    while left > 0 and (chunk := os.read(descriptor, min(left, _CHUNK))):
        left -= len(chunk)
        for sink in sinks:
            sink(chunk)
