"""The HTTP API: answers a second while idle and while agents run; what that does to ticks."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from bench.load import Load, press
from bench.processes import memory, wait_until
from bench.report import HOLDS, MISSED, Line, Section, times
from bench.sandbox import Sandbox, cli_command
from bench.statistics_of import median, percentile

if TYPE_CHECKING:
    from collections.abc import Iterator

FEW, MANY = 50, 10_000
_GO_FEW, _GO_MANY = 4600, 31
"""Answers a second of the implementation in Go, on this kind of machine."""

_AGENTS = 8
_CONNECTIONS = 16
_PROMPT = "Review today's commits and list risks. " * 3


class _Ask(NamedTuple):
    """One measurement. ``least`` answers a second are the budget, 0 for none."""

    what: str
    path: str
    least: float = 0.0
    headers: str = ""
    connections: int = _CONNECTIONS


def measure(*, quick: bool) -> Section:
    """Two data folders, one server each; first idle, then with agents at work."""
    seconds = 1.5 if quick else 4.0
    lines: list[Line] = []
    for count, asks in ((FEW, _asks_of_few()), (MANY, _asks_of_many())):
        with Sandbox(max_concurrent_runs=_AGENTS + 2) as box:
            port, pid = _serve(box, count)
            lines.append(_resident(f"server of {count:,} tasks, idle: resident", pid))
            for ask in asks:
                lines.append(_line(f"idle, {ask.what}", ask, _press(port, ask, seconds)))
                if ask.path == "/api/v1/tasks" and not ask.headers:
                    lines[-1] = _beside_bare_uvicorn(lines[-1], box, port, ask, seconds)
            with _agents_at_work(box):
                for ask in asks:
                    name = f"{_AGENTS} runs in progress, {ask.what}"
                    lines.append(_line(name, ask, _press(port, ask, seconds)))
            if count == MANY:
                lines += _lateness(box, port, seconds=6 if quick else 20)
    return Section(
        "HTTP API",
        f"{_CONNECTIONS} keep-alive connections (4 where answers are large) of one process on the "
        "other core, whole answers read. Peer: uvicorn alone, sending the same bytes. Budgets are "
        f"multiples of what the implementation in Go did: {_GO_FEW}/s and {_GO_MANY}/s.",
        lines,
    )


def _resident(what: str, pid: int) -> Line:
    return Line(what, "-", f"{memory(pid).resident:.1f} MiB")


def _asks_of_few() -> list[_Ask]:
    return [
        _Ask("health", "/api/v1/health"),
        _Ask("one task", "/api/v1/tasks/7"),
        _Ask(f"list of {FEW}", "/api/v1/tasks", least=3 * _GO_FEW),
    ]


def _asks_of_many() -> list[_Ask]:
    return [
        _Ask(f"list of {MANY:,}", "/api/v1/tasks", least=10 * _GO_MANY, connections=4),
        _Ask(
            f"list of {MANY:,}, gzip", "/api/v1/tasks", headers="Accept-Encoding: gzip\r\n",
            connections=4,
        ),
        _Ask(f"one of {MANY:,}", "/api/v1/tasks/7"),
    ]  # fmt: skip


def _serve(box: Sandbox, count: int) -> tuple[int, int]:
    """A server that leads, on so many tasks that are never due; its port and pid."""
    box.operations.tasks.add_all(
        [
            box.spec(f"task {n}", cron_expr="0 18 1 1 *")._replace(prompt=_PROMPT)
            for n in range(count)
        ]
    )
    port = _free_port()
    server = box.start(*cli_command(), "serve", "--port", str(port))
    wait_until(lambda: _answers(port), seconds=30, pause=0.05)
    return port, server.pid


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/health", timeout=5):
            return True
    except OSError:
        return False


def _press(port: int, ask: _Ask, seconds: float) -> Load:
    press(port, ask.path, connections=2, seconds=0.3, headers=ask.headers)  # encodes, warms up
    return press(port, ask.path, connections=ask.connections, seconds=seconds, headers=ask.headers)


def _line(what: str, ask: _Ask, load: Load) -> Line:
    measured = f"{load.per_second:,.0f}/s, p99 {load.p99_ms:.2f} ms"
    if not ask.least:
        return Line(what, "-", measured)
    verdict = HOLDS if load.per_second >= ask.least else MISSED
    return Line(what, f"≥ {ask.least:,.0f}/s", measured, verdict)


def _beside_bare_uvicorn(line: Line, box: Sandbox, port: int, ask: _Ask, seconds: float) -> Line:
    body = box.root / "body.json"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{ask.path}") as answer:
        body.write_bytes(answer.read())
    bare_port = _free_port()
    bare = subprocess.Popen(
        [sys.executable, "-m", "bench.peers.bare_uvicorn", str(bare_port), str(body)]
    )
    try:
        wait_until(lambda: _answers(bare_port), seconds=20, pause=0.05)
        theirs = _press(bare_port, ask, seconds)
    finally:
        bare.terminate()
        bare.wait()
    ours = _press(port, ask, seconds)
    peer = f"uvicorn alone: {theirs.per_second:,.0f}/s"
    return line._replace(peer=peer, ratio=times(theirs.per_second, ours.per_second))


@contextmanager
def _agents_at_work(box: Sandbox) -> Iterator[None]:
    """So many runs that last as long as the block."""
    flag = box.root / "work"
    flag.touch()
    box.write_agent(f'while [ -e "{flag}" ]; do sleep 0.2; done')
    for n in range(_AGENTS):
        box.operations.tasks.add(box.spec(f"at work {n}"))
    running = "SELECT COUNT(*) FROM task_runs WHERE state = 'running'"
    wait_until(lambda: box.value(running) == _AGENTS, seconds=20)
    try:
        yield
    finally:
        flag.unlink()
        wait_until(lambda: box.active_runs() == 0, seconds=20)
        box.write_agent("echo done")


def _lateness(box: Sandbox, port: int, *, seconds: int) -> list[Line]:
    """From a tick to its row, a tick every second: left alone, and with the list asked for."""
    box.operations.tasks.add(box.spec("ticks", cron_expr="* * * * * *"))
    alone = _late_ms(box, seconds)
    stop = threading.Event()
    asked: list[Load] = []

    def ask() -> None:
        while not stop.is_set():
            asked.append(press(port, "/api/v1/tasks/7", connections=_CONNECTIONS, seconds=1))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        pressed = _late_ms(box, seconds)
    finally:
        stop.set()
        thread.join()
    rate = median([load.per_second for load in asked])
    return [
        Line("tick lateness, API idle", "-", _spread(alone)),
        Line(
            f"tick lateness at {rate:,.0f} requests/s", "unchanged", _spread(pressed),
            HOLDS if median(pressed) <= median(alone) + 20 else MISSED,
        ),
    ]  # fmt: skip


def _spread(late: list[float]) -> str:
    return f"p50 {median(late):.0f} ms, p99 {percentile(late, 0.99):.0f} ms"


def _late_ms(box: Sandbox, seconds: int) -> list[float]:
    before = box.value("SELECT MAX(id) FROM task_runs")
    time.sleep(seconds)
    sql = (
        "SELECT queued_at - scheduled_for FROM task_runs "
        "WHERE id > ? AND scheduled_for IS NOT NULL AND state <> 'skipped'"
    )
    return [float(late) for (late,) in box.rows(sql, (before,))]
