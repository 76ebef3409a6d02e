"""Nobody reads what a daemon says, or its terminal stands still or closes: it still schedules."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import termios
from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.run import State
from support.installation import DAEMON, EVERY_SECOND, TTL, pause
from support.waiting import wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.installation import Installation

SERVE = ("-m", "claude_tasks", "serve", "--port", "0")
TERM_SECONDS = 5.0
XOFF, XON = b"\x13", b"\x11"


@pytest.fixture
def descriptors() -> Iterator[list[int]]:
    """What a test opened: closed after it, unless the test closed it."""
    opened: list[int] = []
    yield opened
    for descriptor in opened:
        with contextlib.suppress(OSError):
            os.close(descriptor)


@pytest.mark.parametrize(
    ("command", "full"),
    [(DAEMON, "from the start"), (SERVE, "while it works")],
    ids=["daemon, from the start", "serve, while it works"],
)
def test_a_pipe_that_nobody_reads_stops_neither_the_ticks_nor_the_end(
    installation: Installation, descriptors: list[int], command: tuple[str, ...], full: str
) -> None:
    installation.add(cron_expr=EVERY_SECOND)
    reading, writing = os.pipe()
    descriptors += [reading, writing]
    if full == "from the start":
        fill(writing)
    node = installation.start_onto(writing, *command, "--log-level", "debug")
    wait_until(lambda: installation.leader_pid() == node.pid, what="it leads")
    fill(writing)
    works_on(installation, node)
    ends_on_term(node)
    check(installation)


@pytest.mark.parametrize("stuck", ["stdout", "stderr"])
def test_either_stream_alone_may_be_stuck(
    installation: Installation, descriptors: list[int], tmp_path: Path, stuck: str
) -> None:
    installation.add(cron_expr=EVERY_SECOND)
    reading, writing = os.pipe()
    other = os.open(tmp_path / "read", os.O_WRONLY | os.O_CREAT)
    descriptors += [reading, writing, other]
    fill(writing)
    streams = (writing, other) if stuck == "stdout" else (other, writing)
    node = installation.start_onto(streams[0], *DAEMON, errors=streams[1])
    installation.wait_for_runs(2, State.COMPLETED)
    ends_on_term(node)
    said = (tmp_path / "read").read_text()
    assert ("leadership gained" if stuck == "stdout" else "leader=true") in said
    check(installation)


def test_a_terminal_stopped_with_ctrl_s_stops_neither_the_ticks_nor_the_end(
    installation: Installation, descriptors: list[int]
) -> None:
    installation.add(cron_expr=EVERY_SECOND)
    keyboard, terminal = pty.openpty()
    descriptors += [keyboard, terminal]
    node = installation.start_onto(terminal, *DAEMON, "--log-level", "debug")
    reads(keyboard, "leadership gained")
    os.write(keyboard, XOFF)
    works_on(installation, node)
    os.write(keyboard, XON)
    reads(keyboard, "run 3")
    os.write(keyboard, XOFF)
    works_on(installation, node)
    ends_on_term(node)
    check(installation)


def test_what_is_said_at_the_end_reaches_a_reader_who_comes_then(
    installation: Installation, descriptors: list[int]
) -> None:
    reading, writing = os.pipe()
    descriptors += [reading, writing]
    node = installation.start_onto(writing)
    wait_until(lambda: installation.leader_pid() == node.pid, what="it leads")
    filled = fill(writing)
    os.close(writing)
    node.send_signal(signal.SIGTERM)
    said = b""
    while chunk := os.read(reading, 65536):
        said += chunk
    assert node.wait(timeout=TERM_SECONDS) == 0
    assert len(said) > filled
    assert b"SIGTERM: stopping" in said


def test_a_terminal_that_closes_ends_the_daemon_and_its_runs_go_on(
    installation: Installation, descriptors: list[int]
) -> None:
    keyboard, terminal = pty.openpty()
    descriptors += [keyboard, terminal]
    daemon = installation.start_onto(terminal, prepare=leader_of(terminal))
    os.close(terminal)
    reads(keyboard, "leadership gained")
    task = installation.add(prompt="[case:slow seconds=3]", enabled=False)
    run = installation.operations.runs.start(task.id)
    installation.wait_for_runs(1, State.RUNNING)
    installation.supervisor_pid(installation.operations.runs.get(run.id))
    os.close(keyboard)
    assert daemon.wait(timeout=TERM_SECONDS) == 0
    assert installation.operations.runs.get(run.id).state is State.RUNNING
    assert installation.query("SELECT id FROM nodes") == [], "it left as on SIGTERM"
    installation.start_leader()
    [seen] = installation.wait_for_runs(1, State.COMPLETED)
    assert (seen.id, seen.claim, seen.exit_code) == (run.id, 1, 0)
    installation.check()


def test_a_terminal_that_closes_leaves_a_daemon_that_logs_elsewhere(
    installation: Installation, descriptors: list[int], tmp_path: Path
) -> None:
    installation.add(cron_expr=EVERY_SECOND)
    keyboard, terminal = pty.openpty()
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    descriptors += [keyboard, terminal, log]
    daemon = installation.start_onto(terminal, errors=log, prepare=leader_of(terminal))
    os.close(terminal)
    installation.wait_for_runs(1, State.COMPLETED)
    os.close(keyboard)
    wait_until(lambda: "SIGHUP ignored" in (tmp_path / "log").read_text())
    works_on(installation, daemon)
    ends_on_term(daemon)
    check(installation)


def test_a_daemon_told_to_ignore_hangups_outlives_its_terminal(
    installation: Installation, descriptors: list[int]
) -> None:
    """As under nohup, with its errors still on the terminal."""
    installation.add(cron_expr=EVERY_SECOND)
    keyboard, terminal = pty.openpty()
    descriptors += [keyboard, terminal]
    daemon = installation.start_onto(terminal, prepare=leader_of(terminal, hangup=signal.SIG_IGN))
    os.close(terminal)
    installation.wait_for_runs(1, State.COMPLETED)
    os.close(keyboard)
    works_on(installation, daemon)
    ends_on_term(daemon)
    check(installation)


def works_on(installation: Installation, node: subprocess.Popen[bytes]) -> None:
    """For longer than a lease lives without being renewed, as the one leader there was."""
    before = len(installation.runs(State.COMPLETED))
    pause(TTL + 0.5)
    installation.wait_for_runs(before + 2, State.COMPLETED)
    assert (installation.leader_pid(), installation.epoch()) == (node.pid, 1)
    expires = installation.query("SELECT expires_at FROM scheduler_leases")
    wait_until(
        lambda: installation.query("SELECT expires_at FROM scheduler_leases") != expires,
        what="the lease is renewed",
    )


def ends_on_term(node: subprocess.Popen[bytes]) -> None:
    node.send_signal(signal.SIGTERM)
    assert node.wait(timeout=TERM_SECONDS) == 0


def check(installation: Installation) -> None:
    """Runs that were left under way are recorded first."""
    installation.start_leader()
    installation.settle()
    installation.check()


def fill(writing: int) -> int:
    """Write until nothing more fits; how much it was."""
    total = 0
    os.set_blocking(writing, False)
    for size in (65536, 1):  # whole pages first, then the rest
        with contextlib.suppress(BlockingIOError):
            while True:
                total += os.write(writing, b"." * size)
    os.set_blocking(writing, True)
    return total


def reads(keyboard: int, wanted: str) -> str:
    """Read a terminal until it shows this."""
    os.set_blocking(keyboard, False)
    seen = b""

    def shown() -> bool:
        nonlocal seen
        with contextlib.suppress(BlockingIOError):
            seen += os.read(keyboard, 65536)
        return wanted.encode() in seen

    wait_until(shown, what=f"the terminal shows {wanted!r}")
    return seen.decode()


def leader_of(terminal: int, *, hangup: signal.Handlers = signal.SIG_DFL) -> Callable[[], None]:
    """Makes a new process the leader of a session on the terminal: a hangup is for it."""

    def prepare() -> None:
        os.setsid()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, hangup)

    return prepare
