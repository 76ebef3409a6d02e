"""Signals as something a loop can wait for.

A handler only writes a byte into a pipe: it runs between any two steps of the main thread, where
taking a lock (as ``threading.Event.set`` does) may wait for itself.
"""

from __future__ import annotations

import os
import select
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType


class SignalPipe:
    """The signals that arrived, oldest first. Made in the main thread."""

    def __init__(self, signals: Iterable[signal.Signals]) -> None:
        """Catch ``signals`` from now on."""
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)
        self._before = {number: signal.signal(number, self._note) for number in signals}

    def wait(self, seconds: float) -> list[signal.Signals]:
        """Those that arrived within ``seconds``; [] for none."""
        poller = select.poll()
        poller.register(self._reading, select.POLLIN)
        if not poller.poll(int(seconds * 1000)):
            return []
        return [signal.Signals(number) for number in os.read(self._reading, 64)]

    def close(self) -> None:
        """Give the signals back to who handled them before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._reading)
        os.close(self._writing)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        os.write(self._writing, bytes([number]))
