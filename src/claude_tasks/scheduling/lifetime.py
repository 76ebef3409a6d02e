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
        """Be alive. Errors: `StorageError` when the lock file cannot be made."""
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StorageError(f"{self._path}: {error.strerror}") from error

    def keep(self) -> None:
        """Be alive again for all who look, where somebody removed the file. Errors: `StorageError`.

        Never the data folder itself: once that is gone there is nobody left to look.
        """
        try:
            held, found = os.fstat(self._descriptor), os.stat(self._path)
            if (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino):
                return
        except FileNotFoundError:
            with contextlib.suppress(OSError):  # making the lock says what is wrong
                os.mkdir(os.path.dirname(self._path), 0o700)
        except OSError:  # not to be seen just now
            return
        removed = self._descriptor
        self.acquire()
        os.close(removed)

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
    try:
        # For reading: a lock asks no more (flock(2)), and a look has to do on a read-only disk.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe would keep who opens it
        descriptor = os.open(lock_path(folder, node_id), flags)
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
        return Sign.DEAD
    finally:
        os.close(descriptor)


def _may_be_running(node: Node, nodes: list[Node]) -> bool:
    """Whether a process of its number may be the node: as far as this machine can tell."""
    now = time.monotonic()
    if node.silent_ms(monotonic=now) is not None and any(
        (it.host, it.pid) == (node.host, node.pid) and it.silent_ms(monotonic=now) is None
        for it in nodes
    ):
        return False  # it goes by another id, or its number was given away
    if node.host != os.uname().nodename:
        return True
    try:
        os.kill(node.pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # of another user; a number that no process has
        return True
    return True


class NodeRegistry:
    """Who lives: the lifetime locks, with the list of nodes where a lock tells nothing."""

    def __init__(self, store: NodeStore, folder: str, beats: BeatWatch | None = None) -> None:
        """``folder`` is where the locks stand; ``beats`` knows who stands still, None: nobody."""
        self._store = store
        self._folder = folder
        self._beats = beats

    def is_dead(self, node_id: str) -> bool:
        """Dead by its lock, or neither locked nor registered: a node that left in good order.

        What cannot be looked at is not proven dead. Where somebody removed the lock of one that is
        registered, it makes that anew with its beat; it is dead where its process is no more, or
        is another node by now.
        """
        sign = probe(self._folder, node_id)
        if sign is not Sign.NONE:
            return sign is Sign.DEAD
        nodes = self._store.list_nodes()
        node = next((node for node in nodes if node.id == node_id), None)
        return node is None or not _may_be_running(node, nodes)

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
