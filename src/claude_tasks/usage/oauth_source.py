"""The OAuth usage endpoint: undocumented, and easily annoyed by polling."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from claude_tasks import __version__
from claude_tasks.domain.errors import UsageUnavailableError
from claude_tasks.usage.credentials import find_credentials
from claude_tasks.usage.windows import reading_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from claude_tasks.domain.usage import Reading

NAME = "oauth"
SECONDS = 10.0
_LARGEST = 1 << 20
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
        """``seconds`` bound the whole request."""
        self._url = url
        self._environment = environment
        self._seconds = seconds

    def ask(self, *, at: int) -> Reading:
        """What it says. Errors: `UsageUnavailableError`."""
        credentials = find_credentials(self._environment, at=at)
        request = urllib.request.Request(  # noqa: S310 (the address is a setting of the owner)
            self._url,
            headers={
                "Authorization": f"Bearer {credentials.token}",
                "anthropic-beta": _BETA,
                "Accept": "application/json",
                "User-Agent": f"claude-tasks/{__version__}",
            },
        )
        try:
            with _opener.open(request, timeout=self._seconds) as answer:
                return reading_of(json.loads(answer.read(_LARGEST)), source=NAME, at=at)
        except urllib.error.HTTPError as error:
            with error:
                raise _of_status(error) from error
        except TimeoutError as error:
            raise _too_slow(self._seconds) from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise _too_slow(self._seconds) from error
            raise UsageUnavailableError(
                f"the usage endpoint cannot be reached: {error.reason}", code="usage_unreachable"
            ) from error
        except OSError as error:
            raise UsageUnavailableError(
                f"the usage endpoint cannot be reached: {error}", code="usage_unreachable"
            ) from error
        except ValueError as error:
            raise UsageUnavailableError(
                "the usage endpoint answered with something else than JSON", code="usage_garbage"
            ) from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token goes to the address it is for, and nowhere else."""

    def redirect_request(self, *_: object) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def _of_status(error: urllib.error.HTTPError) -> UsageUnavailableError:
    code, message, hint = _STATUS.get(
        error.code, ("usage_http", f"the usage endpoint answered {error.code}", None)
    )
    after = (error.headers.get("retry-after") or "").strip()
    seconds = float(after) if after.isdecimal() and len(after) < 7 else None  # noqa: PLR2004 (days)
    return UsageUnavailableError(message, hint=hint, code=code, retry_after=seconds)


def _too_slow(seconds: float) -> UsageUnavailableError:
    return UsageUnavailableError(
        f"the usage endpoint did not answer within {seconds:g} s", code="usage_timeout"
    )
