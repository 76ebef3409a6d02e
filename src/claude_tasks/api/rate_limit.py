"""How often a client may try: token buckets on a monotonic clock, and what counts as a guess.

A wrong token counts as a guess only the first time it comes from an address. A forgotten script
that keeps sending an old token has its own bucket, and does not use up the guesses of others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Key = TypeVar("Key", str, tuple[str, bytes])

GUESSES = 10
SECONDS_PER_GUESS = 6.0
REPEATS = 20
SECONDS_PER_REPEAT = 1.0
_ADDRESSES = 1024
_BAD_TOKENS = 4096
_ROUNDING = 1e-9
"""Seconds; a wait this short comes from adding floats, not from a bucket that is empty."""


class RateLimit(Generic[Key]):
    """A bucket for each key: ``burst`` at once, then one every ``interval`` seconds.

    Kept as one number a key, the time at which its bucket is full again: the Generic Cell Rate
    Algorithm, virtual scheduling form, of ITU-T I.371 annex A. Of more than ``keys`` keys the one
    that took longest ago is forgotten, and so has a full bucket.
    """

    def __init__(
        self, *, burst: int, interval: float, keys: int, monotonic: Callable[[], float]
    ) -> None:
        """``monotonic`` gives seconds."""
        self._interval = interval
        self._slack = (burst - 1) * interval
        self._keys = keys
        self._monotonic = monotonic
        self._full_at: dict[Key, float] = {}

    def __contains__(self, key: Key) -> bool:
        """Whether ``key`` ever took, as far as is remembered."""
        return key in self._full_at

    def wait(self, key: Key) -> float:
        """Seconds until ``key`` may take, 0 for now. Takes nothing."""
        full_at = self._full_at.get(key)
        if full_at is None:
            return 0.0
        wait = full_at - self._slack - self._monotonic()
        return wait if wait > _ROUNDING else 0.0

    def take(self, key: Key) -> float:
        """Take one: 0. With none left, seconds until there is one; asking costs nothing."""
        wait = self.wait(key)
        if wait:
            return wait
        now = self._monotonic()
        full_at = self._full_at.pop(key, now)
        self._full_at[key] = max(full_at, now) + self._interval
        if len(self._full_at) > self._keys:
            del self._full_at[next(iter(self._full_at))]
        return 0.0


class FailedAttempts:
    """Who sent wrong tokens, by address. Keeps digests, no tokens."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Begin without attempts."""
        self._guesses: RateLimit[str] = RateLimit(
            burst=GUESSES, interval=SECONDS_PER_GUESS, keys=_ADDRESSES, monotonic=monotonic
        )
        self._repeats: RateLimit[tuple[str, bytes]] = RateLimit(
            burst=REPEATS, interval=SECONDS_PER_REPEAT, keys=_BAD_TOKENS, monotonic=monotonic
        )

    def failed(self, address: str, digest: bytes) -> float:
        """A wrong token came; 0, or the seconds to wait where that came too often."""
        bad_token = (address, digest)
        if bad_token not in self._repeats:
            wait = self._guesses.take(address)
            if wait:
                return wait  # and not remembered: a flood of guesses fills no memory
        return self._repeats.take(bad_token)
