"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat


def write_atomically(path: str, data: bytes, *, sync: bool = True, replace: bool = True) -> None:
    """Put ``data`` at ``path``, 0600: written beside it, flushed, then given its name.

    With ``sync`` a power cut leaves the old file or the new one, never a torn one. Without
    ``replace`` a file that is there stays. Errors: `OSError` (`FileExistsError` for that), and then
    ``path`` is as it was.
    """
    draft = f"{path}.{os.getpid()}.tmp"
    try:
        write_private(draft, data, sync=sync)
        if replace or not _linked(draft, path):
            os.replace(draft, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)


def _linked(draft: str, path: str) -> bool:
    """Give the draft a second name; False where nothing is there and the file system knows none.

    A link, unlike a rename, never takes the place of a file that came meanwhile.
    """
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "it is there already", path) from None
        return False
    return True


def read_whole(path: str, *, limit: int) -> bytes:
    """What a regular file holds, if that is at most ``limit`` bytes.

    A pipe or a device in its place is neither waited for nor read to no end. Errors: `OSError`;
    `ValueError` for what is no file of that size.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            raise ValueError(f"{path}: no regular file of at most {limit} bytes")
        data = os.read(descriptor, status.st_size + 1)
        while len(data) > status.st_size:  # it grows under the look
            if len(data) > limit or not (chunk := os.read(descriptor, 1 << 20)):
                break
            data += chunk
        return data
    finally:
        os.close(descriptor)


def write_private(path: str, data: bytes, *, sync: bool = False) -> None:
    """Write a file, 0600, in place. With ``sync`` it survives a power cut once this returns.

    (The file systems of Linux and macOS make a new file's name durable with its content.) Errors:
    `OSError`; the file may then hold part of ``data``.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
