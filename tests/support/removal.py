"""Removing a folder that others work in, as ``rm -rf`` does."""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING

from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path


def remove_in_use(folder: Path) -> None:
    """Remove all of it, whatever others take away or add meanwhile."""
    wait_until(lambda: _removed(folder), what=f"{folder} is removed")


def _removed(folder: Path) -> bool:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return not folder.exists()  # else only something in it was gone first
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            return False
        raise
    return True
