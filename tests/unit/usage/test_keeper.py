"""The keeper over a real store: who is asked, when again, and what is recorded."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.errors import StorageBusyError, UsageUnavailableError
from claude_tasks.domain.usage import FRESH_MS, Failure, Reading, UsageState, Window
from claude_tasks.usage.keeper import ASKING_SECONDS, UsageKeeper, UsageThread, ask_now
from support.clock import START, FakeClock
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.ports import Store

WINDOWS = (Window("five_hour", 10, None), Window("seven_day", 20, None))
RATE_LIMITED = UsageUnavailableError("too many requests", code="usage_rate_limited")
LOGGED_OUT = UsageUnavailableError("no credentials", code="no_credentials", hint="log in")


class Source:
    """Answers as told: with a reading, or an error."""

    def __init__(self, name: str, answer: BaseException | None = None) -> None:
        self.name = name
        self.answer = answer
        self.asked: list[int] = []
        self.while_asked: Callable[[], None] = lambda: None

    def ask(self, *, at: int) -> Reading:
        self.asked.append(at)
        self.while_asked()
        if self.answer is not None:
            raise self.answer
        return Reading(WINDOWS, self.name, at)


class Agent(Source):
    """A source that starts a process: it can be cancelled."""

    cancelled = 0

    def cancel(self) -> None:
        self.cancelled += 1


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keeper_of(store: Store, clock: FakeClock) -> Callable[..., UsageKeeper]:
    def made(*sources: Source, node: str = "a", clock: FakeClock = clock) -> UsageKeeper:
        return UsageKeeper(store=store, sources=sources, clock=clock, node_id=node)

    return made


def failure_in(store: Store) -> Failure:
    failure = store.read_usage().failure
    assert failure is not None
    return failure


def test_the_first_source_that_answers_is_recorded(
    keeper_of: Callable[..., UsageKeeper], store: Store
) -> None:
    first, second, third = Source("cli", RATE_LIMITED), Source("oauth"), Source("never")
    assert keeper_of(first, second, third).step()
    assert store.read_usage() == UsageState(Reading(WINDOWS, "oauth", START), None)
    assert [len(source.asked) for source in (first, second, third)] == [1, 1, 0]


def test_sources_are_asked_in_their_order(
    keeper_of: Callable[..., UsageKeeper], store: Store
) -> None:
    first, second = Source("cli"), Source("oauth")
    keeper_of(first, second).step()
    assert (len(first.asked), len(second.asked)) == (1, 0)
    reading = store.read_usage().reading
    assert reading is not None
    assert reading.source == "cli"


def test_an_answer_is_as_old_as_its_arrival(
    keeper_of: Callable[..., UsageKeeper], store: Store, clock: FakeClock
) -> None:
    slow = Source("cli")
    slow.while_asked = lambda: clock.advance(7)
    keeper_of(slow).step()
    assert store.read_usage().reading == Reading(WINDOWS, "cli", START + 7_000)


def test_nobody_is_asked_while_the_answer_is_fresh(
    keeper_of: Callable[..., UsageKeeper], store: Store, clock: FakeClock
) -> None:
    source = Source("cli")
    keeper = keeper_of(source)
    keeper.step()
    clock.advance(FRESH_MS / 1000 - 0.001)
    assert keeper.step()
    assert len(source.asked) == 1
    clock.advance(0.001)
    assert keeper.step()
    assert len(source.asked) == 2
    assert store.read_usage().reading == Reading(WINDOWS, "cli", START + FRESH_MS)


def test_news_is_told_also_where_another_found_it(
    keeper_of: Callable[..., UsageKeeper],
) -> None:
    told: list[str] = []
    for node in ("a", "b"):
        keeper = keeper_of(Source("cli"), node=node)
        keeper.notify = lambda node=node: told.append(node)  # type: ignore[misc]
        keeper.step()
    assert told == ["a", "b"]


def test_one_asks_while_the_other_waits(
    keeper_of: Callable[..., UsageKeeper], store: Store
) -> None:
    others = Source("cli")
    other = keeper_of(others, node="b")
    source = Source("cli")
    waited: list[bool] = []
    source.while_asked = lambda: waited.append(other.step())
    assert keeper_of(source).step()
    assert waited == [False]
    assert other.step()
    assert others.asked == []
    assert store.read_usage().reading == Reading(WINDOWS, "cli", START)


def test_of_two_turns_at_nearly_the_same_time_the_first_to_be_served_counts(
    keeper_of: Callable[..., UsageKeeper],
) -> None:
    others = Source("cli")
    # It looked at the clock before us, and comes to the database after us.
    other = keeper_of(others, node="b", clock=FakeClock(START - 50))
    source = Source("cli")
    waited: list[bool] = []
    source.while_asked = lambda: waited.append(other.step())
    keeper_of(source).step()
    assert waited == [False]
    assert others.asked == []


def test_who_answered_between_look_and_turn_is_believed(
    keeper_of: Callable[..., UsageKeeper], store: Store, clock: FakeClock
) -> None:
    class Late:
        """The store as one sees it whose turn comes late."""

        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        def begin_asking(self, node_id: str, *, at: int, until: int) -> bool:
            if store.read_usage().reading is None:
                keeper_of(Source("other"), node="b").step()
            return store.begin_asking(node_id, at=at, until=until)

    source = Source("cli")
    late = UsageKeeper(store=Late(), sources=[source], clock=clock, node_id="a")  # type: ignore[arg-type]
    assert late.step()
    assert source.asked == []
    assert store.read_usage().reading == Reading(WINDOWS, "other", START)
    # Its turn is given back: whoever wants to know when that is old does not wait for it.
    assert store.begin_asking("c", at=START, until=START + 60_000)


def test_a_dead_asker_is_waited_for_no_longer_than_its_turn(
    keeper_of: Callable[..., UsageKeeper], store: Store, clock: FakeClock
) -> None:
    dead = Source("cli", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        keeper_of(dead).step()
    assert keeper_of(Source("cli"), node="b").step()  # it could still say so
    clock.advance(FRESH_MS / 1000)
    assert store.begin_asking("killed", at=clock.now(), until=clock.now() + 30_000)
    source = Source("cli")
    keeper = keeper_of(source, node="b")
    assert not keeper.step()
    clock.advance(ASKING_SECONDS)
    assert keeper.step()
    assert len(source.asked) == 1


def waits(keeper: UsageKeeper, store: Store, clock: FakeClock, times: int) -> list[float]:
    """Seconds until the next try, for so many failures in a row."""
    found = []
    for _ in range(times):
        keeper.step()
        failure = failure_in(store)
        found.append((failure.retry_at - failure.at) / 1000)
        clock.set_wall(failure.retry_at)
    return found


@pytest.mark.parametrize(
    "code",
    ["usage_rate_limited", "usage_http", "usage_timeout", "usage_unreachable", "usage_garbage"],
)
def test_trouble_elsewhere_is_asked_about_more_and_more_rarely(
    keeper_of: Callable[..., UsageKeeper], store: Store, clock: FakeClock, code: str
) -> None:
    source = Source("oauth", UsageUnavailableError("trouble", code=code))
    keeper = keeper_of(source)
    assert waits(keeper, store, clock, 7) == [30, 60, 120, 240, 480, 900, 900]
    assert failure_in(store).repeated == 7
    source.answer = None
    keeper.step()
    assert store.read_usage().failure is None
    clock.advance(FRESH_MS / 1000)
    source.answer = RATE_LIMITED
    assert waits(keeper, store, clock, 2) == [30, 60]  # a success begins anew


def test_nobody_is_asked_before_the_time(
    keeper_of: Callable[..., UsageKeeper], clock: FakeClock
) -> None:
    source = Source("oauth", RATE_LIMITED)
    keeper = keeper_of(source)
    keeper.step()
    clock.advance(29.999)
    assert keeper.step()
    assert len(source.asked) == 1
    clock.advance(0.001)
    keeper.step()
    assert len(source.asked) == 2


@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [
        (None, [30, 60, 120]),
        (0, [30, 60, 120]),
        (45, [45, 60, 120]),
        (3600, [3600, 3600, 3600]),
        (90_000, [3600, 3600, 3600]),
        (1e300, [3600, 3600, 3600]),
    ],
)
def test_a_wait_that_was_asked_for_counts_where_it_is_longer(
    keeper_of: Callable[..., UsageKeeper],
    store: Store,
    clock: FakeClock,
    retry_after: float | None,
    expected: list[float],
) -> None:
    error = UsageUnavailableError("slow down", code="usage_http", retry_after=retry_after)
    assert waits(keeper_of(Source("oauth", error)), store, clock, 3) == expected


@pytest.mark.parametrize(
    "code",
    ["no_credentials", "credentials_expired", "credentials_unreadable", "usage_bad_token",
     "usage_no_agent"],
)  # fmt: skip
def test_a_login_counts_a_second_later(
    keeper_of: Callable[..., UsageKeeper], store: Store, clock: FakeClock, code: str
) -> None:
    source = Source("oauth", UsageUnavailableError("logged out", code=code))
    keeper = keeper_of(source)
    assert waits(keeper, store, clock, 30) == [1] * 30
    source.answer = None
    assert keeper.step()
    assert store.read_usage() == UsageState(Reading(WINDOWS, "oauth", START + 30_000), None)


def test_a_token_that_is_refused_is_tried_again_every_half_minute(
    keeper_of: Callable[..., UsageKeeper], store: Store, clock: FakeClock
) -> None:
    refused = UsageUnavailableError("refused (401)", code="usage_unauthorized")
    assert waits(keeper_of(Source("oauth", refused)), store, clock, 5) == [30] * 5


def test_a_long_time_without_a_login_says_nothing_of_the_service(
    keeper_of: Callable[..., UsageKeeper], store: Store, clock: FakeClock
) -> None:
    source = Source("oauth", LOGGED_OUT)
    keeper = keeper_of(source)
    waits(keeper, store, clock, 20)
    source.answer = RATE_LIMITED
    assert waits(keeper, store, clock, 2) == [30, 60]


def test_without_a_login_a_process_is_started_for_every_tenth_look_only(
    keeper_of: Callable[..., UsageKeeper], store: Store, clock: FakeClock
) -> None:
    agent, oauth = Agent("cli", LOGGED_OUT), Source("oauth", LOGGED_OUT)
    waits(keeper_of(agent, oauth), store, clock, 30)
    assert len(oauth.asked) == 30
    assert [at - START for at in agent.asked] == [0, 10_000, 20_000]


def test_a_single_look_at_a_missing_login_asks_everybody(
    keeper_of: Callable[..., UsageKeeper], clock: FakeClock
) -> None:
    agent, oauth = Agent("cli", LOGGED_OUT), Source("oauth", LOGGED_OUT)
    keeper = keeper_of(agent, oauth)
    for _ in range(3):
        keeper.step()
        clock.advance(5)
    assert len(agent.asked) == 3


def test_a_process_is_asked_at_once_where_the_service_was_the_trouble(
    keeper_of: Callable[..., UsageKeeper], store: Store, clock: FakeClock
) -> None:
    agent, oauth = Agent("cli", LOGGED_OUT), Source("oauth", RATE_LIMITED)
    waits(keeper_of(agent, oauth), store, clock, 3)
    assert len(agent.asked) == 3


def test_the_reason_that_counts_leads_and_tells_what_helps(
    keeper_of: Callable[..., UsageKeeper], store: Store
) -> None:
    agent = Source("cli", UsageUnavailableError("no answer", code="usage_timeout", hint="wait"))
    keeper_of(agent, Source("oauth", LOGGED_OUT)).step()
    assert failure_in(store) == Failure(
        "no_credentials", "no credentials (cli: no answer); log in", START, START + 1_000, 1
    )


MISSING = UsageUnavailableError("claude was not found", code="usage_no_agent", hint="install it")


@pytest.mark.parametrize(
    ("service", "leads"),
    [
        (LOGGED_OUT, "claude was not found; install it"),
        (RATE_LIMITED, "too many requests (cli: claude was not found)"),
    ],
)
def test_a_missing_agent_leads_where_a_login_would_not_help_without_it(
    keeper_of: Callable[..., UsageKeeper],
    store: Store,
    service: UsageUnavailableError,
    leads: str,
) -> None:
    keeper_of(Agent("cli", MISSING), Source("oauth", service)).step()
    assert failure_in(store).message == leads


def test_an_agent_that_was_installed_counts_a_second_later(
    keeper_of: Callable[..., UsageKeeper], store: Store, clock: FakeClock
) -> None:
    agent = Agent("cli", MISSING)
    keeper = keeper_of(agent, Source("oauth", LOGGED_OUT))
    assert waits(keeper, store, clock, 5) == [1] * 5
    agent.answer = None
    assert keeper.step()
    assert store.read_usage().failure is None


def test_the_last_good_answer_outlives_a_failure(
    keeper_of: Callable[..., UsageKeeper], store: Store, clock: FakeClock
) -> None:
    source = Source("oauth")
    keeper = keeper_of(source)
    keeper.step()
    clock.advance(61)
    source.answer = RATE_LIMITED
    keeper.step()
    assert store.read_usage().reading == Reading(WINDOWS, "oauth", START)
    assert failure_in(store).at == START + 61_000


@pytest.mark.parametrize(
    "error", [ValueError("sk-secret"), RecursionError(), MemoryError(), AssertionError()]
)
def test_whatever_a_source_does_is_a_failure_with_a_name(
    keeper_of: Callable[..., UsageKeeper],
    store: Store,
    error: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert keeper_of(Source("odd", error)).step()
    failure = failure_in(store)
    assert failure.code == "usage_error"
    assert f"the usage source odd failed: {type(error).__name__}" in failure.message
    assert "sk-secret" not in failure.message
    assert failure.retry_at == START + 30_000
    [record] = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert record.exc_info is not None


def test_after_a_source_that_breaks_the_next_is_asked(
    keeper_of: Callable[..., UsageKeeper], store: Store
) -> None:
    keeper_of(Source("odd", ZeroDivisionError()), Source("oauth")).step()
    assert store.read_usage() == UsageState(Reading(WINDOWS, "oauth", START), None)


def test_without_any_source_that_is_said(
    keeper_of: Callable[..., UsageKeeper], store: Store
) -> None:
    keeper_of().step()
    assert failure_in(store).code == "no_source"


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_whoever_is_told_to_end_does_and_keeps_nobody_waiting(
    keeper_of: Callable[..., UsageKeeper], store: Store, ending: type[BaseException]
) -> None:
    with pytest.raises(ending):
        keeper_of(Source("cli", ending())).step()
    assert store.read_usage() == UsageState(None, None)
    assert store.begin_asking("b", at=START, until=START + 30_000)


def test_stopping_is_no_news_of_usage(keeper_of: Callable[..., UsageKeeper], store: Store) -> None:
    agent, oauth = Agent("cli", RATE_LIMITED), Source("oauth")
    keeper = keeper_of(agent, oauth)
    agent.while_asked = keeper.cancel
    keeper.step()
    assert agent.cancelled == 1
    assert oauth.asked == []
    assert store.read_usage() == UsageState(None, None)
    assert store.begin_asking("b", at=START, until=START + 30_000)


def test_asking_now_waits_for_another_and_ends(
    keeper_of: Callable[..., UsageKeeper], store: Store, clock: FakeClock
) -> None:
    assert store.begin_asking("b", at=START, until=START + 30_000)
    source = Source("cli")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(seconds)

    ask_now(keeper_of(source), sleep=sleep)
    assert sum(slept) == pytest.approx(ASKING_SECONDS)
    assert len(source.asked) == 1


@pytest.fixture
def thread_of(
    keeper_of: Callable[..., UsageKeeper],
) -> Callable[..., UsageThread]:
    def made(*sources: Source) -> UsageThread:
        return UsageThread(keeper_of(*sources), close=lambda: None)

    return made


def test_a_thread_asks_when_wanted_tells_and_ends(
    thread_of: Callable[..., UsageThread], store: Store
) -> None:
    news = threading.Event()
    thread = thread_of(Source("cli"))
    thread.tell(news.set)
    thread.start()
    thread.want()
    assert news.wait(20)
    thread.stop()
    thread.stop()
    assert thread.failure is None
    assert store.read_usage().reading == Reading(WINDOWS, "cli", START)


def test_stopping_a_thread_ends_who_is_asked(
    thread_of: Callable[..., UsageThread], store: Store
) -> None:
    agent = Agent("cli", RATE_LIMITED)
    asked, ended = threading.Event(), threading.Event()

    def hang() -> None:
        asked.set()
        assert ended.wait(20)

    agent.while_asked = hang
    agent.cancel = ended.set  # type: ignore[method-assign]
    thread = thread_of(agent)
    thread.start()
    thread.want()
    assert asked.wait(20)
    thread.stop()
    assert ended.is_set()
    wait_until(lambda: not thread._thread.is_alive(), what="the thread ended")
    assert thread.failure is None
    assert store.read_usage() == UsageState(None, None)


def test_a_busy_store_ends_no_thread(clock: FakeClock, store: Store) -> None:
    class Busy:
        """A store that is busy once."""

        refused = False

        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        def record_reading(self, reading: Reading) -> None:
            if not self.refused:
                self.refused = True
                raise StorageBusyError("busy")
            store.record_reading(reading)

    busy = Busy()
    news = threading.Event()
    keeper = UsageKeeper(store=busy, sources=[Source("cli")], clock=clock, node_id="a")  # type: ignore[arg-type]
    thread = UsageThread(keeper, close=lambda: None)
    thread.tell(news.set)
    thread.start()
    thread.want()
    assert news.wait(20)
    thread.stop()
    assert busy.refused
    assert thread.failure is None
    assert store.read_usage().reading == Reading(WINDOWS, "cli", START)
