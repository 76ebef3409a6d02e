"""The stand-in's processes: tools in sessions of their own, escapees, and how signals end it all.

No ``subprocess``: it costs more to import than the rest of the stand-in together.
"""

from __future__ import annotations

import os
import signal
import time

from claude_tasks.standin import events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

    from claude_tasks.standin.conversation import Conversation

EXIT_TERMINATED = 143


class Tool:
    """A command the agent runs: a session of its own, so that no killpg of ours reaches it."""

    def __init__(self, command: str, pid_file: str = "") -> None:
        """Not started yet. ``pid_file`` is where the pid goes, for tests that look for it."""
        self.use_id = ""
        self._command = command
        self._pid_file = pid_file
        self._pid = 0

    def start(self, use_id: str) -> None:
        """Start it with output and errors of its own, as the real one does."""
        self.use_id = use_id
        # A signal between the start and the note of the pid would leave the tool running.
        ending = {signal.SIGTERM, signal.SIGINT}
        signal.pthread_sigmask(signal.SIG_BLOCK, ending)
        self._pid = self._spawn()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ending)
        write_pid(self._pid_file, self._pid)

    def _spawn(self) -> int:
        null = os.open(os.devnull, os.O_RDWR)
        pid = os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", f"exec {self._command}"],
            dict(os.environ),
            file_actions=[(os.POSIX_SPAWN_DUP2, null, descriptor) for descriptor in (0, 1, 2)],
            setsid=True,
            setsigmask=(),
        )
        os.close(null)
        return pid

    def wait(self) -> int:
        """Its exit code."""
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> bool:
        """End it with its whole group; False when it was not running."""
        if not self._pid:
            return False
        try:
            os.killpg(self._pid, signal.SIGKILL)
        except ProcessLookupError:  # the signal came just after it had ended by itself
            return False
        self.wait()
        return True


def end_on_signals(talk: Conversation, tool: Tool | None = None) -> None:
    """End as the real one does: SIGTERM 143, SIGINT 0, never with a result event."""

    def terminate(_number: int, _frame: FrameType | None) -> None:
        if tool and tool.kill():
            talk.tool_result(tool.use_id, "Exit code 137", is_error=True)
        os._exit(EXIT_TERMINATED)

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if tool:
            tool.kill()
        talk.emit(events.interrupted())
        os._exit(0)

    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, interrupt)


def ignore_sigterm() -> None:
    """From now on only SIGKILL ends this process."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def leave_grandchild(seconds: float, pid_file: str) -> None:
    """Start a process in a session of its own that keeps our stdout and stderr open."""
    pid = os.posix_spawn(
        "/bin/sh", ["sh", "-c", f"exec sleep {seconds:g}"], dict(os.environ), setsid=True
    )
    write_pid(pid_file, pid)


def leave_daemon(seconds: float, pid_file: str) -> None:
    """Start a process outside every process tree: forked twice, own session, ignores SIGTERM.

    It keeps our stdout and stderr open. Returns once it lives and its pid is written.
    """
    ready, is_ready = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            ignore_sigterm()
            write_pid(pid_file, os.getpid())
            os.close(is_ready)
            os.close(ready)
            time.sleep(seconds)
        os._exit(0)
    os.close(is_ready)
    os.waitpid(child, 0)
    os.read(ready, 1)  # ends when the daemon closes its end
    os.close(ready)


def write_pid(path: str, pid: int) -> None:
    """Write ``pid`` to ``path`` whole or not at all, if a path is given."""
    if path:
        fresh = f"{path}.{os.getpid()}"
        with open(fresh, "w", encoding="ascii") as file:
            file.write(f"{pid}\n")
        os.replace(fresh, path)
