"""Told to end, a process that stays is gone within five seconds, whatever holds it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from support.installation import DAEMON
from support.waiting import wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from support.installation import Installation

SERVE = ("-m", "claude_tasks", "serve", "--port", "0")
LIMIT = 5.0


def ends_in_time(process: subprocess.Popen[bytes]) -> int:
    told = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=30)
    assert time.monotonic() - told < LIMIT
    return code


@contextlib.contextmanager
def recovery_that_hangs(installation: Installation) -> Iterator[None]:
    """The locks under which SQLite recovers its log; whoever wants them tries for ten seconds."""
    with open(f"{installation.database}-shm", "r+b") as shared:
        fcntl.lockf(shared, fcntl.LOCK_EX, 8, 120)
        yield


@pytest.mark.parametrize("command", [DAEMON, SERVE], ids=["daemon", "serve"])
def test_a_node_whose_database_hangs_in_recovery_ends_when_it_is_told(
    installation: Installation, command: tuple[str, ...]
) -> None:
    node = installation.start_leader(*command)
    wait_until(lambda: "data folder" in installation.log(), what="it has started")
    installation.operations.close()  # its own locks on that file would go with the descriptor
    with recovery_that_hangs(installation):
        assert ends_in_time(node) == 0
    assert "told to end" in installation.log()
    installation.reopen()


def test_a_daemon_that_waits_for_the_lock_at_its_start_ends_when_it_is_told(
    installation: Installation,
) -> None:
    with contextlib.closing(sqlite3.connect(installation.database)) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        node = installation.start()
        caught = f"/proc/{node.pid}/status"
        wait_until(lambda: _catches_term(caught), what="it catches signals")
        ends_in_time(node)


def _catches_term(status: str) -> bool:
    with open(status, encoding="ascii") as file:
        [mask] = [line.split()[1] for line in file if line.startswith("SigCgt")]
    return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)


def test_a_daemon_that_waits_for_the_schema_ends_when_it_is_told(
    installation: Installation,
) -> None:
    installation.forget_data()
    installation.data.mkdir(mode=0o700)
    lock = os.open(f"{installation.database}.init-lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    node = installation.start()
    wait_until(lambda: _catches_term(f"/proc/{node.pid}/status"), what="it catches signals")
    ends_in_time(node)
    os.close(lock)
    installation.reopen()
