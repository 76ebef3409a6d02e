"""The daemon's end of the spawner: starts it, asks for supervisors, hears when they end."""

from __future__ import annotations

import os
import subprocess
import sys

from claude_tasks.execution.agent_environment import agent_environment


class Spawner:
    """A child process that forks supervisors. Its death loses nothing: the folders tell all."""

    def __init__(self) -> None:
        """Nothing runs before `start`."""
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""

    @property
    def descriptor(self) -> int | None:
        """Readable when there are answers; None while the spawner does not run."""
        if self._process is None or self._process.stdout is None:
            return None
        return self._process.stdout.fileno()

    def start(self) -> None:
        """Start the process unless it runs. Errors: `OSError`."""
        if self._process is not None:
            return
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "claude_tasks.execution.spawner_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=agent_environment(os.environ),  # the supervisors', for agents to read
            start_new_session=True,  # away from the terminal, with all supervisors
        )
        assert self._process.stdout is not None  # asked for above
        os.set_blocking(self._process.stdout.fileno(), False)

    def request(self, folder: str) -> None:
        """Ask for a supervisor. Errors: `OSError` when the spawner cannot be reached."""
        self.start()
        assert self._process is not None
        assert self._process.stdin is not None
        self._read()  # or both could wait for the other to empty a full pipe
        self._process.stdin.write(f"{folder}\n".encode())

    def released(self) -> tuple[list[str], bool]:
        """The folders it has no supervisor for (any more), and whether it still runs."""
        if self._process is None:
            return [], False
        alive = self._read()
        *lines, self._pending = self._pending.split(b"\n")
        if not alive:
            self.stop()
        return [line.decode() for line in lines], alive

    def stop(self) -> None:
        """End the spawner, not its supervisors. Safe to repeat."""
        process, self._process = self._process, None
        self._pending = b""
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()  # it exits at the end of its input
        process.stdout.close()
        process.wait()

    def _read(self) -> bool:
        """Take in what it said; whether it still runs."""
        assert self._process is not None
        assert self._process.stdout is not None
        while (chunk := self._process.stdout.read(65536)) is not None:
            if chunk == b"":
                return False
            self._pending += chunk
        return True
