"""Files that decide what runs are read only where nobody else could have written them."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.errors import ConfigurationError
from claude_tasks.settings import Settings, load_settings
from claude_tasks.tokens import load_tokens

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SOMEBODY, _ME = 12345, 4242
TOKEN = "a-good-token-0123456789"


def _load_config(folder: Path) -> object:
    return load_settings({"CLAUDE_TASKS_DATA": str(folder)}).port


def _load_token(folder: Path) -> object:
    return load_tokens(Settings(str(folder))).full


@pytest.fixture(params=["config.toml", "auth_token"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Callable[[Path], object]]:
    """A file of each kind, and what reads it."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    file = folder / request.param
    is_config = request.param == "config.toml"
    file.write_text("port = 9\n" if is_config else f"{TOKEN}\n")
    file.chmod(0o600)
    return file, _load_config if is_config else _load_token


Kept = tuple["Path", "Callable[[Path], object]"]


def _refusal(kept: Kept) -> ConfigurationError:
    file, load = kept
    with pytest.raises(ConfigurationError) as refused:
        load(file.parent)
    return refused.value


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o770, 0o777, 0o1777])
def test_a_folder_that_others_can_write_to_is_refused_until_the_command_was_run(
    kept: Kept, mode: int
) -> None:
    file, load = kept
    file.parent.chmod(mode)
    error = _refusal(kept)
    assert error.message.startswith(f"{file.parent}: ")
    assert error.hint == f"chmod go-w {file.parent}"
    subprocess.run(["sh", "-c", error.hint], check=True)
    assert load(file.parent)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_to_is_refused_until_the_command_was_run(
    kept: Kept, mode: int
) -> None:
    file, load = kept
    file.chmod(mode)
    error = _refusal(kept)
    assert error.message.startswith(f"{file}: ")
    assert error.hint is not None
    subprocess.run(["sh", "-c", error.hint.partition(";")[0]], check=True)
    assert load(file.parent)


def test_a_config_file_may_be_read_by_others(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("port = 9\n")
    (tmp_path / "config.toml").chmod(0o644)
    tmp_path.chmod(0o755)
    assert _load_config(tmp_path) == 9


def test_a_file_of_another_user_is_refused(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's files are everybody's to trust, so that as root there is another owner first."""
    file, _ = kept
    if os.geteuid() == 0:
        os.chown(file, _SOMEBODY, _SOMEBODY)
        os.chown(file.parent, _ME, _ME)
    monkeypatch.setattr(os, "geteuid", lambda: _ME)
    error = _refusal(kept)
    assert "belongs to another user" in error.message
    assert error.hint == f"sudo chown {_ME} {file}"


def test_a_folder_of_another_user_is_refused(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    file, _ = kept
    os.chown(file.parent, _SOMEBODY, _SOMEBODY)
    monkeypatch.setattr(os, "geteuid", lambda: _ME)
    assert _refusal(kept).hint == f"sudo chown {_ME} {file.parent}"


def test_for_root_the_folders_owner_is_trusted_and_no_third_one(kept: Kept) -> None:
    if os.geteuid() != 0:
        pytest.skip("this is about root")
    file, load = kept
    os.chown(file, _SOMEBODY, _SOMEBODY)
    assert _refusal(kept).hint == f"chown 0 {file}"
    os.chown(file.parent, _SOMEBODY, _SOMEBODY)
    assert load(file.parent)
    os.chown(file, 0, 0)
    assert load(file.parent)


def test_a_link_is_followed_to_who_could_write_there(kept: Kept, tmp_path: Path) -> None:
    file, load = kept
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    file.rename(elsewhere / "real")
    file.symlink_to(elsewhere / "real")
    assert load(file.parent)
    elsewhere.chmod(0o777)
    assert _refusal(kept).hint == f"chmod go-w {elsewhere}"
    elsewhere.chmod(0o1777)  # nobody but its owner replaces a file there
    assert load(file.parent)


def test_without_such_a_file_an_open_folder_hinders_nobody(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert load_settings({"CLAUDE_TASKS_DATA": str(tmp_path)}).port == 8080
    assert load_tokens(Settings(str(tmp_path))).full is None
