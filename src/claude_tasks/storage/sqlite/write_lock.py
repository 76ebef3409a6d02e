"""Asks the kernel which process holds a lock on a file of the database.

In WAL mode the writer holds an exclusive POSIX lock on byte 120 of the ``-shm`` file (SQLite's
``wal.c``, WAL_WRITE_LOCK); the process that closes the last connection holds one on the bytes of
the database that readers share (``os.h``, SHARED_FIRST). ``F_GETLK`` (fcntl(2)) names it. A process
that closes any descriptor of a file loses its own locks on it, SQLite's included, so the descriptor
used to ask stays open. The holder of a ``flock`` is looked up in ``/proc/locks`` (proc(5)). That is
slow: reading the list takes 10 to 20 ms, a grace period of the kernel, in which all locking on the
machine waits.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import sys

_WRITE_LOCK_BYTE = 120
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510
_FLOCK = "hhqqi4x"
"""Linux's ``struct flock``: type, whence, first byte, bytes, process."""
_asking: dict[tuple[int, int], int] = {}
"""The descriptors used to ask, by the file's device and inode. They are never closed."""


def write_lock_holder(path: str) -> int | None:
    """The process that writes to the database at ``path``, None where unknown."""
    return _holder(f"{path}-shm", fcntl.F_WRLCK, _WRITE_LOCK_BYTE, 1)


def lock_holder(path: str) -> int | None:
    """The process whose lock keeps others from writing to a database, or from opening it."""
    return write_lock_holder(path) or _holder(path, fcntl.F_RDLCK, _SHARED_FIRST, _SHARED_SIZE)


def _holder(path: str, wanted: int, first: int, size: int) -> int | None:
    """The process whose POSIX lock conflicts with one on these bytes."""
    if sys.platform != "linux":
        return None
    asked = struct.pack(_FLOCK, wanted, os.SEEK_SET, first, size, 0)
    try:
        told = fcntl.fcntl(_descriptor(path), fcntl.F_GETLK, asked)
    except OSError:  # the file is missing or unreadable
        return None
    kind, _, _, _, pid = struct.unpack(_FLOCK, told)
    return None if kind == fcntl.F_UNLCK or pid <= 0 else int(pid)  # 0: in another container


def flock_holder(path: str) -> int | None:
    """The process that holds a ``flock`` on a file, None where unknown."""
    try:
        status = os.stat(path)
        with open("/proc/locks", encoding="ascii") as file:
            locks = file.read()
    except OSError:  # no such file, or no /proc
        return None
    wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in locks.splitlines():
        # 1: FLOCK ADVISORY WRITE 4242 fe:01:1234 0 EOF (a waiting one has -> before FLOCK)
        _, kind, _, access, pid, locked, *_ = line.split()
        if (kind, access, locked) == ("FLOCK", "WRITE", wanted):
            return int(pid) if int(pid) > 0 else None
    return None


def _descriptor(path: str) -> int:
    """A descriptor of the file that is at the path now. Errors: `OSError`."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would block
        raise OSError(errno.EINVAL, "no file", path)
    file = (status.st_dev, status.st_ino)
    if file not in _asking:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        status = os.fstat(descriptor)
        file = (status.st_dev, status.st_ino)
        _asking.setdefault(file, descriptor)
    return _asking[file]
