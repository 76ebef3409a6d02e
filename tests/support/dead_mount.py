"""A mount that answers nothing, as of a server that is gone: a FUSE file system nobody serves.

Every look below it waits in the kernel. A request that nobody took yet is given up when its process
is killed; one that was taken (``takes_requests``, as by a file server that hangs) is not: then not
even KILL ends the process before the mount is let go. Needs root and ``/dev/fuse``.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MNT_DETACH = 2
_LARGEST_REQUEST = 1 << 20
_libc = ctypes.CDLL(None, use_errno=True)


class DeadMount:
    """``path`` is the mount point; the test's own process must never look below it."""

    def __init__(self, path: Path, *, takes_requests: bool = False) -> None:
        path.mkdir()
        self.path = path
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        self._ended = threading.Event()
        self._taker: threading.Thread | None = None
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0,allow_other"
        _call("mount", b"dead", bytes(path), b"fuse", 0, options.encode())
        if takes_requests:
            self._greet()
            self._taker = threading.Thread(target=self._take)
            self._taker.start()

    def let_go(self) -> None:
        """Let whoever waits go on, with an error. Repeatable; ``umount -f`` does as much."""
        if self._device < 0:
            return
        self._ended.set()
        if self._taker is not None:
            self._taker.join()
        os.close(self._device)
        self._device = -1

    def close(self) -> None:
        self.let_go()
        try:
            _call("umount2", bytes(self.path), _MNT_DETACH)
        except OSError as error:
            if error.errno != errno.EINVAL:  # it is no mount any more
                raise

    def _greet(self) -> None:
        """Answer FUSE_INIT, the kernel's first request (fuse(4)), and nothing after it."""
        request = os.read(self._device, _LARGEST_REQUEST)
        unique, major, minor = struct.unpack_from("=8xQ24xII", request)
        answer = struct.pack("=IIIIHHIIHHI28x", major, minor, 0, 0, 8, 8, 4096, 1, 1, 0, 0)
        os.write(self._device, struct.pack("=IiQ", 16 + len(answer), 0, unique) + answer)

    def _take(self) -> None:
        while not self._ended.is_set():
            if select.select([self._device], [], [], 0.05)[0]:
                try:
                    os.read(self._device, _LARGEST_REQUEST)
                except BlockingIOError:
                    continue
                except OSError as error:
                    if error.errno != errno.ENODEV:
                        raise
                    return  # it was unmounted


@contextlib.contextmanager
def dead_mount(path: Path, *, takes_requests: bool = False) -> Iterator[DeadMount]:
    """A dead mount at a path that is not there yet."""
    mount = DeadMount(path, takes_requests=takes_requests)
    try:
        yield mount
    finally:
        mount.close()


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
