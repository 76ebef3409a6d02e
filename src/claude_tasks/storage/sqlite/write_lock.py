"""Which process holds SQLite's write lock, as the kernel lists it.

In WAL mode the writer holds an exclusive POSIX lock on byte 120 of the ``-shm`` file (SQLite's
``wal.c``, WAL_WRITE_LOCK). It is looked up in ``/proc/locks`` (proc(5)): opening that file here
would cost this process its own locks on it.
"""

from __future__ import annotations

import os

_WRITE_LOCK_BYTE = 120


def write_lock_holder(path: str) -> int | None:
    """The process that writes to the database at ``path``, as far as one is known."""
    try:
        status = os.stat(f"{path}-shm")
        with open("/proc/locks", encoding="ascii") as file:
            lines = [line.split() for line in file]
    except OSError:
        return None
    wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for fields in lines:
        # 1: POSIX  ADVISORY  WRITE 4242 fe:01:1234 120 120 (one that waits has "->" before POSIX)
        kind, access, pid, file_id, first, last = (fields[1], *fields[3:8])
        if (kind, access, file_id) != ("POSIX", "WRITE", wanted) or not first.isdecimal():
            continue
        if int(first) <= _WRITE_LOCK_BYTE and (last == "EOF" or int(last) >= _WRITE_LOCK_BYTE):
            return int(pid) if int(pid) > 0 else None  # 0: of another container
    return None
