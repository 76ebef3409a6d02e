"""A scheduling node in a process of its own, ended by SIGTERM: ``python -m bench.node_process``."""

from __future__ import annotations

import logging
import os
import signal
import threading

from claude_tasks.domain.node import Role
from claude_tasks.settings import load_settings
from claude_tasks.wiring import build_node


def main() -> None:
    """Serve until told to stop."""
    logging.basicConfig(level=logging.WARNING)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    node = build_node(load_settings(os.environ), role=Role.DAEMON, schedules=True)
    node.start()
    stopping.wait()
    node.stop()


if __name__ == "__main__":
    main()
