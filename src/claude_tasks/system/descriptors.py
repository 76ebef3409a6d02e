"""Which files this process has open."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST = 65_536


def open_descriptors() -> Iterable[str]:
    """Those that may be open; where they are not listed (Linux without /proc) all there can be."""
    try:
        return os.listdir("/dev/fd")
    except FileNotFoundError:
        return map(str, range(min(os.sysconf("SC_OPEN_MAX"), _MOST)))
