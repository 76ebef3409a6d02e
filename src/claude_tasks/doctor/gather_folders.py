"""Folders, as this user may use them, and the room where they are. The kernel is asked."""

from __future__ import annotations

import os

from claude_tasks.doctor.facts import Barred, DiskFacts, FolderFacts


def folder_facts(path: str) -> FolderFacts:
    """One folder; nothing is tried."""
    base = nearest(path)
    return FolderFacts(
        path=path,
        exists=os.path.lexists(path),
        is_folder=os.path.isdir(path),
        base=base,
        barred=barred(base) if os.path.isdir(base) else None,
        leads_nowhere=os.path.islink(path) and not os.path.exists(path),
        base_is_folder=os.path.isdir(base),
    )


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


def barred(path: str) -> Barred | None:
    """Why this user may not write a file or a folder, None where it may."""
    is_folder = os.path.isdir(path)
    wanted = os.R_OK | os.W_OK | (os.X_OK if is_folder else 0)
    if os.access(path, wanted):
        return None
    try:
        owner = os.stat(path).st_uid
        read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:  # in a folder that may not be entered
        return Barred(path, is_folder, ours=False)
    return Barred(path, is_folder, ours=owner == os.geteuid(), read_only_mount=read_only)


def nearest(path: str) -> str:
    """``path``, or its nearest ancestor that exists."""
    while not os.path.exists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path
