"""Signals as something a loop can wait for.

A handler only writes a byte into a pipe: it runs between any two steps of the main thread, where
taking a lock (as ``threading.Event.set`` does) may wait for itself.
"""

from __future__ import annotations

import os
import select
import signal
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType


STOP_SECONDS = 4.5
"""How long a process may take to end once told to: the sender waits five seconds."""
_LAST_WORDS_SECONDS = 0.2


class StopWatchdog:
    """Ends a process that was told to end and does not, even if it is blocked.

    Its thread learns of a signal from the interpreter's own handler in C (`signal.set_wakeup_fd`),
    so it does even while the main thread waits in a library for a lock. Made in the main thread.
    """

    def __init__(
        self,
        signals: Iterable[signal.Signals],
        *,
        code: int,
        last_words: Callable[[], None],
        seconds: float = STOP_SECONDS,
    ) -> None:
        """Watch for ``signals``, whose handlers are Python's, from now on.

        ``last_words`` is called before the process ends with ``code``; it may hang.
        """
        self._signals = frozenset(int(number) for number in signals)
        self._code = code
        self._last_words = last_words
        self._seconds = seconds
        self._off = threading.Event()
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._run, name="stop-watchdog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no more, unless the process was told to end: then it does. Repeatable."""
        if not self._off.is_set():
            self._off.set()
            signal.set_wakeup_fd(-1)
            os.close(self._writing)

    def _run(self) -> None:
        told = b""
        while not self._signals.intersection(told):
            told = os.read(self._reading, 64)
            if not told:
                os.close(self._reading)
                return
        threading.Event().wait(self._seconds)
        words = threading.Thread(target=self._last_words, name="last-words", daemon=True)
        words.start()
        words.join(_LAST_WORDS_SECONDS)
        os._exit(self._code)


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
