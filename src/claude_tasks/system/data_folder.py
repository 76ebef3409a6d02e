"""The data folder: where the database, the logs and the locks live. Private to its owner."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NamedTuple

from claude_tasks.domain.errors import StorageError
from claude_tasks.domain.hint import quoted

_NETWORK_FILE_SYSTEMS = frozenset({
    "9p", "afs", "afpfs", "ceph", "cifs", "davfs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4",
    "smb3", "smbfs", "webdav",
    "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs",
})  # fmt: skip


class DataFolder(NamedTuple):
    """Paths below one folder."""

    root: str

    @property
    def database(self) -> str:
        """The database file."""
        return os.path.join(self.root, "tasks.db")

    @property
    def logs(self) -> str:
        """Run logs and event streams, a folder a task."""
        return os.path.join(self.root, "logs")

    @property
    def runs(self) -> str:
        """Runs in progress, a folder a claim."""
        return os.path.join(self.root, "runs")

    @property
    def nodes(self) -> str:
        """Lifetime locks, a file a node."""
        return os.path.join(self.root, "nodes")

    @property
    def config(self) -> str:
        """The optional settings file."""
        return os.path.join(self.root, "config.toml")

    @property
    def auth_token(self) -> str:
        """The API's token, where the environment gives none."""
        return os.path.join(self.root, "auth_token")

    @property
    def read_token(self) -> str:
        """The API's read-only token, likewise."""
        return os.path.join(self.root, "read_token")

    def create(self) -> None:
        """Make what is missing, 0700. Errors: `StorageError`."""
        for path in (self.root, self.logs, self.runs, self.nodes):
            try:
                os.makedirs(path, mode=0o700, exist_ok=True)
            except OSError as error:
                raise StorageError(
                    f"{path}: {error.strerror}",
                    hint="make the folder writable, or set CLAUDE_TASKS_DATA to another",
                    code="storage_readonly",
                ) from error
        self.refuse_network_file_system()

    def holds_history(self) -> bool:
        """Whether runs or logs are here, which are useless without their database."""
        for path in (self.logs, self.runs):
            with contextlib.suppress(OSError), os.scandir(path) as entries:
                if next(entries, None) is not None:
                    return True
        return False

    def require_database(self) -> None:
        """Errors: `StorageError` when the database is not there and must not be made anew."""
        if not os.path.exists(self.database):
            raise StorageError(
                f"{self.database} is gone, but runs or logs of it are still there",
                hint=f"put it back from a copy; or, to begin anew, move them away: "
                f"mv {quoted(self.root)} {quoted(self.root)}.old",
                code="storage_gone",
            )

    def refuse_network_file_system(self) -> None:
        """Refuse a network file system: its locks are unreliable, so two nodes could lead."""
        kind = file_system_of(self.root)
        if kind in _NETWORK_FILE_SYSTEMS:
            raise StorageError(
                f"{self.root} is on a network file system ({kind}), where locks cannot be trusted",
                hint="set CLAUDE_TASKS_DATA to a folder on a local disk",
                code="storage_network",
            )


def file_system_of(path: str) -> str:
    """The type of the file system that holds ``path``, "" where it cannot be told."""
    return _mount_above(os.path.realpath(path))[1]


def mount_point_above(path: str) -> str | None:
    """Where the mount begins that holds a path, by the path's text alone; None below the root's."""
    point, _ = _mount_above(path)
    return point if point.strip("/") else None


def _mount_above(real: str) -> tuple[str, str]:
    """Mount point and type."""
    mounts = _linux_mounts() if sys.platform == "linux" else _other_mounts()
    best = ("", "")
    for point, kind in mounts:
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        # The longest mount point holds the path; of several on one point the last is on top.
        if inside and len(point) >= len(best[0]):
            best = (point, kind)
    return best


def _linux_mounts() -> list[tuple[str, str]]:
    """Mount points and types from proc(5), without psutil's import time."""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
            fields = [line.split(" ") for line in file]
    except FileNotFoundError:
        return []
    return [(_unescape(entry[1]), entry[2]) for entry in fields]


def _unescape(text: str) -> str:
    """proc(5) writes spaces and the like as octal escapes."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def _other_mounts() -> list[tuple[str, str]]:
    import psutil  # noqa: PLC0415 (not needed on Linux)

    return [(entry.mountpoint, entry.fstype) for entry in psutil.disk_partitions(all=True)]
