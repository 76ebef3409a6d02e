"""The OAuth usage endpoint: undocumented, and it soon refuses frequent requests.

The token is sent only to the configured address: no redirect is followed. Errors contain neither
the token nor the address, which may hold a secret too.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from claude_tasks import __version__
from claude_tasks.domain.errors import UsageUnavailableError
from claude_tasks.system.transport import (
    NoAnswerError,
    TooSlowError,
    UnusableAddressError,
    request,
    wait_of,
)
from claude_tasks.usage.credentials import find_credentials
from claude_tasks.usage.windows import reading_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from claude_tasks.domain.usage import Reading
    from claude_tasks.system.transport import HttpResponse

NAME = "oauth"
LARGEST_ANSWER = 1 << 20
"""Bytes. A list of windows is shorter."""

_BETA = "oauth-2025-04-20"
_STATUS = {
    401: ("usage_unauthorized", "the token was refused (401)", "run claude once: it renews it"),
    403: ("usage_unauthorized", "the token may not ask for usage (403)", "log in again: claude"),
    429: ("usage_rate_limited", "too many requests for usage (429)", None),
}


class OAuthSource:
    """GET of the usage endpoint with the agent's own token."""

    name = NAME

    def __init__(self, url: str, environment: Mapping[str, str], *, seconds: float) -> None:
        """``seconds`` limits the whole request."""
        self._url = url
        self._environment = environment
        self._seconds = seconds

    def ask(self, *, at: int) -> Reading:
        """Ask once. Errors: `UsageUnavailableError`."""
        token = find_credentials(self._environment, at=at).token
        answer = self._answer(token)
        if answer.status != HTTPStatus.OK:
            raise _of_status(answer, at)
        if isinstance(answer.broken, TooSlowError):
            raise self._too_slow()
        if len(answer.body) == LARGEST_ANSWER:
            raise _garbage("the answer of the usage endpoint is far too long")
        if answer.broken is not None:
            raise _garbage("the answer of the usage endpoint broke off")
        return reading_of(_document(answer.body), source=NAME, at=at)

    def _answer(self, token: str) -> HttpResponse:
        headers = {
            "Authorization": f"Bearer {token}",
            "anthropic-beta": _BETA,
            "Accept": "application/json",
            "User-Agent": f"claude-tasks/{__version__}",
        }
        # The system's own error text is not logged: it may contain the address.
        try:
            return request(self._url, None, headers, seconds=self._seconds, largest=LARGEST_ANSWER)
        except TooSlowError:
            raise self._too_slow() from None
        except NoAnswerError as error:
            raise UsageUnavailableError(
                f"the usage endpoint cannot be reached: {error}", code="usage_unreachable"
            ) from None
        except UnusableAddressError as error:
            raise UsageUnavailableError(
                f"the address of the usage endpoint cannot be used: {error}",
                hint="look at CLAUDE_TASKS_USAGE_URL, or usage_url in config.toml",
                code="usage_address",
            ) from None

    def _too_slow(self) -> UsageUnavailableError:
        return UsageUnavailableError(
            f"the usage endpoint did not answer within {self._seconds:g} s", code="usage_timeout"
        )


def _document(body: bytes) -> object:
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        raise _garbage("the usage endpoint answered with something else than JSON") from None
    return document


def _of_status(answer: HttpResponse, at: int) -> UsageUnavailableError:
    redirects = HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST
    note = ": redirects are not followed" if redirects else ""
    other = ("usage_http", f"the usage endpoint answered {answer.status}{note}", None)
    code, message, hint = _STATUS.get(answer.status, other)
    after = wait_of(answer.headers.get("retry-after"), at=at)
    return UsageUnavailableError(message, hint=hint, code=code, retry_after=after)


def _garbage(message: str) -> UsageUnavailableError:
    return UsageUnavailableError(message, code="usage_garbage")
