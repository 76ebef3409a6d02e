"""What a long-running process logs, on standard error: lines for people or JSON Lines."""

from __future__ import annotations

import json
import logging

from claude_tasks.domain.instant import to_rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

FORMATS = ("text", "json")


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


def start_logging(stream: TextIO, *, level: str, log_format: str) -> None:
    """Send this program's log records to ``stream`` from now on."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter())
    logger = logging.getLogger("claude_tasks")
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
