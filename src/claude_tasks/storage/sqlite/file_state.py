"""Reads from a database's files, without SQLite, their owner, journal mode and log.

Nothing here opens the database or its ``-shm`` while this process has them open: closing any
descriptor would drop this process's locks on them (POSIX). A ``-wal`` is never locked.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from claude_tasks.system.descriptors import open_descriptors

if TYPE_CHECKING:
    from typing import Literal

_HEADER_BYTES = 20
_WAL_FORMAT = b"\x02\x02"
"""Bytes 18 and 19 of the file: its write and read versions (SQLite's file format, 1.3.3)."""
_LOG_HEADER_BYTES = 32
_LOG_MAGIC = 0x377F0682
_BIG_ENDIAN_SUMS = 1
"""The magic's last bit: the byte order of the words in the checksums (file format, 4.1)."""
_WORD = 0xFFFFFFFF


def holds_something(path: str) -> bool:
    """Whether the file exists and is not empty."""
    try:
        return os.stat(path).st_size > 0
    except FileNotFoundError:
        return False


def is_open_here(path: str) -> bool:
    """Whether this process has the file open, under any name."""
    wanted = os.stat(path)
    return any(
        (status.st_dev, status.st_ino) == (wanted.st_dev, wanted.st_ino)
        for status in map(_status_of, open_descriptors())
        if status is not None
    )


def _status_of(descriptor: str) -> os.stat_result | None:
    try:
        return os.fstat(int(descriptor))
    except OSError:  # the descriptor of the listing itself
        return None


def is_wal(path: str) -> bool:
    """Whether the header says WAL; True also for a file too short to have one.

    Call it only where `is_open_here` says no. Errors: `OSError`.
    """
    header = _beginning(path, _HEADER_BYTES)
    return len(header) < _HEADER_BYTES or header[18:20] == _WAL_FORMAT


def is_log(path: str) -> bool:
    """Whether a ``-wal`` has a valid header (file format, 4.1): magic and checksum.

    SQLite tries for ten seconds to read one without, and gives up. Errors: `OSError`.
    """
    header = _beginning(path, _LOG_HEADER_BYTES)
    if len(header) < _LOG_HEADER_BYTES:
        return True  # as good as empty
    magic = int.from_bytes(header[:4], "big")
    if magic & ~_BIG_ENDIAN_SUMS != _LOG_MAGIC:
        return False
    summed = _words(header[:24], "big" if magic & _BIG_ENDIAN_SUMS else "little")
    return list(_checksum(summed)) == _words(header[24:], "big")


def _words(data: bytes, order: Literal["big", "little"]) -> list[int]:
    return [int.from_bytes(data[at : at + 4], order) for at in range(0, len(data), 4)]


def _checksum(words: list[int]) -> tuple[int, int]:
    """SQLite's file format, 4.2."""
    first = second = 0
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & _WORD
        second = (second + odd + first) & _WORD
    return first, second


def would_change_owner(path: str) -> bool:
    """Whether SQLite, run by root, would give log, index or journal to the database's owner."""
    if os.geteuid() != 0:
        return False
    ours = os.stat(path)
    names = (path + ending for ending in ("-wal", "-shm", "-journal"))
    beside = [os.stat(name) for name in names if os.path.exists(name)]
    return any((ours.st_uid, ours.st_gid) != (it.st_uid, it.st_gid) for it in beside)


def _beginning(path: str, count: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return os.read(descriptor, count)
    finally:
        os.close(descriptor)
