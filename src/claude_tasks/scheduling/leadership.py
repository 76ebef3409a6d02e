"""The lease keeper: takes the lease when it may, renews it in time, and steps down on any doubt.

It has its own thread and connection. The other threads read from `Leadership` the term, or None
when this node must not act as leader. The package's docstring draws the states.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from claude_tasks.domain.errors import DatabaseGoneError, IllegibleError, StorageError
from claude_tasks.domain.lease import Observation, Takeover, Term, observe, takeover_ground
from claude_tasks.domain.node import Role
from claude_tasks.scheduling.complaint import Complaint
from claude_tasks.system.service_thread import ServiceThread

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.lease import Lease, LeaseTimes
    from claude_tasks.domain.node import Node
    from claude_tasks.domain.ports import Clock, LeaseStore
    from claude_tasks.scheduling.beats import BeatKeeper, BeatWatch
    from claude_tasks.scheduling.lifetime import NodeRegistry

log = logging.getLogger(__name__)

FOLLOWER_LOOK_SECONDS = 0.05
"""How often a follower looks at the lease; a look costs a read of shared memory and a ``flock``."""


class Leadership:
    """Whether this node leads: the keeper writes it, every other thread reads it.

    Each attribute is written by one thread, so no lock is needed. Trust ends at its time even while
    the keeper is busy.
    """

    def __init__(self, clock: Clock) -> None:
        """Begin as a follower."""
        self._clock = clock
        self._granted: tuple[Term, float] | None = None
        self._doubted: tuple[Term, float] | None = None
        self._on_doubt: Callable[[], None] = lambda: None

    def tell(self, on_doubt: Callable[[], None]) -> None:
        """Have ``on_doubt`` called by `doubt`."""
        self._on_doubt = on_doubt

    def term(self) -> Term | None:
        """The term this node may act in now, None while it follows or its trust has ended."""
        granted = self._granted
        if granted is None or granted is self._doubted or self._clock.monotonic() >= granted[1]:
            return None
        return granted[0]

    def granted(self) -> tuple[Term, float] | None:
        """The term held, even after its trust ended, and the monotonic time of that end."""
        return self._granted

    def grant(self, term: Term, *, until: float) -> None:
        """Lead, until a monotonic time."""
        self._granted = (term, until)

    def revoke(self) -> None:
        """Follow from now on."""
        self._granted = None

    def doubt(self) -> None:
        """A write was refused as of an old term: stop acting in it until the keeper renews it."""
        self._doubted = self._granted
        self._on_doubt()


class LeaseKeeper:
    """The candidate's and the leader's side of the lease, one `step` at a time.

    Only this actor uses ``store`` and ``registry``. ``beats``, on the same thread, tells whether
    the scheduling loop is stuck: then the leader stops renewing. ``watch`` is told of a holder
    whose lease ran out. ``notify`` is called after each change of leadership.
    """

    def __init__(
        self,
        *,
        store: LeaseStore,
        registry: NodeRegistry,
        node: Node,
        leadership: Leadership,
        clock: Clock,
        times: LeaseTimes,
        beats: BeatKeeper,
        watch: BeatWatch,
        notify: Callable[[], None] = lambda: None,
        yields: bool = False,
    ) -> None:
        """Begin as a follower that has seen nothing.

        With ``yields`` it leaves a free lease to living daemons and servers.
        """
        self._yields = yields
        self._store = store
        self._registry = registry
        self._node = node
        self._leadership = leadership
        self._clock = clock
        self._times = times
        self._beats = beats
        self._watch = watch
        self._notify = notify
        self._seen: Observation | None = None
        self._complaint = Complaint(log)

    def step(self) -> float:
        """Look, take or renew; returns the seconds to wait before the next step."""
        granted = self._leadership.granted()
        return self._follow() if granted is None else self._lead(*granted)

    def resign(self) -> None:
        """Free the lease, so that a follower takes over at once. Safe to repeat."""
        granted = self._leadership.granted()
        if granted is None:
            return
        term = granted[0]
        self._step_down(term, "released")
        try:
            self._store.release_lease(term, at=self._clock.now())
        except (DatabaseGoneError, StorageError) as error:
            log.warning("the lease of epoch %d could not be released: %s", term.epoch, error)

    def _follow(self) -> float:
        if self._beats.is_stuck():
            return self._short_wait  # a node that cannot schedule must not block the others
        try:
            lease = self._look()
            ground = self._ground(lease)
            leads = ground is not None and self._take(lease, ground)
        except StorageError as error:
            self._complain(f"cannot look at the lease: {error}")
            return self._short_wait
        self._complaint.settle()
        return self._times.renew if leads else FOLLOWER_LOOK_SECONDS

    def _look(self) -> Lease:
        """The lease as it is now; an unreadable row is repaired first."""
        try:
            return self._store.read_lease()
        except IllegibleError as error:
            lease = self._store.mend_lease(at=self._clock.now())
            log.warning("%s; it was set right, in epoch %d", error, lease.epoch)
            return lease

    def _ground(self, lease: Lease) -> Takeover | None:
        monotonic = self._clock.monotonic()
        self._seen = observe(self._seen, lease, monotonic=monotonic)
        if lease.holder == self._node.id:
            return Takeover.OWN
        dead = lease.holder is not None and self._registry.is_dead(lease.holder)
        ground = takeover_ground(lease, self._seen, monotonic=monotonic, holder_dead=dead)
        if ground is None or not self._yields or not self._others_stand():
            return ground
        # They take it soon; where they are stuck, it does not move for a ttl.
        return takeover_ground(lease, self._seen, monotonic=monotonic, waits=True)

    def _others_stand(self) -> bool:
        """Whether a living daemon or server may take the lease."""
        return any(
            node.scheduler and node.role in (Role.DAEMON, Role.SERVE) and node.id != self._node.id
            for node in self._registry.living()
        )

    def _take(self, lease: Lease, ground: Takeover) -> bool:
        asked = self._clock.monotonic()
        term = self._store.take_lease(
            lease, self._node, ttl_ms=self._times.ttl_ms, at=self._clock.now()
        )
        if term is None:
            return False  # another follower was faster
        if ground is Takeover.EXPIRED and lease.holder is not None:
            self._watch.condemn(lease.holder)
        self._trust(term, since=asked)
        log.info("leadership gained: epoch %d (%s)", term.epoch, ground)
        self._notify()
        return True

    def _lead(self, term: Term, trusted_until: float) -> float:
        asked = self._clock.monotonic()
        if asked >= trusted_until:
            self._step_down(term, "it could not be renewed in time")
            return 0.0
        if self._beats.is_stuck():
            self._complain("the scheduling loop makes no progress: the lease is not renewed")
            wait = self._short_wait
        else:
            wait = self._renew(term, asked)
        return min(wait, max(0.0, trusted_until - self._clock.monotonic()))

    def _renew(self, term: Term, asked: float) -> float:
        """Renew; the seconds to wait.

        After an error the trust runs out; another holder ends it at once.
        """
        try:
            stands = self._store.renew_lease(
                term, ttl_ms=self._times.ttl_ms, at=self._clock.now(), monotonic=asked
            )
        except StorageError as error:
            self._complain(f"the lease of epoch {term.epoch} was not renewed: {error}")
            return self._short_wait
        self._complaint.settle()
        if not stands:
            self._step_down(term, "the row of the lease says otherwise")
            return 0.0
        self._beats.moved()
        self._trust(term, since=asked)
        return self._times.renew

    def _complain(self, text: str) -> None:
        self._complaint.state(text, monotonic=self._clock.monotonic())

    def _trust(self, term: Term, *, since: float) -> None:
        self._leadership.grant(term, until=since + self._times.trust)

    def _step_down(self, term: Term, why: str) -> None:
        log.info("leadership lost: epoch %d: %s", term.epoch, why)
        self._leadership.revoke()
        self._seen = None
        self._notify()

    @property
    def _short_wait(self) -> float:
        """After a failure: sooner than the renewal interval, while trust lasts."""
        return self._times.renew / 5


class KeeperThread(ServiceThread):
    """Steps a `BeatKeeper`, and the `LeaseKeeper` of a node that may lead.

    It gives the lease back when it ends.
    """

    def __init__(
        self, beats: BeatKeeper, lease: LeaseKeeper | None, *, close: Callable[[], None]
    ) -> None:
        """``close`` closes the keepers' connection when the thread ends."""
        super().__init__("lease keeper")
        self._woken = threading.Event()
        self._steps = [beats.step] if lease is None else [lease.step, beats.step]
        self._lease = lease
        self._close = close

    def run(self) -> None:
        """Do each step when it is due, and all of them when woken."""
        due = [time.monotonic()] * len(self._steps)
        while not self.stopping.is_set():
            woken = self._woken.wait(max(0.0, min(due) - time.monotonic()))
            self._woken.clear()
            if self.stopping.is_set():
                return  # one more step may wait for the database and delay resigning
            for place, step in enumerate(self._steps):
                if woken or time.monotonic() >= due[place]:
                    due[place] = time.monotonic() + step()

    def wake(self) -> None:
        """Make the thread take its steps now."""
        self._woken.set()

    def interrupt(self) -> None:
        """End the wait between two steps."""
        self.wake()

    def finish(self) -> None:
        """Resign, and close the database."""
        if self._lease is not None:
            self._lease.resign()
        self._close()
