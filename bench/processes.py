"""What the kernel knows of a process: processor time, memory, children."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_TICKS = os.sysconf("SC_CLK_TCK")


class Memory(NamedTuple):
    """Mebibytes."""

    resident: float
    proportional: float
    private: float


def processor_seconds(pid: int) -> float:
    """User and system time of all threads so far, without children: proc(5), 10 ms steps."""
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2]
    fields = after_name.split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def children(pid: int) -> list[int]:
    """The direct children now."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text(encoding="utf-8").split()]
    return found


def memory(pid: int) -> Memory:
    """Resident, proportional and private memory: the kernel's own sums."""
    sizes: dict[str, float] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]:
        name, _, rest = line.partition(":")
        sizes[name] = int(rest.split()[0]) / 1024
    private = sizes["Private_Clean"] + sizes["Private_Dirty"]
    return Memory(sizes["Rss"], sizes["Pss"], private)


def wait_until(done: Callable[[], object], *, seconds: float, pause: float = 0.005) -> float:
    """Poll until it is so; the monotonic time when it was seen. Errors: `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so after {seconds:g} s")
        time.sleep(pause)
    return time.monotonic()
