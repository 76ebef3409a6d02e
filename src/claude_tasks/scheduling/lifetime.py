"""Lifetime locks: with them the kernel tells whether a node lives.

Each node holds an ``flock`` on a file named after its id as long as it lives; after a kill -9 the
kernel releases it within milliseconds. Descriptors are close-on-exec: a child that inherited one
would make its dead parent look alive.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from enum import Enum, auto
from typing import TYPE_CHECKING

from claude_tasks.domain.errors import StorageError

if TYPE_CHECKING:
    from claude_tasks.domain.node import Node
    from claude_tasks.domain.ports import NodeStore
    from claude_tasks.scheduling.beats import BeatWatch


class LifetimeLock:
    """The lock of one node, held from `acquire` to `release`."""

    def __init__(self, folder: str, node_id: str) -> None:
        """Choose the path of the lock; no file is touched yet."""
        self._path = lock_path(folder, node_id)
        self._descriptor = -1

    def acquire(self) -> None:
        """Make and lock the file. Errors: `StorageError` when it cannot be made.

        The file is locked before it gets its name, so no other node ever finds it unlocked.
        """
        draft = f"{self._path}.{os.getpid()}.new"
        descriptor = -1
        try:
            descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(draft, self._path)
        except OSError as error:
            if descriptor >= 0:
                os.close(descriptor)
            with contextlib.suppress(OSError):
                os.unlink(draft)
            raise StorageError(f"{self._path}: {error.strerror}") from error
        before, self._descriptor = self._descriptor, descriptor
        if before >= 0:
            os.close(before)

    def keep(self) -> None:
        """Make the file again where it was removed. Errors: `StorageError`.

        The data folder itself is never made: without it no node looks.
        """
        if self._descriptor < 0:
            return  # it was released
        try:
            if _is_at(self._path, self._descriptor):
                return
        except OSError:  # unreadable just now
            return
        with contextlib.suppress(OSError):  # it exists, or `acquire` reports the error
            os.mkdir(os.path.dirname(self._path), 0o700)
        self.acquire()

    def release(self, *, tidy: bool) -> None:
        """Release the lock; ``tidy`` removes the file, for a node that left the registry.

        Repeatable.
        """
        if self._descriptor >= 0:
            if tidy:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path)
            os.close(self._descriptor)
            self._descriptor = -1


def lock_path(folder: str, node_id: str) -> str:
    """The path of a node's lock: always in this folder, even for an id with slashes."""
    name = node_id.replace("/", "%2F").replace("\0", "%00")
    return os.path.join(folder, f"{name}.lock")


_LOOKS = 5
"""Attempts: a file is rarely replaced during a look, and hardly ever twice."""


class Sign(Enum):
    """What a look at a node's lock finds."""

    ALIVE = auto()
    DEAD = auto()
    NONE = auto()
    """No lock file: the node left in good order, or the file was removed."""
    UNKNOWN = auto()
    """It could not be looked at: proves neither life nor death."""


def probe(folder: str, node_id: str) -> Sign:
    """Look at a node's lock without disturbing it."""
    for _ in range(_LOOKS):
        sign = _look(lock_path(folder, node_id))
        if sign is not None:
            return sign
    return Sign.UNKNOWN


def _look(path: str) -> Sign | None:
    """One look; None where a node replaced the file meanwhile."""
    try:
        # For reading: enough for a lock (flock(2)), and possible on a read-only disk.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # opening a pipe would block
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
            return Sign.NONE
        return Sign.UNKNOWN  # no descriptors left, no permission, …
    try:
        # A shared lock, so that two observers do not take each other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return Sign.ALIVE
    except OSError:  # a file system without locks
        return Sign.UNKNOWN
    else:
        return Sign.DEAD if _is_at(path, descriptor) else None
    finally:
        os.close(descriptor)


def _is_at(path: str, descriptor: int) -> bool:
    """Whether a path names the open file; False where there is none. Errors: `OSError`."""
    try:
        named = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(descriptor))


def _is_a_copy(node: Node, nodes: list[Node]) -> bool:
    """Whether a row without a beat names a process that is registered under another id."""
    now = time.monotonic()
    return node.silent_ms(monotonic=now) is not None and any(
        (it.host, it.pid, it.started_at) == (node.host, node.pid, node.started_at)
        and it.silent_ms(monotonic=now) is None
        for it in nodes
    )


class NodeRegistry:
    """Which nodes live: by their lifetime locks, else by the list of nodes."""

    def __init__(self, store: NodeStore, folder: str, beats: BeatWatch | None = None) -> None:
        """``folder`` holds the locks; ``beats`` knows which nodes hang, None where none may."""
        self._store = store
        self._folder = folder
        self._beats = beats

    def is_dead(self, node_id: str) -> bool:
        """Dead by its lock, or neither locked nor registered: it left in good order.

        A node whose lock cannot be read is not proven dead. Nor is one whose lock was removed: it
        makes the lock again with its next beat, unless its row is only a copy of another.
        """
        sign = probe(self._folder, node_id)
        if sign is not Sign.NONE:
            return sign is Sign.DEAD
        nodes = self._store.list_nodes()
        node = next((node for node in nodes if node.id == node_id), None)
        return node is None or _is_a_copy(node, nodes)

    def is_hung(self, node_id: str) -> bool:
        """Whether a node makes no progress, though it may live."""
        return self._beats is not None and self._beats.is_hung(node_id)

    def living(self) -> list[Node]:
        """The registered nodes that are alive."""
        return [node for node in self._store.list_nodes() if not self.is_dead(node.id)]

    def forget_the_dead(self) -> None:
        """Remove dead nodes from the registry, and their locks."""
        self._store.strike_illegible_nodes()
        for node in self._store.list_nodes():
            if self.is_dead(node.id):
                self._store.remove_node(node.id)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(lock_path(self._folder, node.id))
