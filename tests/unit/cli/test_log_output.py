"""A record is one line and looks like nothing else, whatever text is in it."""

from __future__ import annotations

import io
import json
import logging

import pytest

from claude_tasks.cli.log_output import formatter_of, start_plain_logging

FORGED = "2026-11-22T12:00:00.000Z INFO    leadership gained: epoch 9"
EVIL = f"it failed\n{FORGED}\r\x1b[31mred\x9b0m\x07\u2028{FORGED}\u202e"


def record(message: str, *, error: BaseException | None = None) -> logging.LogRecord:
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("claude_tasks.it", logging.WARNING, "", 1, "%s", (message,), exc_info)


def raised(message: str) -> BaseException:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (it is ours)
        raise ValueError(message)
    return caught.value


@pytest.mark.parametrize("log_format", ["text", "json", "plain"])
def test_a_record_is_one_line_without_control_characters(log_format: str) -> None:
    line = formatter_of(log_format).format(record(EVIL))
    assert len(line.splitlines()) == 1
    assert not [c for c in line if ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u2028\u202e"]


def test_text_shows_what_was_there() -> None:
    line = formatter_of("text").format(record("größer\n\x1b[0m"))
    assert line.endswith(r"WARNING größer\n\x1b[0m")


def test_json_says_exactly_what_was_there() -> None:
    assert json.loads(formatter_of("json").format(record(EVIL + "\x7f\udc9b")))["message"] == (
        EVIL + "\x7f\udc9b"
    )


def test_a_traceback_stays_readable_and_forges_nothing() -> None:
    head, *lines = formatter_of("text").format(record("oh", error=raised(EVIL))).split("\n")
    assert head.endswith("WARNING oh")
    assert lines[0] == "    Traceback (most recent call last):"
    assert any(line.strip() == "raise ValueError(message)" for line in lines)
    assert any(line.startswith("    ValueError: it failed") for line in lines)
    assert all(line.startswith("    ") and line.isprintable() for line in lines)


def test_a_traceback_in_json_is_a_field_of_its_one_line() -> None:
    line = formatter_of("json").format(record("oh", error=raised(EVIL)))
    assert len(line.splitlines()) == 1
    assert json.loads(line)["exception"].startswith("Traceback (most recent call last):\n")


def test_a_warning_that_nobody_else_takes_is_a_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in ``run``, where a node works for a moment and no log was asked for."""
    monkeypatch.setattr(logging, "lastResort", None)
    stream = io.StringIO()
    start_plain_logging(stream)
    logger = logging.getLogger("alone")
    monkeypatch.setattr(logger, "propagate", False)
    logger.info("not this")
    logger.warning("%s", EVIL)
    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().startswith(r"it failed\n2026")
