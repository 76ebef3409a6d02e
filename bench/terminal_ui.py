"""The terminal UI: first frame, first key obeyed, keys with many tasks, memory, idling."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import shutil
import signal
import struct
import sys
import termios
import time
from typing import TYPE_CHECKING, Self

from bench.report import Line, Section, at_most
from bench.sandbox import Sandbox, cli_command
from bench.statistics_of import median, percentile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_SIZE = struct.pack("HHHH", 40, 140, 0, 0)
_QUIET_SECONDS = 0.15
_PATIENCE_SECONDS = 20.0
_STREAMS = 8
_TICKS = os.sysconf("SC_CLK_TCK")


class Terminal:
    """A program on a terminal of its own; what it draws is read as it comes."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self.begun = time.perf_counter()
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            os.execvpe(argv[0], list(argv), {**environment, "TERM": "xterm-256color"})
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, _SIZE)
        self._drawn = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._descriptor)

    def drawn_after(self, text: bytes) -> float:
        """Milliseconds from the start to a text on the screen."""
        deadline = time.perf_counter() + _PATIENCE_SECONDS
        while text not in self._drawn:
            if time.perf_counter() > deadline or not self._read(1.0):
                raise RuntimeError(f"no {text!r} in {self._drawn[-500:]!r}")
        return (time.perf_counter() - self.begun) * 1000

    def rest(self, seconds: float) -> None:
        """Let it draw for so long."""
        deadline = time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            self._read(left)

    def key_ms(self, key: bytes) -> float:
        """From a key to the first thing drawn because of it, milliseconds."""
        self._until_quiet()
        begun = time.perf_counter()
        os.write(self._descriptor, key)
        self._read(_PATIENCE_SECONDS)
        return (time.perf_counter() - begun) * 1000

    def memory_mib(self) -> float:
        with open(f"/proc/{self.pid}/status") as file:
            [line] = [line for line in file if line.startswith("VmRSS")]
        return int(line.split()[1]) / 1024

    def processor_seconds(self) -> float:
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def _until_quiet(self) -> None:
        """It draws once a second by itself: that is not to be taken for an answer."""
        deadline = time.perf_counter() + _PATIENCE_SECONDS
        while time.perf_counter() < deadline and self._read(_QUIET_SECONDS):
            pass

    def _read(self, seconds: float) -> bool:
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return False
        try:
            self._drawn = self._drawn[-4096:] + os.read(self._descriptor, 1 << 16)
        except OSError:  # it has ended
            return False
        return True


def measure(*, quick: bool) -> Section:
    """Beside what people compare it with, where that is installed."""
    lines: list[Line] = []
    environment: dict[str, str] = {}
    for count in (1_000, 10_000):
        with Sandbox() as box:
            specs = [box.spec(f"task {n}", cron_expr=f"{n % 60} 3 1 1 *") for n in range(count)]
            box.operations.tasks.add_all(specs)
            environment = box.environment
            lines += _start_lines(box, count, times=3 if quick else 9)
            if count > 1_000:
                lines += _use_lines(box, keys=60 if quick else 300)
    lines += _peer_lines(environment, times=3 if quick else 9)
    return Section(
        "Terminal UI",
        "On a pseudo-terminal of 140 x 40, from the start of the process; times of starts over "
        "`python -c pass`. Keys move the selection while agents of 8 running runs print.",
        lines,
    )


def _start_lines(box: Sandbox, count: int, *, times: int) -> list[Line]:
    nothing, first, whole = [], [], []
    argv = [*cli_command(), "tui", "--scheduler=off"]
    for _ in range(times):
        begun = time.perf_counter()
        pid = os.posix_spawn(sys.executable, [sys.executable, "-c", "pass"], box.environment)
        os.waitpid(pid, 0)
        nothing.append((time.perf_counter() - begun) * 1000)
        with Terminal(argv, box.environment) as terminal:
            first.append(terminal.drawn_after(f"task {count - 1}".encode()))
            whole.append(terminal.drawn_after(b"Quit"))
    bare = median(nothing)
    return [
        at_most(f"first frame, {count:,} tasks", median(first) / bare, 8, "x")._replace(
            peer=f"{median(first):.0f} ms against {bare:.1f} ms"
        ),
        at_most(f"interactive, {count:,} tasks", median(whole) / bare, 60, "x")._replace(
            peer=f"{median(whole):.0f} ms against {bare:.1f} ms"
        ),
    ]


def _use_lines(box: Sandbox, *, keys: int) -> list[Line]:
    streams = _running_streams(box)
    argv = [*cli_command(), "tui", "--scheduler=off"]
    with Terminal(argv, box.environment) as terminal:
        terminal.drawn_after(b"Quit")
        terminal.rest(3)
        before, begun = terminal.processor_seconds(), time.perf_counter()
        terminal.rest(10)
        idle = (terminal.processor_seconds() - before) / (time.perf_counter() - begun) * 100
        memory = terminal.memory_mib()
        taken = []
        for number in range(keys):
            _print_on(streams, number)
            taken.append(terminal.key_ms(b"j" if number % 50 < 40 else b"k"))
        return [
            at_most("key to paint, p99", percentile(taken, 0.99), 50, " ms")._replace(
                peer=f"p50 {median(taken):.1f} ms"
            ),
            at_most("memory, 10,000 tasks", memory, 70, " MiB"),
            at_most(f"after {keys} more keys", terminal.memory_mib(), 70, " MiB"),
            at_most("idle, of a core", idle, 1, " %"),
        ]


def _running_streams(box: Sandbox) -> list[Path]:
    """Runs that read as running, with events that somebody may add to."""
    import sqlite3  # noqa: PLC0415 (nothing else writes rows by hand)

    paths = []
    ids = [summary.task.id for summary in box.operations.tasks.list()[:_STREAMS]]
    for task_id in ids:
        run = box.operations.runs.start(task_id, assigned_to="x")
        path = box.data / "logs" / str(task_id) / f"{run.id}.events.jsonl"
        path.parent.mkdir(parents=True)
        paths.append(path)
    with sqlite3.connect(box.data / "tasks.db") as database:
        database.execute(
            "UPDATE task_runs SET state = 'running', claim = 1, claimed_by = 'x', started_at = ?",
            (int(time.time() * 1000),),
        )
    database.close()
    return paths


def _print_on(paths: Sequence[Path], number: int) -> None:
    content = [{"type": "text", "text": f"line {number}"}]
    event = json.dumps({"type": "assistant", "message": {"content": content}}) + "\n"
    for path in paths:
        with path.open("a") as file:
            file.write(event)


def _peer_lines(environment: Mapping[str, str], *, times: int) -> list[Line]:
    lines = []
    for name in ("htop", "tig"):
        if shutil.which(name) is None:
            lines.append(Line(name, "-", "not installed here"))
            continue
        taken = []
        for _ in range(times):
            with Terminal([name], environment) as terminal:
                taken.append(terminal.drawn_after(b"F10" if name == "htop" else b"["))
        lines.append(Line(f"{name}, whole screen", "-", f"{median(taken):.0f} ms"))
    return lines
