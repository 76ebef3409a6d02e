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


def test_a_link_on_the_way_that_others_could_replace_is_refused(kept: Kept, tmp_path: Path) -> None:
    """First and last folder are nobody else's; what lies between decides as well."""
    file, load = kept
    good, open_ = tmp_path / "good", tmp_path / "open"
    good.mkdir(mode=0o755)
    open_.mkdir()
    file.rename(good / "real")
    (open_ / "link").symlink_to(good / "real")
    (open_ / "folder").symlink_to("../good")
    for target in ("open/link", "open/folder/real"):
        file.unlink(missing_ok=True)
        file.symlink_to(f"../{target}")
        open_.chmod(0o777)
        error = _refusal(kept)
        assert error.message.startswith(f"{open_}: others on this machine can write to it")
        assert error.hint == f"chmod go-w {open_}"
        open_.chmod(0o755)
        assert load(file.parent)


def test_a_link_of_another_user_in_a_shared_folder_is_refused(kept: Kept, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a link away")
    file, load = kept
    good, shared = tmp_path / "good", tmp_path / "shared"
    good.mkdir(mode=0o755)
    shared.mkdir()
    shared.chmod(0o1777)
    file.rename(good / "real")
    (shared / "link").symlink_to(good / "real")
    file.symlink_to(shared / "link")
    assert load(file.parent)
    os.chown(shared / "link", _SOMEBODY, _SOMEBODY, follow_symlinks=False)
    error = _refusal(kept)
    assert error.hint == f"chown -h 0 {shared / 'link'}"
    subprocess.run(["sh", "-c", error.hint], check=True)
    assert load(file.parent)


@pytest.mark.parametrize("target", ["nowhere", "a file/below", "itself"])
def test_a_link_to_nowhere_is_refused_until_it_is_removed(kept: Kept, target: str) -> None:
    """A mount that is not there yet must neither drop a setting nor open a server."""
    file, load = kept
    target = file.name if target == "itself" else target
    file.unlink()
    file.symlink_to(target)
    (file.parent / "a file").touch()
    error = _refusal(kept)
    assert error.message.startswith(f"{file}: it is a link to {target}, and there is nothing")
    assert error.hint is not None
    subprocess.run(["sh", "-c", error.hint.partition(": ")[2]], check=True)
    assert load(file.parent) in (8080, None)


def test_without_such_a_file_an_open_folder_hinders_nobody(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert load_settings({"CLAUDE_TASKS_DATA": str(tmp_path)}).port == 8080
    assert load_tokens(Settings(str(tmp_path))).full is None
