"""The OAuth endpoint: what it answers, how it fails, and which token it is asked with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.errors import UsageUnavailableError
from claude_tasks.usage.credentials import find_credentials, other_billing
from claude_tasks.usage.oauth_source import OAuthSource
from support.usage_endpoint import UsageEndpoint, log_in, windows

if TYPE_CHECKING:
    from collections.abc import Iterator
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
        (200, b"\xff\xfe", "usage_garbage"),
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


def test_retry_after_is_told(source: OAuthSource, endpoint: UsageEndpoint) -> None:
    endpoint.status, endpoint.headers = 429, {"retry-after": "120"}
    with pytest.raises(UsageUnavailableError) as caught:
        source.ask(at=now())
    assert caught.value.retry_after == 120


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


def test_where_credentials_are_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageUnavailableError) as caught:
        find_credentials({"HOME": str(tmp_path)}, at=now())
    assert caught.value.code == "no_credentials"
    assert str(tmp_path / ".claude" / ".credentials.json") in caught.value.message
    token = "sk-of-the-environment"
    found = find_credentials({"HOME": str(tmp_path), "CLAUDE_CODE_OAUTH_TOKEN": token}, at=now())
    assert found.token == token
    assert token not in repr(found)
    log_in(tmp_path / "elsewhere")
    moved = {"HOME": str(tmp_path), "CLAUDE_CONFIG_DIR": str(tmp_path / "elsewhere" / ".claude")}
    assert find_credentials(moved, at=now()).token == "sk-test-0123456789"


@pytest.mark.parametrize(
    "garbage", ["", "{", "[]", '{"claudeAiOauth": 5}', '{"claudeAiOauth": {}}']
)
def test_garbage_in_the_credentials_file_is_no_credentials(tmp_path: Path, garbage: str) -> None:
    log_in(tmp_path)
    (tmp_path / ".claude" / ".credentials.json").write_text(garbage)
    with pytest.raises(UsageUnavailableError) as caught:
        find_credentials({"HOME": str(tmp_path)}, at=now())
    assert caught.value.code == "no_credentials"


def test_an_api_key_means_that_no_window_applies(tmp_path: Path) -> None:
    assert other_billing({"HOME": str(tmp_path)}) is None
    assert other_billing({"HOME": str(tmp_path), "ANTHROPIC_API_KEY": "k"}) == "ANTHROPIC_API_KEY"
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / "settings.json").write_text('{"apiKeyHelper": "print-key"}')
    assert other_billing({"HOME": str(tmp_path)}) == "apiKeyHelper"
