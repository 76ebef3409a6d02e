"""The usage record: one row that all processes share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from claude_tasks.domain.clock_step import AHEAD_MS
from claude_tasks.domain.usage import Failure, Reading, UsageState, Window
from claude_tasks.storage.named_sql import load
from claude_tasks.storage.records import document
from claude_tasks.storage.tables.base import Tables

if TYPE_CHECKING:
    from typing import Any


class UsageTable(Tables):
    """The store's part about usage."""

    def read_usage(self) -> UsageState:
        """The last good reading, and the last failure where that is newer."""
        row = self._connection.rows(load("usage")["read_usage"])[0]
        windows, source, read_at, code, failure, failed_at, retry_at, failures = row
        reading = None if windows is None else _reading(windows, source, read_at)
        failed = None if code is None else Failure(code, failure, failed_at, retry_at, failures)
        return UsageState(reading, failed)

    def begin_asking(self, node_id: str, *, at: int, until: int) -> bool:
        """Become the one process that asks; False while another process does."""
        parameters = {"node_id": node_id, "at": at, "until": until, "ahead": AHEAD_MS}
        with self._connection.write():
            return self._connection.execute(load("usage")["begin_asking"], parameters).rowcount == 1

    def end_asking(self, node_id: str) -> None:
        """End asking without an answer."""
        with self._connection.write():
            self._connection.execute(load("usage")["end_asking"], {"node_id": node_id})

    def record_reading(self, reading: Reading) -> None:
        """Store an answer."""
        self._write(
            "record_reading",
            {"windows": _text_of(reading), "source": reading.source, "at": reading.at},
        )

    def learn_reading(self, reading: Reading, *, at: int) -> bool:
        """Store the usage that a run reported."""
        parameters = {
            "windows": _text_of(reading),
            "source": reading.source,
            "read_at": reading.at,
            "at": at,
        }
        return self._write("learn_reading", parameters)

    def record_failure(self, failure: Failure) -> None:
        """Store why there is no answer."""
        self._write("record_failure", failure._asdict())

    def _write(self, name: str, parameters: dict[str, Any]) -> bool:
        with self._connection.write():
            written = self._connection.execute(load("usage")[name], parameters).rowcount == 1
            if written:
                self._note("usage", "snapshot", parameters["at"])
        return written


def _text_of(reading: Reading) -> str:
    return json.dumps({w.name: [w.utilization, w.resets_at] for w in reading.windows})


def _reading(text: str, source: str, at: int) -> Reading | None:
    """The stored reading; None where it cannot be read: then usage is asked for again."""
    try:
        windows = document(text)
        return Reading(tuple(Window(name, *values) for name, values in windows.items()), source, at)
    except (ValueError, TypeError, AttributeError):
        return None
