"""The OAuth endpoint: what it answers, how it fails, and which token it is asked with."""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.errors import UsageUnavailableError
from claude_tasks.usage.oauth_source import OAuthSource
from support.usage_endpoint import RawEndpoint, UsageEndpoint, log_in, windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def now() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def endpoint() -> Iterator[UsageEndpoint]:
    made = UsageEndpoint()
    yield made
    made.close()


@pytest.fixture
def source(endpoint: UsageEndpoint, tmp_path: Path) -> OAuthSource:
    log_in(tmp_path)
    return OAuthSource(endpoint.url, {"HOME": str(tmp_path)}, seconds=0.5)


def test_windows_come_with_percent_and_reset(source: OAuthSource, endpoint: UsageEndpoint) -> None:
    endpoint.body = windows(37, 61.5, hours=2)
    reading = source.ask(at=now())
    assert [(w.name, w.utilization) for w in reading.windows] == [
        ("five_hour", 37), ("seven_day", 61.5),
    ]  # fmt: skip
    resets_at = reading.window("five_hour").resets_at
    assert resets_at is not None
    assert abs(resets_at - now() - 7_200_000) < 5_000
    [asked] = endpoint.asked
    assert asked["authorization"] == "Bearer sk-test-0123456789"
    assert asked["user-agent"].startswith("claude-tasks/")
    assert asked["anthropic-beta"]


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, b"{}", "usage_unauthorized"),
        (403, b"{}", "usage_unauthorized"),
        (429, b"{}", "usage_rate_limited"),
        (500, b"oops", "usage_http"),
        (302, b"", "usage_http"),
        (200, b"<html>", "usage_garbage"),
        (200, b"[]", "usage_garbage"),
        (200, b'{"five_hour": {"utilization": "many"}}', "usage_garbage"),
        (200, b'{"five_hour": {"utilization": NaN}}', "usage_garbage"),
        (200, b'{"five_hour": {"utilization": ' + b"9" * 400 + b"}}", "usage_garbage"),
        (200, b'{"five_hour": {"utilization": ' + b"9" * 5000 + b"}}", "usage_garbage"),
        (200, b"\xff\xfe", "usage_garbage"),
        (200, b"[" * 200_000, "usage_garbage"),
        (200, b'{"five_hour": {"utilization": 1}}' + b" " * (1 << 20) + b"x", "usage_garbage"),
        (204, b"", "usage_http"),
    ],
)
def test_every_failure_has_its_name(
    source: OAuthSource, endpoint: UsageEndpoint, status: int, body: bytes, code: str
) -> None:
    endpoint.status, endpoint.body = status, body
    endpoint.headers = {"location": endpoint.url + "/elsewhere"} if status == 302 else {}
    with pytest.raises(UsageUnavailableError) as caught:
        source.ask(at=now())
    assert caught.value.code == code
    assert "sk-test" not in str(caught.value)
    assert len(endpoint.asked) == 1  # no redirect takes the token elsewhere


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("header", "seconds"), [("120", 120), ("7200", 7200), ("0", 0), ("-5", 0)])
def test_retry_after_is_told(
    source: OAuthSource, endpoint: UsageEndpoint, status: int, header: str, seconds: float
) -> None:
    endpoint.status, endpoint.headers = status, {"retry-after": header}
    with pytest.raises(UsageUnavailableError) as caught:
        source.ask(at=now())
    assert caught.value.retry_after == seconds


def test_retry_after_may_be_a_date(source: OAuthSource, endpoint: UsageEndpoint) -> None:
    endpoint.status = 429
    endpoint.headers = {"retry-after": "Mon, 24 Nov 2025 16:01:00 GMT"}
    with pytest.raises(UsageUnavailableError) as caught:
        source.ask(at=1_764_000_000_000)  # a minute before
    assert caught.value.retry_after == 60


@pytest.mark.parametrize("header", ["soon", "nan", "inf", "Mon, 99 Nov 2025 16:01:00 GMT", ""])
def test_a_retry_after_that_makes_no_sense_is_not_told(
    source: OAuthSource, endpoint: UsageEndpoint, header: str
) -> None:
    endpoint.status, endpoint.headers = 429, {"retry-after": header}
    with pytest.raises(UsageUnavailableError) as caught:
        source.ask(at=now())
    assert caught.value.retry_after is None


def test_a_hanging_endpoint_is_given_up(source: OAuthSource, endpoint: UsageEndpoint) -> None:
    endpoint.delay = 30
    with pytest.raises(UsageUnavailableError) as caught:
        source.ask(at=now())
    assert caught.value.code == "usage_timeout"


