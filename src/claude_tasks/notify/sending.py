"""One HTTP request that delivers a message, and its result. Never raises."""

from __future__ import annotations

import json
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus, urlsplit

from claude_tasks import __version__
from claude_tasks.notify.delivery import Delivery, masked
from claude_tasks.notify.text import clean, cut
from claude_tasks.system.transport import (
    HttpResponse,
    NoAnswerError,
    UnusableAddressError,
    request,
    wait_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from claude_tasks.notify.delivery import Attempt

LONGEST_RETRY_AFTER = 24 * 3600.0
"""Seconds. A channel's longer request to wait is cut to this."""

_WORTH_ANOTHER_TRY = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
)
_LONGEST_DETAIL = 200
_SECRET_LENGTH = 6  # shorter parts of an address are words such as "api"


def post(
    target: str,
    body: bytes,
    attempt: Attempt,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Delivery:
    """POST a JSON body.

    Delivered on any 2xx. Tried again: 408, 425, 429, 5xx and network errors. Final: every other
    status, redirects too (the address is a secret, which another host must not get).
    """
    return _deliver(target, body, headers, seconds=attempt.seconds, at=attempt.at)


def ping(url: str, *, seconds: float, at: int) -> Delivery:
    """GET the address of a dead man's switch."""
    return _deliver(url, None, {}, seconds=seconds, at=at)


def _deliver(
    target: str, body: bytes | None, headers: Mapping[str, str], *, seconds: float, at: int
) -> Delivery:
    sent = {"User-Agent": f"claude-tasks/{__version__}", "Accept": "application/json", **headers}
    if body is not None:
        sent["Content-Type"] = "application/json"
    where = masked(target.strip())
    try:
        answer = request(target, body, sent, seconds=seconds)
    except UnusableAddressError as error:
        return refused(f"{where}: {error}")
    except NoAnswerError as error:
        return _missed(f"{where}: {error}")
    except Exception as error:  # noqa: BLE001 (no thread to be had, say: a run must not suffer)
        return _missed(f"{where}: {type(error).__name__}")
    return _judged(answer, target, at)


def _judged(answer: HttpResponse, target: str, at: int) -> Delivery:
    status = answer.status
    detail = f"{masked(target.strip())}: {_said(answer, target)}"
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Delivery(delivered=True, permanent=False, retry_after=None, detail=detail)
    if status in _WORTH_ANOTHER_TRY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        wait = _retry_after(answer, at)
        return Delivery(delivered=False, permanent=False, retry_after=wait, detail=detail)
    return refused(detail)


def _missed(detail: str) -> Delivery:
    return Delivery(delivered=False, permanent=False, retry_after=None, detail=detail)


def refused(detail: str) -> Delivery:
    """The result of an attempt that would fail again."""
    return Delivery(delivered=False, permanent=True, retry_after=None, detail=detail)


def _said(answer: HttpResponse, target: str) -> str:
    """``404 Not Found: Unknown Webhook``; without the channel's text where that holds a secret."""
    status = answer.status
    known = any(status == each for each in HTTPStatus)
    words = f"{status} {HTTPStatus(status).phrase}" if known else str(status)
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return words
    if status < HTTPStatus.BAD_REQUEST:
        elsewhere = masked(answer.headers.get("location", ""))
        return f"{words} to {elsewhere}: redirects are not followed, give the final address"
    reason = _own_words(answer.body)
    return f"{words}: {reason}" if reason and not _tells(reason, target) else words


def _own_words(body: bytes) -> str:
    """Discord explains itself in ``message``, Slack in one word such as ``invalid_payload``."""
    text = body.decode("utf-8", "replace").strip()
    if text.replace("_", "").isalpha() and text.isascii():
        return text[:_LONGEST_DETAIL]
    said = _document(body).get("message")
    return cut(" ".join(clean(said).split()), _LONGEST_DETAIL) if isinstance(said, str) else ""


def _tells(text: str, target: str) -> bool:
    """Whether a text contains a part of the address that may be secret."""
    parts = urlsplit(target.strip())
    user = parts.netloc.rpartition("@")[0]
    pieces = [*parts.path.split("/"), *user.split(":"), *parts.query.replace("=", "&").split("&")]
    pieces += [unquote_plus(piece) for piece in pieces]
    return any(len(piece) >= _SECRET_LENGTH and piece in text for piece in pieces)


def _retry_after(answer: HttpResponse, at: int) -> float | None:
    """Seconds to wait, from the header (RFC 9110, 10.2.3) or Discord's own fields.

    All mean the same; but old versions of Discord's API give two of them in milliseconds, so the
    smallest is the right one.
    """
    said = (
        _seconds(answer.headers.get("retry-after"), at),
        _seconds(answer.headers.get("x-ratelimit-reset-after"), at),
        _seconds(_document(answer.body).get("retry_after"), at),
    )
    return min((each for each in said if each is not None), default=None)


def _seconds(value: object, at: int) -> float | None:
    wait = wait_of(value, at=at)
    return None if wait is None else min(wait, LONGEST_RETRY_AFTER)


def _document(body: bytes) -> dict[str, object]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def as_json(document: Mapping[str, object]) -> bytes:
    """A JSON body."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
