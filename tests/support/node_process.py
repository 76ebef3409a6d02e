"""A scheduling node as a process, with the faults a plain daemon cannot be asked for.

``python -m support.node_process`` takes its settings from the environment, like the daemon.
Extra variables:

* ``TEST_CLOCK_OFFSET``: a file with milliseconds to add to the wall clock, read at every look.
* ``TEST_STOP_IN_TICK``: a file; while it exists, the node stops itself (SIGSTOP) inside the tick
  transaction, after its rows are written and before they are committed, and removes the file.
* ``TEST_STOP_BEFORE_LAUNCH``, ``TEST_STOP_BEFORE_REQUEST``: likewise, between the claim of a run
  and its folder, and between the folder and the request for a supervisor.
* ``TEST_SILENT_SECONDS``: how long past its time a supervisor may be silent.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from claude_tasks.domain.node import Role
from claude_tasks.execution import executor
from claude_tasks.execution.executor import Executor
from claude_tasks.settings import load_settings
from claude_tasks.storage.tables import ticks
from claude_tasks.system.clock import SystemClock
from claude_tasks.wiring.node import build_node

if TYPE_CHECKING:
    from claude_tasks.domain.planned import TickPlan


class OffsetClock(SystemClock):
    """The wall clock as somebody set it."""

    def __init__(self, path: str) -> None:
        self._path = path

    def now(self) -> int:
        offset = 0
        with contextlib.suppress(FileNotFoundError, ValueError), open(self._path) as file:
            offset = int(file.read())
        return super().now() + offset


def stop_here(path: str) -> None:
    """Stop the process at this very instruction: a signal to it may go to another thread."""
    os.unlink(path)
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def stop_inside_the_tick(path: str) -> None:
    advance = ticks.TickTable._advance

    def advance_and_stop(self: ticks.TickTable, plan: TickPlan) -> bool:
        written = advance(self, plan)
        if os.path.exists(path):
            stop_here(path)
        return written

    ticks.TickTable._advance = advance_and_stop  # type: ignore[method-assign]


def stop_before(owner: type, name: str, path: str) -> None:
    """Have a method stop this process, once, before it does anything."""
    method = getattr(owner, name)

    def stop_first(*arguments: object, **more: object) -> object:
        if os.path.exists(path):
            stop_here(path)
        return method(*arguments, **more)

    setattr(owner, name, stop_first)


def main() -> None:
    logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(name)s: %(message)s")
    clock = OffsetClock(os.environ.get("TEST_CLOCK_OFFSET", os.devnull))
    if "TEST_STOP_IN_TICK" in os.environ:
        stop_inside_the_tick(os.environ["TEST_STOP_IN_TICK"])
    if "TEST_STOP_BEFORE_LAUNCH" in os.environ:
        stop_before(Executor, "launch", os.environ["TEST_STOP_BEFORE_LAUNCH"])
    if "TEST_STOP_BEFORE_REQUEST" in os.environ:
        stop_before(Executor, "_request", os.environ["TEST_STOP_BEFORE_REQUEST"])
    if "TEST_SILENT_SECONDS" in os.environ:
        silent = float(os.environ["TEST_SILENT_SECONDS"])
        executor.SILENT_SECONDS = silent  # type: ignore[attr-defined] # imported there
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    node = build_node(load_settings(os.environ), role=Role.DAEMON, schedules=True, clock=clock)
    node.start()
    stopping.wait()
    node.stop()
    sys.exit(0)


if __name__ == "__main__":
    main()
