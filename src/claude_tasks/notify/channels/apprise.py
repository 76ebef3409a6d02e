"""Apprise addresses: a hundred more services, through an optional package.

Apprise limits neither an attempt nor its threads, and loading it takes a second and many megabytes:
so each attempt is a separate process (`apprise_process`), ended when its time is over. It reads the
address, a secret, from standard input.

Apprise only says whether a delivery worked, so no failure counts as final. The text is sent as
plain text: Markdown would become HTML in mail, an agent's tags included, and Apprise turns text
that looks like a mention into one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from math import ceil
from typing import TYPE_CHECKING

from claude_tasks.notify.delivery import Delivery, masked
from claude_tasks.notify.notice import Event, summary, title
from claude_tasks.notify.text import clean, defused, fit
from claude_tasks.settings import without_secrets

if TYPE_CHECKING:
    from claude_tasks.notify.delivery import Attempt
    from claude_tasks.notify.notice import Notice

MISSING = "Apprise is not installed: pip install claude-tasks[apprise]"
BODY = 1800  # Discord's plain messages, the shortest of the common ones, end at 2000
_LOADING_SECONDS = 10.0
"""How long loading may take on a busy machine, in addition to the attempt itself."""

_PROGRAM = ("-P", "-m", "claude_tasks.notify.channels.apprise_process")
_TYPES = {
    Event.FAILED: "failure",
    Event.STARTED_FAILING: "failure",
    Event.OVERDUE: "warning",
    Event.SKIPPED: "warning",
    Event.COMPLETED: "success",
    Event.DENIED: "warning",
    Event.RECOVERED: "success",
}


def send(target: str, notice: Notice, attempt: Attempt) -> Delivery:
    """Send it by Apprise, which has the attempt's ``seconds`` once it is loaded."""
    seconds = attempt.seconds
    if find_spec("apprise") is None:
        return Delivery(delivered=False, permanent=True, retry_after=None, detail=MISSING)
    asked = {
        "target": target,
        "title": defused(clean(title(notice))),
        "body": body(notice),
        "type": _TYPES.get(notice.event, "info"),
        "seconds": seconds,
        "lifetime": ceil(seconds + _LOADING_SECONDS),
    }
    try:
        said = _answer(json.dumps(asked).encode(), seconds=seconds + _LOADING_SECONDS)
    except subprocess.TimeoutExpired:
        return _failed(f"Apprise gave no answer within {seconds:g} s", target)
    except OSError as error:
        return _failed(f"Apprise could not be started: {error.strerror}", target)
    return _judged(said, target)


def body(notice: Notice) -> str:
    """Facts, error and output as plain text of at most `BODY` UTF-16 code units."""
    facts = "\n".join(f"{label}: {value}" for label, value in summary(notice))
    parts = (facts, notice.error or "", notice.output)
    text = "\n\n".join(clean(part).strip() for part in parts if part.strip())
    return fit(text, BODY, defused) or title(notice)


def _answer(asked: bytes, *, seconds: float) -> str:
    """The word that the process prints. Its children are ended with it."""
    process = subprocess.Popen(
        [sys.executable, *_PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=without_secrets(os.environ),
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(asked, timeout=seconds)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
    return output.decode(errors="replace").strip()


def _judged(said: str, target: str) -> Delivery:
    if said == "delivered":
        return Delivery(delivered=True, permanent=False, retry_after=None, detail="delivered")
    if said == "unknown":
        detail = f"Apprise does not understand this address ({masked(target)})"
        return Delivery(delivered=False, permanent=True, retry_after=None, detail=detail)
    if said == "refused":
        return _failed("Apprise could not deliver", target)
    kind = said if said.isidentifier() else "it ended without an answer"
    return _failed(f"Apprise failed: {kind}", target)


def _failed(detail: str, target: str) -> Delivery:
    text = f"{detail} ({masked(target)})"
    return Delivery(delivered=False, permanent=False, retry_after=None, detail=text)
