"""The API's tokens: stored for their owner alone, refused where they would be weak."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.errors import ConfigurationError, ConflictError, StorageError
from claude_tasks.settings import Settings
from claude_tasks.tokens import Tokens, load_tokens, new_token, store_token

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "a-good-token-0123456789"
OTHER = "another-token-9876543210"


def _file(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text)
    path.chmod(mode)


def test_a_new_token_is_long_random_and_needs_no_quoting() -> None:
    made = {new_token() for _ in range(50)}
    assert len(made) == 50
    assert all(len(token) == 43 for token in made)
    assert all(token.replace("-", "").replace("_", "").isalnum() for token in made)


def test_a_stored_token_is_for_its_owner_and_is_found_again(tmp_path: Path) -> None:
    settings = Settings(str(tmp_path))
    token = new_token()
    before = os.umask(0)
    try:
        store_token(settings.folder.auth_token, token)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(settings.folder.auth_token).st_mode) == 0o600
    assert load_tokens(settings) == Tokens(token, None)
    assert [entry.name for entry in tmp_path.iterdir()] == ["auth_token"]


def test_a_token_is_never_overwritten_unless_asked(tmp_path: Path) -> None:
    path = str(tmp_path / "auth_token")
    store_token(path, GOOD)
    with pytest.raises(ConflictError, match="holds a token already") as refused:
        store_token(path, OTHER)
    assert "--replace" in str(refused.value.hint)
    assert load_tokens(Settings(str(tmp_path))).full == GOOD
    store_token(path, OTHER, replace=True)
    assert load_tokens(Settings(str(tmp_path))).full == OTHER
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["auth_token"]


@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_that_is_not_there_is_a_storage_error(tmp_path: Path, *, replace: bool) -> None:
    with pytest.raises(StorageError, match="No such file"):
        store_token(str(tmp_path / "missing" / "auth_token"), GOOD, replace=replace)


def test_without_any_token_there_is_none(tmp_path: Path) -> None:
    assert load_tokens(Settings(str(tmp_path))) == Tokens(None, None)


def test_the_setting_wins_over_the_file_each_for_itself(tmp_path: Path) -> None:
    _file(tmp_path / "auth_token", GOOD)
    _file(tmp_path / "read_token", OTHER)
    settings = Settings(str(tmp_path), auth_token="from-the-environment")
    assert load_tokens(settings) == Tokens("from-the-environment", OTHER)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o666])
def test_a_file_open_to_others_is_refused_with_the_chmod_that_helps(
    tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "auth_token"
    _file(path, GOOD, mode)
    with pytest.raises(ConfigurationError, match=f"{mode:03o}") as refused:
        load_tokens(Settings(str(tmp_path)))
    assert f"chmod 600 {path}" in str(refused.value.hint)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_for_its_owner_is_taken_with_its_line_break(tmp_path: Path, mode: int) -> None:
    _file(tmp_path / "auth_token", GOOD + "\r\n", mode)
    assert load_tokens(Settings(str(tmp_path))).full == GOOD


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("x" * 15, "16 to 1024 characters"),
        ("x" * 1025, "16 to 1024 characters"),
        ("x" * 5000, "16 to 1024 characters"),
        ("two words of a token", "cannot stand in a header"),
        ("a-good-token-0123456789\nand-more", "cannot stand in a header"),
        ("ein-schöner-schlüssel", "cannot stand in a header"),
    ],
)
def test_a_token_that_cannot_work_is_refused_by_its_source(
    tmp_path: Path, text: str, message: str
) -> None:
    _file(tmp_path / "read_token", text)
    with pytest.raises(ConfigurationError, match=message) as in_file:
        load_tokens(Settings(str(tmp_path)))
    assert str(tmp_path / "read_token") in in_file.value.message
    assert "claude-tasks token new --read-only" in str(in_file.value.hint)
    with pytest.raises(ConfigurationError, match="CLAUDE_TASKS_AUTH_TOKEN") as in_setting:
        load_tokens(Settings(str(tmp_path), auth_token=text if text != "\n" else ""))
    assert "claude-tasks token new" in str(in_setting.value.hint)


@pytest.mark.parametrize("bad", ["two words of a token", "short", "x" * 2000])
def test_no_refusal_shows_the_token(tmp_path: Path, bad: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_tokens(Settings(str(tmp_path), auth_token=bad))
    assert bad not in f"{refused.value.message} {refused.value.hint}"


def test_full_and_read_only_token_must_differ(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="are the same"):
        load_tokens(Settings(str(tmp_path), auth_token=GOOD, read_token=GOOD))


def test_a_folder_or_a_pipe_in_the_place_of_the_file_ends_in_an_error(tmp_path: Path) -> None:
    path = tmp_path / "auth_token"
    for mode in (0o700, 0o755):
        path.mkdir(mode=mode)
        with pytest.raises(ConfigurationError, match="it is a folder") as refused:
            load_tokens(Settings(str(tmp_path)))
        assert refused.value.hint == f"mv {path} {path}.old"
        with pytest.raises(StorageError) as unstored:
            store_token(str(path), GOOD, replace=True)
        assert unstored.value.hint == refused.value.hint
        path.rmdir()
    os.mkfifo(tmp_path / "auth_token", 0o600)
    with pytest.raises(ConfigurationError, match="it is a pipe"):
        load_tokens(Settings(str(tmp_path)))


def test_the_same_token_twice_is_refused_with_what_helps(tmp_path: Path) -> None:
    store_token(str(tmp_path / "auth_token"), GOOD)
    with pytest.raises(ConfigurationError, match=r"CLAUDE_TASKS_READ_TOKEN.*the same") as refused:
        load_tokens(Settings(str(tmp_path), read_token=GOOD))
    assert "take it out there" in (refused.value.hint or "")
    store_token(str(tmp_path / "read_token"), GOOD)
    with pytest.raises(ConfigurationError, match="the same") as stored:
        load_tokens(Settings(str(tmp_path)))
    assert stored.value.hint == "claude-tasks token new --read-only --replace"


def test_tokens_do_not_show_when_printed() -> None:
    assert GOOD not in f"{Tokens(GOOD, None)!r} {Tokens(GOOD, OTHER)}"
