"""Lifetime locks: the kernel's word on whether a node lives.

Each node holds an ``flock`` on a file named after its id from birth to death; kill -9 lets it go
within milliseconds. Descriptors are close-on-exec: a child that inherited one would keep its dead
parent alive.
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
        """Name the lock; nothing is touched yet."""
        self._path = lock_path(folder, node_id)
        self._descriptor = -1

    def acquire(self) -> None:
        """Be alive. Errors: `StorageError` when the lock file cannot be made.

        It is locked before it has its name: who looks never finds one that nobody holds.
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
        """Be alive again for all who look, where somebody removed the file. Errors: `StorageError`.

        Never the data folder itself: once that is gone there is nobody left to look.
        """
        if self._descriptor < 0:
            return  # it is to be gone
        try:
            if _is_at(self._path, self._descriptor):
                return
        except OSError:  # not to be seen just now
            return
        with contextlib.suppress(OSError):  # it is there, or making the lock says what is wrong
            os.mkdir(os.path.dirname(self._path), 0o700)
        self.acquire()

    def release(self, *, tidy: bool) -> None:
        """Be gone; ``tidy`` removes the file too, for a node that left the registry. Repeatable."""
        if self._descriptor >= 0:
            if tidy:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path)
            os.close(self._descriptor)
            self._descriptor = -1


def lock_path(folder: str, node_id: str) -> str:
    """Where a node's lock stands: in this folder, whatever somebody wrote down as an id."""
    name = node_id.replace("/", "%2F").replace("\0", "%00")
    return os.path.join(folder, f"{name}.lock")


_LOOKS = 5
"""A file is exchanged under a look once, if ever."""


class Sign(Enum):
    """What a node's lock tells."""

    ALIVE = auto()
    DEAD = auto()
    NONE = auto()
    """No lock file: it left in good order, or somebody tidied up."""
    UNKNOWN = auto()
    """It may not be looked at: proves neither life nor death."""


def probe(folder: str, node_id: str) -> Sign:
    """Look at a node's lock without disturbing it."""
    for _ in range(_LOOKS):
        sign = _look(lock_path(folder, node_id))
        if sign is not None:
            return sign
    return Sign.UNKNOWN


def _look(path: str) -> Sign | None:
    """One look; None where the file was exchanged under it: a node made its lock again."""
    try:
        # For reading: a lock asks no more (flock(2)), and a look has to do on a read-only disk.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe would keep who opens it
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
            return Sign.NONE
        return Sign.UNKNOWN  # no descriptors left, a folder of others, …
    try:
        # Shared, so that two who look at once do not take each other for the holder.
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
    """Whether a path names the file that is open. Errors: `OSError`, but for a path without one."""
    try:
        named = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(descriptor))


def _is_a_copy(node: Node, nodes: list[Node]) -> bool:
    """Whether a row that stands still is of a process that is registered by another id."""
    now = time.monotonic()
    return node.silent_ms(monotonic=now) is not None and any(
        (it.host, it.pid, it.started_at) == (node.host, node.pid, node.started_at)
        and it.silent_ms(monotonic=now) is None
        for it in nodes
    )


class NodeRegistry:
    """Who lives: the lifetime locks, with the list of nodes where a lock tells nothing."""

    def __init__(self, store: NodeStore, folder: str, beats: BeatWatch | None = None) -> None:
        """``folder`` is where the locks stand; ``beats`` knows who stands still, None: nobody."""
        self._store = store
        self._folder = folder
        self._beats = beats

    def is_dead(self, node_id: str) -> bool:
        """Dead by its lock, or neither locked nor registered: a node that left in good order.

        What cannot be looked at is not proven dead; nor is one whose lock somebody removed: it
        makes that anew with its beat, unless its row is only a copy.
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
        """Strike dead nodes from the registry, and remove their locks."""
        self._store.strike_illegible_nodes()
        for node in self._store.list_nodes():
            if self.is_dead(node.id):
                self._store.remove_node(node.id)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(lock_path(self._folder, node.id))
