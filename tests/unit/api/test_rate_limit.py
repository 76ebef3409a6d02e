"""Token buckets on a clock of their own, and what counts as a guess."""

from __future__ import annotations

import pytest

from claude_tasks.api.rate_limit import GUESSES, REPEATS, FailedAttempts, RateLimit


class Seconds:
    """A monotonic clock that goes when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


def _limit(seconds: Seconds, *, keys: int = 100) -> RateLimit[str]:
    return RateLimit(burst=3, interval=2.0, keys=keys, monotonic=seconds)


def test_a_burst_is_let_through_and_then_one_every_interval(seconds: Seconds) -> None:
    limit = _limit(seconds)
    assert [limit.take("a") for _ in range(4)] == [0, 0, 0, pytest.approx(2.0)]
    seconds.now += 1.5
    assert limit.take("a") == pytest.approx(0.5)
    seconds.now += 0.5
    assert limit.take("a") == 0
    assert limit.take("a") == pytest.approx(2.0)


def test_a_refused_try_costs_nothing(seconds: Seconds) -> None:
    limit = _limit(seconds)
    for _ in range(1000):
        limit.take("a")
    seconds.now += 2
    assert limit.take("a") == 0


def test_a_bucket_holds_no_more_than_its_burst(seconds: Seconds) -> None:
    limit = _limit(seconds)
    limit.take("a")
    seconds.now += 1_000_000
    assert [limit.take("a") > 0 for _ in range(4)] == [False, False, False, True]


def test_waiting_exactly_as_long_as_told_is_enough(seconds: Seconds) -> None:
    seconds.now = 0.1
    limit: RateLimit[str] = RateLimit(burst=1, interval=0.1, keys=9, monotonic=seconds)
    for _ in range(1000):
        assert limit.take("a") == 0
        seconds.now += limit.wait("a")


def test_keys_do_not_share_and_looking_takes_nothing(seconds: Seconds) -> None:
    limit = _limit(seconds)
    for _ in range(3):
        limit.take("a")
    assert limit.wait("a") == pytest.approx(2.0)
    assert limit.wait("b") == 0
    assert "b" not in limit
    assert limit.take("b") == 0
    assert "b" in limit


def test_of_too_many_keys_the_one_that_took_longest_ago_is_forgotten(seconds: Seconds) -> None:
    limit = _limit(seconds, keys=2)
    for key in ("a", "b", "a", "c"):
        limit.take(key)
    assert [key in limit for key in "abc"] == [True, False, True]


def _guess(attempts: FailedAttempts, address: str, number: int) -> float:
    return attempts.failed(address, b"%d" % number)


def test_guesses_run_out_and_come_back_one_every_six_seconds(seconds: Seconds) -> None:
    attempts = FailedAttempts(seconds)
    assert [_guess(attempts, "a", number) for number in range(GUESSES)] == [0] * GUESSES
    assert _guess(attempts, "a", 99) == pytest.approx(6.0)
    assert _guess(attempts, "b", 99) == 0
    seconds.now += 6
    assert _guess(attempts, "a", 99) == 0
    assert _guess(attempts, "a", 100) == pytest.approx(6.0)


def test_the_same_wrong_token_is_one_guess_and_is_slowed_down_by_itself(seconds: Seconds) -> None:
    attempts = FailedAttempts(seconds)
    assert [attempts.failed("a", b"old") for _ in range(REPEATS)] == [0] * REPEATS
    assert attempts.failed("a", b"old") == pytest.approx(1.0)
    assert [_guess(attempts, "a", number) for number in range(GUESSES - 1)] == [0] * (GUESSES - 1)
    seconds.now += 1
    assert attempts.failed("a", b"old") == 0


def test_a_flood_of_addresses_and_tokens_fills_no_memory(seconds: Seconds) -> None:
    attempts = FailedAttempts(seconds)
    for number in range(6000):
        attempts.failed(f"address {number}", b"x")
        attempts.failed("one address", b"%d" % number)
    assert len(attempts._guesses._full_at) == 1024
    assert len(attempts._repeats._full_at) == 4096
    assert ("one address", b"5999") not in attempts._repeats
