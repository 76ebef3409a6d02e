"""What stands at a path, found out by a shell in our place. Dead mounts: `tests/faults`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

from claude_tasks.system import path_probe
from claude_tasks.system.path_probe import Looked, look_at
from support.installation import SOURCE
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = 65534


def test_each_kind_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "leads nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "leads here").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    kinds = {
        "": Looked.FOLDER,
        "leads here": Looked.FOLDER,
        "file": Looked.OTHER,
        "pipe": Looked.OTHER,
        "leads nowhere": Looked.MISSING,
        "gone/deeper": Looked.MISSING,
        "file/below": Looked.MISSING,
    }
    found = look_at(str(tmp_path / name) for name in kinds)
    assert list(found.values()) == list(kinds.values())


@pytest.mark.parametrize(
    "name",
    ["-d", "(", "!", "a\nb", "$(touch it)", "' \"", "\\", "ü", "\udc80", "*", " "],
)
def test_a_path_is_never_taken_for_anything_else(tmp_path: Path, name: str) -> None:
    path = os.path.join(tmp_path, name)
    assert look_at([path]) == {path: Looked.MISSING}
    os.mkdir(path)
    assert look_at([path]) == {path: Looked.FOLDER}
    assert sorted(os.listdir(tmp_path)) == [name]


@pytest.mark.parametrize("path", ["/with\0end", "/\ud800", "/" + "x/" * 3000])
def test_what_can_be_no_path_is_missing(path: str) -> None:
    assert look_at([path]) == {path: Looked.MISSING}


def test_thousands_of_paths_are_answered_each_for_itself(tmp_path: Path) -> None:
    (tmp_path / "1234").mkdir()
    found = look_at((str(tmp_path / str(number)) for number in range(3000)), seconds=30)
    folders = [path for path, looked in found.items() if looked is Looked.FOLDER]
    assert folders == [str(tmp_path / "1234")]
    assert set(found.values()) == {Looked.FOLDER, Looked.MISSING}


def test_a_folder_that_may_not_be_entered_is_told_from_one_that_is_not_there() -> None:
    """As another user: root may enter every folder."""
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o711)
        os.mkdir(os.path.join(made, "closed"), 0o700)
        code = (
            "import os, sys\nfrom claude_tasks.system.path_probe import look_at\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "print(*(looked.name for looked in look_at(sys.argv[1:]).values()))"
        )
        paths = [made, f"{made}/closed", f"{made}/gone"]
        done = subprocess.run(
            [sys.executable, "-c", code, *paths],
            env={"PYTHONPATH": str(SOURCE)},
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.split() == ["FOLDER", "BARRED", "MISSING"]


def test_a_shell_that_is_silent_is_left_behind_and_the_others_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(path_probe, "_SCRIPT", SLOW_AT)
    slow = str(tmp_path / "slow")
    paths = [str(tmp_path / str(number)) for number in range(8)]
    found = look_at([*paths[:3], slow, *paths[3:]])
    assert found.pop(slow) is Looked.NO_ANSWER
    assert set(found.values()) == {Looked.MISSING}
    look_at([])
    wait_until(lambda: not path_probe._still_stuck(), what="what was left behind is reaped")


def test_a_path_whose_shell_has_not_ended_is_asked_about_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeper = subprocess.Popen(["sleep", "60"])
    path = str(tmp_path)
    monkeypatch.setitem(path_probe._left_behind, sleeper.pid, path)
    assert look_at([path]) == {path: Looked.NO_ANSWER}
    sleeper.send_signal(signal.SIGKILL)
    wait_until(lambda: look_at([path]) == {path: Looked.FOLDER}, what="it has ended")
    sleeper.wait()


def test_nothing_of_ours_is_held_by_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(path_probe, "_SCRIPT", SLOW_AT)
    monkeypatch.setattr(os, "kill", lambda *_: None)  # as where the kernel does not end it
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    look_at([str(tmp_path / "slow")], seconds=0.2)
    monkeypatch.undo()
    [pid] = path_probe._left_behind
    os.close(writing)
    assert os.read(reading, 1) == b"", "the other end is closed"
    os.close(reading)
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not path_probe._still_stuck())


SLOW_AT = path_probe._SCRIPT.replace(
    "for path do\n", "for path do\n  case $path in */slow) exec /bin/sleep 60;; esac\n"
)
