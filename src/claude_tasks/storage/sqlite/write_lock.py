"""Which process holds a lock on a file of the database, as the kernel lists it.

In WAL mode the writer holds an exclusive POSIX lock on byte 120 of the ``-shm`` file (SQLite's
``wal.c``, WAL_WRITE_LOCK). It is looked up in ``/proc/locks`` (proc(5)): opening that file here
would cost this process its own locks on it.
"""

from __future__ import annotations

import os

_WRITE_LOCK_BYTE = 120
_LOOKS = 3
_PAGE_BYTES = 4096
"""The kernel writes its list a page at a time: in a longer one, while others lock, an entry may be
missed, and it is looked at again."""


def write_lock_holder(path: str) -> int | None:
    """The process that writes to the database at ``path``, as far as one is known."""
    return _holder_of(f"{path}-shm", "POSIX")


def flock_holder(path: str) -> int | None:
    """The process that holds a ``flock`` on a file, as far as one is known."""
    return _holder_of(path, "FLOCK")


def _holder_of(path: str, kind: str) -> int | None:
    try:
        status = os.stat(path)
        wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        for _ in range(_LOOKS):
            with open("/proc/locks", encoding="ascii") as file:
                locks = file.read()
            pid = _holder(locks, wanted, kind)
            if pid is not None or len(locks) < _PAGE_BYTES:
                return pid
    except OSError:  # no such file in use, or no /proc
        return None
    return None


def _holder(locks: str, file_id: str, wanted: str) -> int | None:
    for line in locks.splitlines():
        # 1: POSIX  ADVISORY  WRITE 4242 fe:01:1234 120 120 (one that waits: -> before POSIX)
        _, kind, _, access, pid, locked, first, last, *_ = line.split()
        if (kind, access, locked) == (wanted, "WRITE", file_id) and _covers(first, last):
            return int(pid) if int(pid) > 0 else None  # 0: of another container
    return None


def _covers(first: str, last: str) -> bool:
    return int(first) <= _WRITE_LOCK_BYTE and (last == "EOF" or int(last) >= _WRITE_LOCK_BYTE)
