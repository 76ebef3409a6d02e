"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from claude_tasks.system.durable import write_atomically

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "the file system knows no links")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "file"
    write_atomically(str(path), b"first", replace=False)
    assert path.read_bytes() == b"first"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_atomically(str(path), b"second", replace=False)
    assert path.read_bytes() == b"first"
    write_atomically(str(path), b"third")
    assert path.read_bytes() == b"third"
    assert os.listdir(tmp_path) == ["file"]
