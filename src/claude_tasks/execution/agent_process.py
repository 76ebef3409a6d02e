"""The agent as a child process: started with ``posix_spawn``, ended with TERM, then KILL.

Why not the standard library's ``subprocess``: a fork that prepares the child in Python copies the
supervisor's page tables (1.5 ms a run), and importing ``subprocess`` alone loads ``threading``,
whose hooks run in every fork of the spawner.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEFAULT_AGAIN = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE)


class AgentProcess:
    """A running agent. ``returncode`` is None until it was reaped, negative for a signal."""

    def __init__(self, pid: int) -> None:
        """Follow a child of this process."""
        self.pid = pid
        self.returncode: int | None = None

    @classmethod
    def start(
        cls,
        argv: list[str],
        *,
        cwd: str,
        environment: Mapping[str, str],
        standard: tuple[int, int, int],
        inherited: int,
    ) -> AgentProcess:
        """Start ``argv`` in a new session. Errors: `OSError` with the path at fault.

        ``standard`` are the descriptors that become input, output and error; ``inherited`` is one
        more that the agent and its children keep open under its own number.
        """
        os.set_inheritable(inherited, True)
        os.chdir(cwd)
        try:
            pid = os.posix_spawn(
                argv[0],
                argv,
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, descriptor, number)
                    for number, descriptor in enumerate(standard)
                ],
                setsid=True,
                setsigdef=_DEFAULT_AGAIN,
            )
        finally:
            os.chdir("/")
        return cls(pid)

    def poll(self) -> int | None:
        """Reap it if it has exited."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def terminate(self) -> None:
        """Send TERM: the agent ends its tools, prints its last events and exits."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send KILL."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        # Only `poll` reaps, so as long as there is no return code the pid is still the agent's.
        if self.returncode is None:
            os.kill(self.pid, number)
