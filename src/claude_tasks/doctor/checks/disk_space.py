"""There is room for logs and data."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.doctor.finding import (
    Verdict,
    failed,
    passed,
    shell,
    warned,
)
from claude_tasks.doctor.folders import nearest

if TYPE_CHECKING:
    from claude_tasks.doctor.finding import Finding
    from claude_tasks.settings import Settings


MIB = 1024 * 1024
LITTLE_BYTES = 1024 * MIB
TOO_LITTLE_BYTES = 100 * MIB
FEW_ENTRIES = 1000
TOO_FEW_ENTRIES = 100
_WORST_FIRST = (Verdict.FAIL, Verdict.WARN, Verdict.PASS)


class DiskFacts(NamedTuple):
    """Room left for this user where something is, or would be.

    ``free_entries`` counts the files that can still be made, None where there is no such limit.
    """

    path: str
    free_bytes: int
    free_entries: int | None = None


def disks(*, settings: Settings) -> tuple[DiskFacts, ...]:
    """Room where the data is, and where the logs are, if that is elsewhere."""
    return disk_facts(settings.data, settings.folder.logs)


def disk_facts(*paths: str) -> tuple[DiskFacts, ...]:
    """Room where these are or would be; each file system once."""
    found: dict[int, DiskFacts] = {}
    for base in map(nearest, paths):
        device = os.stat(base).st_dev
        if device not in found:
            room = os.statvfs(base)
            # Some file systems (btrfs) make room for entries as they are needed.
            entries = room.f_favail if room.f_files else None
            found[device] = DiskFacts(base, room.f_bavail * room.f_frsize, entries)
    return tuple(found.values())


def judge(disks: tuple[DiskFacts, ...]) -> Finding:
    """Room for logs and for the database's own log: the worst of the disks they are on."""
    found = [_disk_space(disk) for disk in disks]
    return min(found, key=lambda finding: _WORST_FIRST.index(finding.verdict))


def _disk_space(disk: DiskFacts) -> Finding:
    name, text = "disk_space", f"{_size(disk.free_bytes)} free at {disk.path}"
    entries = disk.free_entries
    if entries is not None and entries < FEW_ENTRIES:
        make = failed if entries < TOO_FEW_ENTRIES else warned
        text = f"room for {entries} more files only at {disk.path}: remove some there"
        return make(name, text, shell("df", "-i", disk.path))
    if disk.free_bytes >= LITTLE_BYTES:
        return passed(name, text)
    too_little = disk.free_bytes < TOO_LITTLE_BYTES
    make, limit = (failed, TOO_LITTLE_BYTES) if too_little else (warned, LITTLE_BYTES)
    text = f"{text}: less than {_size(limit)}, so make room there"
    return make(name, text, shell("df", "-h", disk.path))


def _size(count: int) -> str:
    return f"{count / LITTLE_BYTES:.1f} GiB" if count >= LITTLE_BYTES else f"{count // MIB} MiB"
