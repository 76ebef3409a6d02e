"""What a long-running process logs, on standard error: lines for people or JSON Lines."""

from __future__ import annotations

import json
import logging

from claude_tasks.domain.instant import to_rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TextIO

FORMATS = ("text", "json")
_ROOT = "claude_tasks"
_OTHERS = ("asyncio", "litestar", "uvicorn")
"""Loggers of libraries whose warnings belong into the same log, in the same format."""


class _TextFormatter(logging.Formatter):
    """``2026-11-22T12:00:00.123Z INFO    leadership gained: epoch 3 (free)``."""

    def format(self, record: logging.LogRecord) -> str:
        message = super().format(record)
        return f"{to_rfc3339(int(record.created * 1000))} {record.levelname:<7} {message}"


class _JsonFormatter(logging.Formatter):
    """One object a line: ``at``, ``level``, ``logger``, ``message``, ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "at": to_rfc3339(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


class _Held(logging.Filter):
    """Keeps records back, in order, until they may come."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] | None = []

    def filter(self, record: logging.LogRecord) -> bool:
        if self.records is None:
            return True
        self.records.append(record)
        return False


_held = _Held()


def hold_logging() -> Callable[[], None]:
    """Keep back what is logged until the function returned is called. That may be repeated."""
    _held.records = []

    def release() -> None:
        records, _held.records = _held.records or [], None
        for record in records:
            logging.getLogger(record.name).handle(record)

    return release


def start_logging(stream: TextIO, *, level: str, log_format: str) -> None:
    """Send this program's log records to ``stream`` from now on, and warnings of libraries."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter())
    handler.addFilter(_held)
    logger = logging.getLogger(_ROOT)
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
    for name in _OTHERS:
        other = logging.getLogger(name)
        other.handlers = [handler]
        other.setLevel(logging.WARNING)
        other.propagate = False
