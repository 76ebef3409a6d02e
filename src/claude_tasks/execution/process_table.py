"""On Linux an agent's processes are found through /proc: a node refuses to start without it."""

from __future__ import annotations

import os
import sys

from claude_tasks.domain.errors import ConfigurationError

_TABLE = "/proc"


def has_process_table(folder: str = _TABLE, *, platform: str = sys.platform) -> bool:
    """Whether the kernel's process table can be read."""
    return platform != "linux" or os.path.exists(os.path.join(folder, "self", "stat"))


def refuse_without_process_table(folder: str = _TABLE, *, platform: str = sys.platform) -> None:
    """Errors: `ConfigurationError` where the process table cannot be read."""
    if has_process_table(folder, platform=platform):
        return
    raise ConfigurationError(
        f"{folder} is not mounted: what an agent starts could be neither found nor ended",
        hint=f"mount -t proc proc {folder} (in a chroot or container too), then start again",
        code="no_process_table",
    )
