"""Where credentials are looked for, and what is said of those that are no use."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.errors import UsageUnavailableError
from claude_tasks.usage.credentials import credentials_path, find_credentials, other_billing
from support.usage_endpoint import log_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from claude_tasks.usage.credentials import Credentials

TOKEN = "sk-test-0123456789"


def now() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Somebody who is logged in."""
    log_in(tmp_path)
    return tmp_path


def file_of(home: Path) -> Path:
    return home / ".claude" / ".credentials.json"


def found(
    home: Path, *, keychain: str | None = None, sleep: Callable[[float], None] = lambda _: None
) -> Credentials:
    return find_credentials({"HOME": str(home)}, at=now(), keychain=keychain, sleep=sleep)


def trouble(home: Path, *, keychain: str | None = None) -> UsageUnavailableError:
    with pytest.raises(UsageUnavailableError) as caught:
        found(home, keychain=keychain)
    assert "sk-" not in str(caught.value)
    assert caught.value.hint
    return caught.value


def test_the_environment_comes_before_the_file(home: Path) -> None:
    assert found(home).token == TOKEN
    environment = {"HOME": str(home), "CLAUDE_CODE_OAUTH_TOKEN": "sk-of-the-environment"}
    of_environment = find_credentials(environment, at=now())
    assert of_environment.token == "sk-of-the-environment"
    assert "sk-" not in repr(of_environment)


def test_the_folder_can_be_elsewhere(tmp_path: Path) -> None:
    log_in(tmp_path / "elsewhere")
    moved = {"HOME": str(tmp_path), "CLAUDE_CONFIG_DIR": str(tmp_path / "elsewhere" / ".claude")}
    assert find_credentials(moved, at=now()).token == TOKEN


def test_without_any_both_places_are_named(tmp_path: Path) -> None:
    error = trouble(tmp_path)
    path = credentials_path({"HOME": str(tmp_path)})
    assert error.code == "no_credentials"
    assert error.message == f"no credentials: neither {path} nor CLAUDE_CODE_OAUTH_TOKEN"


@pytest.mark.parametrize("content", ["[]", "{}", '{"claudeAiOauth": 5}', '{"claudeAiOauth": {}}'])
def test_a_file_without_a_token_is_no_credentials(home: Path, content: str) -> None:
    file_of(home).write_text(content)
    assert trouble(home).code == "no_credentials"


@pytest.mark.parametrize(
    "content", ["", "{", '{"claudeAiOauth": {"accessTo', "[" * 200_000, "\xff"]
)
def test_a_file_that_is_no_json_is_said_to_be(home: Path, content: str) -> None:
    file_of(home).write_text(content, "latin-1")
    error = trouble(home)
    assert error.code == "credentials_unreadable"
    assert error.message == f"{file_of(home)} is not valid JSON"


def test_a_file_that_is_just_being_rewritten_is_read_once_more(home: Path) -> None:
    whole = file_of(home).read_text()
    file_of(home).write_text(whole[:20])
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        file_of(home).write_text(whole)

    assert found(home, sleep=sleep).token == TOKEN
    assert len(waits) == 1
    assert 0 < waits[0] <= 0.5


def test_a_folder_or_a_pipe_in_the_place_of_the_file_is_said(home: Path) -> None:
    file_of(home).unlink()
    file_of(home).mkdir()
    error = trouble(home)
    assert error.code == "credentials_unreadable"
    assert error.message == f"{file_of(home)} cannot be read: Is a directory"
    file_of(home).rmdir()
    os.mkfifo(file_of(home))  # to open one waits for a writer
    assert trouble(home).message == f"{file_of(home)} cannot be read: it is no file"


def test_a_file_that_must_not_be_read_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:  # root may read everything
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("claude_tasks.usage.credentials._open_at_once", refused)
    error = trouble(home)
    assert error.code == "credentials_unreadable"
    assert error.message == f"{file_of(home)} cannot be read: Permission denied"


@pytest.mark.parametrize("expires", ["1e999", "NaN", "-1e999", "9" * 400, "9e30", "true", '"soon"'])
def test_an_expiry_that_is_no_time_is_unknown(home: Path, expires: str) -> None:
    file_of(home).write_text(
        f'{{"claudeAiOauth": {{"accessToken": "{TOKEN}", "expiresAt": {expires}}}}}'
    )
    assert found(home).expires_at is None


def test_expired_credentials_are_said_to_be(tmp_path: Path) -> None:
    log_in(tmp_path, expires_in=-1)
    assert trouble(tmp_path).code == "credentials_expired"


def keychain(tmp_path: Path, body: str) -> str:
    """What opens the Keychain, as a script."""
    program = tmp_path / "security"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return str(program)


def test_the_keychain_is_opened_where_there_is_no_file(tmp_path: Path) -> None:
    entry = json.dumps({"claudeAiOauth": {"accessToken": TOKEN, "expiresAt": now() + 60_000}})
    program = keychain(tmp_path, f"echo \"$@\" > {tmp_path}/argv; echo '{entry}'")
    of_keychain = found(tmp_path, keychain=program)
    assert (of_keychain.token, of_keychain.source) == (TOKEN, "the Keychain")
    asked = (tmp_path / "argv").read_text().strip()
    assert asked == "find-generic-password -s Claude Code-credentials -w"


def test_the_keychain_helps_where_the_file_is_no_use(home: Path) -> None:
    entry = json.dumps({"claudeAiOauth": {"accessToken": "sk-of-the-keychain"}})
    program = keychain(home, f"echo '{entry}'")
    assert found(home, keychain=program).token == TOKEN
    file_of(home).write_text("{")
    assert found(home, keychain=program).token == "sk-of-the-keychain"


@pytest.mark.parametrize(
    "body", ["exit 44", "echo garbage", "echo '[]'", "printf '%0200000d' 0 | tr 0 '['"]
)
def test_a_keychain_that_does_not_open_is_no_credentials(tmp_path: Path, body: str) -> None:
    assert trouble(tmp_path, keychain=keychain(tmp_path, body)).code == "no_credentials"
    assert trouble(tmp_path, keychain=str(tmp_path / "none")).code == "no_credentials"


def test_an_api_key_means_that_no_window_applies(tmp_path: Path) -> None:
    assert other_billing({"HOME": str(tmp_path)}) is None
    assert other_billing({"HOME": str(tmp_path), "ANTHROPIC_API_KEY": "k"}) == "ANTHROPIC_API_KEY"
    (tmp_path / ".claude").mkdir()
    settings = tmp_path / ".claude" / "settings.json"
    settings.write_text('{"apiKeyHelper": "print-key"}')
    assert other_billing({"HOME": str(tmp_path)}) == "apiKeyHelper"
    for garbage in ("{", "[]", "[" * 200_000, '{"apiKeyHelper": ""}'):
        settings.write_text(garbage)
        assert other_billing({"HOME": str(tmp_path)}) is None


@pytest.mark.parametrize("value", ["1", "true", "yes"])
def test_a_cloud_switch_that_is_on_bills_elsewhere(tmp_path: Path, value: str) -> None:
    environment = {"HOME": str(tmp_path), "CLAUDE_CODE_USE_BEDROCK": value}
    assert other_billing(environment) == "CLAUDE_CODE_USE_BEDROCK"


@pytest.mark.parametrize("value", ["0", "false", "False", "no", "off", "", " "])
def test_a_cloud_switch_that_is_off_bills_nobody(tmp_path: Path, value: str) -> None:
    environment = {"HOME": str(tmp_path), "CLAUDE_CODE_USE_BEDROCK": value}
    assert other_billing(environment) is None
