"""``claude-tasks`` as a process, on an installation of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from support.installation import SOURCE

if TYPE_CHECKING:
    from pathlib import Path

    from support.installation import Installation
    from support.terminal import TerminalSession


class Program:
    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self._opened: list[subprocess.Popen[str]] = []
        self.sessions: list[TerminalSession] = []
        """Terminals in which it was started."""
        self.environment = {
            **os.environ,
            **installation.environment,
            "PYTHONPATH": str(SOURCE),
            "TZ": "UTC",
            "PATH": os.pathsep.join((str(_on_path(installation.folder)), os.environ["PATH"])),
        }

    def __call__(
        self, *argv: str, stdin: str = "", python: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            [sys.executable, *python, "-m", "claude_tasks", *argv],
            input=stdin,
            env=self.environment,
            cwd=self.installation.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def json(self, *argv: str) -> Any:
        """What it says with ``--json``; it must succeed."""
        done = self(*argv, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def shell(self, *command: str) -> str:
        """What another program prints that finds ``claude-tasks`` on its PATH."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    def open(self, *argv: str) -> subprocess.Popen[str]:
        """Start it, with pipes, and with SIGINT as a terminal would give it."""
        process = subprocess.Popen(
            [sys.executable, "-m", "claude_tasks", *argv],
            env=self.environment,
            cwd=self.installation.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_as_in_a_terminal,  # noqa: PLW1509 (this process has no threads)
        )
        self._opened.append(process)
        return process

    def close(self) -> None:
        """End what was started and still runs, and let the pipes go."""
        for session in self.sessions:
            session.close()
        for process in self._opened:
            process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


def _on_path(folder: Path) -> Path:
    """A folder with a ``claude-tasks``, as an installation leaves it: hints name just that."""
    binaries = folder / "path"
    binaries.mkdir()
    started = binaries / "claude-tasks"
    started.write_text(f'#!/bin/sh\nexec {sys.executable} -m claude_tasks "$@"\n')
    started.chmod(0o755)
    return binaries


def _as_in_a_terminal() -> None:
    """A shell's background job ignores SIGINT, and so would its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def ended(process: subprocess.Popen[str], *, seconds: float = 15) -> tuple[int, str, str]:
    """Exit code and both outputs of a process that ends by itself."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err
