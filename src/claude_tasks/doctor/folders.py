"""Folders, as this user may use them. The kernel is asked; nothing is tried."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from claude_tasks.doctor.facts import Barred, FolderFacts
from claude_tasks.doctor.finding import allow, failed, shell, why_barred
from claude_tasks.domain.hint import Command

if TYPE_CHECKING:
    from claude_tasks.doctor.finding import Finding
    from claude_tasks.settings import Settings


MEND = Command("doctor", "--fix")


def data(*, settings: Settings) -> FolderFacts:
    """The data folder."""
    return folder_facts(settings.folder.root)


def logs(*, settings: Settings) -> FolderFacts:
    """The logs' folder."""
    return folder_facts(settings.folder.logs)


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


def wrong_with(name: str, folder: FolderFacts) -> Finding | None:
    """What keeps one that is there from being used."""
    if folder.leads_nowhere:
        text = f"{folder.path} is a link that leads nowhere: remove it, or make what it leads to"
        return failed(name, text, shell("rm", folder.path))
    if not folder.is_folder:
        text = f"{folder.path} is a file, not a folder: move it away, and the next start makes one"
        return failed(name, text, shell("mv", "-i", folder.path, f"{folder.path}.moved"))
    if folder.barred is not None:
        return failed(name, why_barred(folder.barred), allow(folder.barred))
    return None
