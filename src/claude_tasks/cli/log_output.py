"""What a long-running process logs, on standard error: lines for people or JSON Lines.

A record is one line, which no other text can imitate: control characters in it are escaped. The
lines of a traceback follow their record, indented, so none of them can pass for a record.
"""

from __future__ import annotations

import logging

from claude_tasks.cli.json_text import json_text
from claude_tasks.cli.outlet import Outlet, gap_text
from claude_tasks.domain.control_characters import escape_controls
from claude_tasks.domain.instant import to_rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TextIO

FORMATS = ("text", "json")
_ROOT = "claude_tasks"
_OTHERS = ("asyncio", "uvicorn")
"""Loggers of libraries whose warnings belong into the same log, in the same format."""
_INDENT = "    "
_log = logging.getLogger(__name__)


class _PlainFormatter(logging.Formatter):
    """The message, and below it where it comes from."""

    def format(self, record: logging.LogRecord) -> str:
        lines = [self.head(record) + escape_controls(record.getMessage())]
        if record.exc_info:
            lines += _indented(self.formatException(record.exc_info))
        if record.stack_info:
            lines += _indented(record.stack_info)
        return "\n".join(lines)

    def head(self, _record: logging.LogRecord) -> str:
        """What the line begins with."""
        return ""


class _TextFormatter(_PlainFormatter):
    """``2026-11-22T12:00:00.123Z INFO    leadership gained: epoch 3 (free)``."""

    def head(self, record: logging.LogRecord) -> str:
        return f"{to_rfc3339(int(record.created * 1000))} {record.levelname:<7} "


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
        return json_text(fields)


def _indented(text: str) -> list[str]:
    return [_INDENT + escape_controls(line) for line in text.split("\n")]


class _Held(logging.Filter):
    """Keeps records back, in order, until they may be written."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] | None = None

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
    handler = _handler(stream, formatter_of(log_format))
    handler.addFilter(_held)
    logging.lastResort = handler  # any other library: warnings, for that is the root's level
    logger = logging.getLogger(_ROOT)
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
    for name in _OTHERS:
        other = logging.getLogger(name)
        other.handlers = [handler]
        other.setLevel(logging.WARNING)
        other.propagate = False


def formatter_of(log_format: str) -> logging.Formatter:
    """How records look: one of `FORMATS`, or anything else for the bare message."""
    formatters = {"json": _JsonFormatter, "text": _TextFormatter}
    return formatters.get(log_format, _PlainFormatter)()


def start_plain_logging(stream: TextIO, *, without: str | None = None) -> None:
    """For short commands: warnings only, as plain lines, unless logging is already set up.

    Nothing is shown of the logger named ``without``.
    """
    logging.lastResort = _handler(stream, formatter_of("plain"))
    logging.lastResort.addFilter(lambda record: record.name != without)
    logging.lastResort.setLevel(logging.WARNING)


def _handler(stream: TextIO, formatter: logging.Formatter) -> logging.StreamHandler[TextIO]:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    if isinstance(stream, Outlet):
        stream.say_gap = lambda lines: formatter.format(_gap_record(lines)) + "\n"
    return handler


def _gap_record(lines: int) -> logging.LogRecord:
    text = gap_text(lines).rstrip()
    return _log.makeRecord(_log.name, logging.WARNING, __file__, 0, text, (), None)


def tell_of_output_gaps(stream: TextIO) -> None:
    """Report in the log how many lines of standard output, which is data, were dropped."""

    def warn(lines: int) -> str:
        _log.warning("standard output: %s", gap_text(lines).rstrip())
        return ""

    if isinstance(stream, Outlet):
        stream.say_gap = warn