def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    log_in(tmp_path)
    source = OAuthSource("http://127.0.0.1:9/usage", {"HOME": str(tmp_path)}, seconds=0.5)
    with pytest.raises(UsageUnavailableError) as caught:
        source.ask(at=now())
    assert caught.value.code == "usage_unreachable"


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[Callable[..., OAuthSource]]:
    """A source whose endpoint answers with these bytes."""
    log_in(tmp_path)
    made: list[RawEndpoint] = []

    def start(answer: bytes, *, drip: bytes = b"") -> OAuthSource:
        made.append(RawEndpoint(answer, drip=drip))
        return OAuthSource(made[-1].url, {"HOME": str(tmp_path)}, seconds=0.4)

    yield start
    for endpoint in made:
        endpoint.close()


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "usage_unreachable"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "usage_unreachable"),
        (b"HTTP/1.1 2x0 ?\r\n\r\n", "usage_unreachable"),
        (OK + b"x: " + b"y" * 70_000 + b"\r\n\r\n", "usage_unreachable"),
        (OK + b"x: y\r\n" * 101 + b"\r\n", "usage_unreachable"),
        (OK + b"transfer-encoding: chunked\r\n\r\n40\r\n{", "usage_garbage"),
        (OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n", "usage_garbage"),
        (OK + b'content-length: 999\r\n\r\n{"five_hour": {"utilization": 1}}', "usage_garbage"),
        (OK + b"content-length: -5\r\n\r\n", "usage_garbage"),
    ],
)
def test_what_is_no_whole_http_answer_has_its_name(
    raw: Callable[..., OAuthSource], answer: bytes, code: str
) -> None:
    with pytest.raises(UsageUnavailableError) as caught:
        raw(answer).ask(at=now())
    assert caught.value.code == code
    assert "sk-test" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("answer", "drip"),
    [
        (b"", b"H"),
        (OK, b"x: y\r\n"),
        (OK + b"x: ", b"y"),
        (OK + b"\r\n", b" "),
        (OK + b"content-length: 9999\r\n\r\n", b" "),
        (OK + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
)
def test_an_endpoint_that_trickles_is_given_up(
    raw: Callable[..., OAuthSource], answer: bytes, drip: bytes
) -> None:
    source = raw(answer, drip=drip)
    began = time.monotonic()
    with pytest.raises(UsageUnavailableError) as caught:
        source.ask(at=now())
    assert time.monotonic() - began < 5
    # A header too many may be noticed before the time is over.
    assert caught.value.code in ("usage_timeout", "usage_unreachable")
    assert caught.value.code == "usage_timeout" or answer == OK


def test_a_proxy_that_trickles_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(tmp_path)
    proxy = RawEndpoint(b"HTTP/1.1 200 OK\r\nx: ", drip=b"y")
    monkeypatch.setenv("https_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "")
    source = OAuthSource("https://usage.invalid/", {"HOME": str(tmp_path)}, seconds=0.4)
    began = time.monotonic()
    with pytest.raises(UsageUnavailableError) as caught:
        source.ask(at=now())
    assert time.monotonic() - began < 5
    assert caught.value.code == "usage_timeout"
    assert proxy.asked[0].startswith(b"CONNECT usage.invalid:443")
    assert b"sk-test" not in proxy.asked[0]
    proxy.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.anthropic.com/api/oauth/usage",
        "file:///etc/passwd",
        "http://127.0.0.1:secret/usage",
        "http://127.0.0.1:99999/usage",
        "http://127.0.0.1/secret usage",
        "http://127.0.0.1/s\u00e9cret",
        "http://[::1/secret",
        "http://me:secret@127.0.0.1/usage",
    ],
)
def test_an_address_that_cannot_be_used_is_said_but_not_told(tmp_path: Path, url: str) -> None:
    log_in(tmp_path)
    with pytest.raises(UsageUnavailableError) as caught:
        OAuthSource(url, {"HOME": str(tmp_path)}, seconds=0.5).ask(at=now())
    assert caught.value.code == "usage_address"
    assert "CLAUDE_TASKS_USAGE_URL" in (caught.value.hint or "")
    assert "secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("token", ["sk-secret\n", "sk-secret\r\nx: y", "sk-s\u00e9cret", "sk-\x7f"])
def test_a_token_that_no_header_can_carry_is_said_but_not_told(
    endpoint: UsageEndpoint, tmp_path: Path, token: str
) -> None:
    environment = {"HOME": str(tmp_path), "CLAUDE_CODE_OAUTH_TOKEN": token}
    with pytest.raises(UsageUnavailableError) as caught:
        OAuthSource(endpoint.url, environment, seconds=0.5).ask(at=now())
    assert caught.value.code == "usage_bad_token"
    assert caught.value.message == (
        "the token of CLAUDE_CODE_OAUTH_TOKEN holds characters no header can carry"
    )
    assert "sk-" not in "".join(traceback.format_exception(caught.value))
    assert endpoint.asked == []


def test_credentials_are_read_anew_and_their_expiry_is_noticed(
    source: OAuthSource, endpoint: UsageEndpoint, tmp_path: Path
) -> None:
    log_in(tmp_path, expires_in=-1)
    with pytest.raises(UsageUnavailableError) as caught:
        source.ask(at=now())
    assert caught.value.code == "credentials_expired"
    assert endpoint.asked == []
    log_in(tmp_path, token="sk-new-0123456789")
    source.ask(at=now())
    assert endpoint.asked[0]["authorization"] == "Bearer sk-new-0123456789"
