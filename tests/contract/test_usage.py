"""Usage in the store: one record for all processes, and what it does to runs that wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.errors import LeadershipLostError
from claude_tasks.domain.run import Reason, State, Trigger
from claude_tasks.domain.store_records import Finish, RunFilter, TurnedAway, UsageBlock
from claude_tasks.domain.tick import plan_ticks
from claude_tasks.domain.usage import Failure, Reading, UsageState, Window
from claude_tasks.operations.tasks import TaskOperations
from support.builders import ME, MINUTELY, add_task, completed, lead
from support.clock import START, FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.ports import Store
    from claude_tasks.domain.run import Run

MINUTE = 60_000
RESET = START + 60 * MINUTE
LOOK_AT = START + 15 * MINUTE
READING = Reading((Window("five_hour", 91.5, RESET), Window("seven_day", 3, None)), "cli", START)
FAILURE = Failure("usage_timeout", "nobody answered", START + 5, START + 30_005, 2)


def block(*, defers: bool = False) -> UsageBlock:
    return UsageBlock("usage: the 5-hour window is full", RESET, LOOK_AT, defers)


def fire(store: Store, *, at: int) -> Term:
    term = lead(store, at=at)
    store.record_ticks(
        term, [plan_ticks(t, at=at) for t in store.due_tasks(at=at, limit=99)], at=at
    )
    return term


def _of(task_id: int) -> RunFilter:
    return RunFilter(task_id=task_id)


def manual(store: Store, task_id: int) -> Run:
    return store.add_run(task_id, trigger=Trigger.MANUAL, assigned_to=None, at=START)


def test_the_last_good_answer_outlives_failures(store: Store) -> None:
    assert store.read_usage() == UsageState(None, None)
    store.record_failure(FAILURE)
    assert store.read_usage() == UsageState(None, FAILURE)
    store.record_reading(READING)
    assert store.read_usage() == UsageState(READING, None)
    store.record_failure(FAILURE)
    assert store.read_usage() == UsageState(READING, FAILURE)


def test_one_asks_for_all_until_its_time_is_up(
    store: Store, open_another: Callable[[], Store]
) -> None:
    other = open_another()
    assert store.begin_asking("a", at=START, until=START + 30_000)
    assert not other.begin_asking("b", at=START + 1, until=START + 30_001)
    assert other.begin_asking("b", at=START + 30_000, until=START + 60_000)
    other.record_failure(FAILURE)
    assert store.begin_asking("a", at=START + 30_001, until=START + 60_001)
    store.record_reading(READING)
    assert other.begin_asking("b", at=START + 30_002, until=START + 60_002)


def test_a_clock_set_back_leaves_nobody_asking_for_ever(store: Store) -> None:
    assert store.begin_asking("a", at=START + 10**9, until=START + 10**9 + 30_000)
    assert store.begin_asking("b", at=START, until=START + 30_000)


def test_news_of_usage_are_in_the_feed(store: Store) -> None:
    before = store.last_change()
    store.record_reading(READING)
    assert [change.topic for change in store.changes_since(before)] == ["usage"]


@pytest.mark.parametrize(
    ("rule", "defers", "state"),
    [
        (None, False, State.SKIPPED),
        (None, True, State.QUEUED),
        ("skip", True, State.SKIPPED),
        ("defer", False, State.QUEUED),
    ],
)
def test_a_full_window_skips_or_defers_by_the_tasks_rule(
    store: Store,
    rule: str | None,
    defers: bool,  # noqa: FBT001 (a parameter of the test)
    state: State,
) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY, on_usage_limit=rule)
    term = fire(store, at=START + MINUTE)
    at = START + MINUTE + 5
    turned = store.turn_away("node-a", term=term, block=block(defers=defers), at=at)
    [run] = store.list_runs(_of(task.id))
    assert (run.state, run.reason) == (state, Reason.USAGE_THRESHOLD)
    assert run.error is not None
    assert run.error.startswith("usage: the 5-hour window is full")
    if state is State.SKIPPED:
        assert (run.ended_at, run.skipped_count, turned) == (at, 1, TurnedAway(1, 0))
    else:
        assert "deferred until 2026-" in run.error
        assert (run.deferred_until, turned) == (RESET, TurnedAway(0, 1))
        # It is looked at again before, for usage may fall.
        assert store.next_start_at("node-a", leading=True, after=at) == run.not_before == LOOK_AT


def test_a_one_off_is_deferred_unless_its_owner_said_skip(store: Store) -> None:
    tasks = [
        add_task(store, at=START, scheduled_at=START, name=str(rule), on_usage_limit=rule)
        for rule in (None, "skip")
    ]
    term = fire(store, at=START)
    store.turn_away("node-a", term=term, block=block(), at=START)
    states = [store.list_runs(_of(task.id))[0].state for task in tasks]
    assert states == [State.QUEUED, State.SKIPPED]


def test_a_deferred_run_begins_clean_after_the_reset(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    manual(store, task.id)
    term = lead(store, at=START)
    store.turn_away("node-a", term=term, block=block(defers=True), at=START)
    claim: dict[str, Any] = {"term": term, "limit": 8, "per_node": False}
    assert store.claim_runs("node-a", at=LOOK_AT - 1, **claim) == []
    [claimed] = store.claim_runs("node-a", at=RESET, **claim)
    run = claimed.run
    assert (run.reason, run.error, run.deferred_until) == (None, None, None)


def test_what_has_begun_before_is_never_dropped(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY, on_usage_limit="skip", max_retries=1)
    run = manual(store, task.id)
    term = lead(store, at=START)
    store.claim_runs("node-a", term=term, limit=8, per_node=False, at=START)
    failed = completed(at=START, state=State.FAILED, reason=Reason.AGENT_ERROR, error="first try")
    store.requeue_run(run.id, claim=1, attempt=2, not_before=0, spent=failed, at=START)
    store.turn_away("node-a", term=term, block=block(), at=START)
    assert store.get_run(run.id).state is State.QUEUED


def test_a_leader_of_the_past_turns_nobody_away(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    run = manual(store, task.id)
    term = lead(store, at=START)
    lead(store, at=START, node_id="node-b")
    with pytest.raises(LeadershipLostError):
        store.turn_away("node-a", term=term, block=block(), at=START)
    assert store.get_run(run.id).state is State.QUEUED


def test_a_one_off_that_failed_its_preflight_gets_another_tick(store: Store) -> None:
    task = add_task(store, at=START, scheduled_at=START)
    term = fire(store, at=START)
    [claimed] = store.claim_runs("node-a", term=term, limit=8, per_node=False, at=START)
    refused = completed(at=START, state=State.FAILED, reason=Reason.PREFLIGHT, error="why")
    again = START + MINUTE
    store.finish_runs([Finish(claimed.run.id, 1, refused, "/log", rearm_at=again)], at=START)
    task = store.get_task(task.id)
    assert (task.spec.enabled, task.next_run_at, task.spec.scheduled_at) == (True, again, START)
    term = fire(store, at=again)
    states = [run.state for run in store.list_runs(_of(task.id))]
    assert states == [State.QUEUED, State.FAILED]
    assert not store.get_task(task.id).spec.enabled


def test_a_one_off_moved_meanwhile_keeps_its_new_time(store: Store) -> None:
    task = add_task(store, at=START, scheduled_at=START)
    term = fire(store, at=START)
    [claimed] = store.claim_runs("node-a", term=term, limit=8, per_node=False, at=START)
    later = START + 9 * MINUTE
    TaskOperations(store, FakeClock(), actor=ME).edit(task.id, {"scheduled_at": later})
    refused = completed(at=START, state=State.FAILED, reason=Reason.PREFLIGHT, error="why")
    finish = Finish(claimed.run.id, 1, refused, "/log", rearm_at=START + MINUTE)
    store.finish_runs([finish], at=START)
    assert store.get_task(task.id).next_run_at == later


def test_a_run_goes_on_once_in_its_session(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    run = manual(store, task.id)
    term = lead(store, at=START)
    store.claim_runs("node-a", term=term, limit=8, per_node=False, at=START)
    limited = completed(
        at=START, state=State.FAILED, reason=Reason.USAGE_LIMIT, session_id="s", error="limit"
    )
    store.requeue_run(
        run.id, claim=1, attempt=2, not_before=RESET, spent=limited, at=START, resumes=True
    )
    waiting = store.get_run(run.id)
    assert (waiting.state, waiting.reason, waiting.resumes) == (
        State.QUEUED, Reason.USAGE_LIMIT, 1,
    )  # fmt: skip
    assert waiting.session_id == "s"


def test_what_a_run_was_told_takes_the_place_of_what_is_older_only(store: Store) -> None:
    older, newer = READING._replace(at=START - 1), READING._replace(at=START + 1)
    store.record_reading(READING)
    assert not store.learn_reading(older, at=START + 2)
    assert store.read_usage().reading == READING
    assert store.learn_reading(newer, at=START + 2)
    assert store.read_usage().reading == newer
    # The clock was set back since: what is known was read in the future.
    assert store.learn_reading(older, at=START)
    assert store.read_usage().reading == older


def test_deferred_runs_can_be_looked_at_again_at_once(store: Store) -> None:
    tasks = [add_task(store, at=START, cron_expr=MINUTELY, name=name) for name in "ab"]
    runs = [manual(store, task.id) for task in tasks]
    term = lead(store, at=START)
    before = store.last_change()
    store.turn_away("node-a", term=term, block=block(defers=True), at=START)
    told = [change.ref for change in store.changes_since(before) if change.topic == "run"]
    assert told == [str(run.id) for run in runs]
    assert store.reconsider_deferred(task_id=tasks[0].id, at=START + 1) == 1
    assert [store.get_run(run.id).not_before for run in runs] == [START + 1, LOOK_AT]
    assert store.reconsider_deferred(at=START + 2) == 1
    assert store.reconsider_deferred(at=START + 3) == 0
    assert store.get_run(runs[1].id).deferred_until == RESET


def test_a_changed_rule_has_the_deferred_run_looked_at_again(
    store: Store, clock: FakeClock
) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY, on_usage_limit="defer")
    run = manual(store, task.id)
    term = lead(store, at=START)
    store.turn_away("node-a", term=term, block=block(), at=START)
    clock.advance(5)
    TaskOperations(store, clock, actor=ME).edit(task.id, {"on_usage_limit": "skip"})
    assert store.get_run(run.id).not_before == clock.now()
    store.turn_away("node-a", term=term, block=block(), at=clock.now())
    assert store.get_run(run.id).state is State.SKIPPED


def test_a_deferred_one_off_can_be_disabled(store: Store, clock: FakeClock) -> None:
    task = add_task(store, at=START, scheduled_at=START)
    term = fire(store, at=START)
    store.turn_away("node-a", term=term, block=block(), at=START)
    operations = TaskOperations(store, clock, actor=ME)
    disabled = operations.disable(task.id)
    [run] = store.list_runs(_of(task.id))
    assert (run.state, run.reason) == (State.SKIPPED, Reason.DISABLED)
    assert operations.disable(task.id).revision == disabled.revision  # nothing more to do


def test_what_waited_for_a_reset_waits_a_little_for_word_of_it(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    deferred, other = manual(store, task.id), None
    term = lead(store, at=START)
    store.turn_away("node-a", term=term, block=block(defers=True), at=START)
    task = add_task(store, at=START, cron_expr=MINUTELY)
    other = manual(store, task.id)
    rule: dict[str, Any] = {"term": term, "text": "nobody answered", "at": RESET}
    since, look_at = RESET - 60 * MINUTE, RESET + MINUTE
    assert store.postpone_deferred("node-a", since=since, look_at=look_at, **rule) == 1
    run = store.get_run(deferred.id)
    assert (run.not_before, run.error, run.state) == (look_at, "nobody answered", State.QUEUED)
    assert store.get_run(other.id).not_before < RESET
    rule["at"] = look_at
    assert store.postpone_deferred("node-a", since=RESET, look_at=look_at + 1, **rule) == 0


def test_the_list_tells_until_when_a_task_waits(store: Store) -> None:
    task = add_task(store, at=START, scheduled_at=START)
    term = fire(store, at=START)
    assert store.list_tasks()[0].deferred_until is None
    store.turn_away("node-a", term=term, block=block(), at=START)
    [summary] = store.list_tasks()
    assert (summary.task.id, summary.deferred_until) == (task.id, RESET)


def test_all_that_could_start_of_a_task_are_told_to_wait_at_once_and_keep_their_patience(
    store: Store,
) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY, overlap="queue")
    runs = [manual(store, task.id) for _ in range(4)]
    term = lead(store, at=START)
    turned = store.turn_away("node-a", term=term, block=block(defers=True), at=START)
    assert turned == TurnedAway(0, 4)
    rule: dict[str, Any] = {"term": term, "text": "nobody answered", "since": RESET - 60 * MINUTE}
    later = RESET + MINUTE
    assert store.postpone_deferred("node-a", look_at=later, at=RESET, **rule) == 4
    assert [store.get_run(run.id).not_before for run in runs] == [later] * 4
    assert store.claim_runs("node-a", term=term, limit=8, per_node=False, at=RESET) == []


def test_what_waits_behind_a_run_of_its_task_is_not_judged_yet(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY, overlap="queue")
    for _ in range(2):
        manual(store, task.id)
    term = lead(store, at=START)
    store.claim_runs("node-a", term=term, limit=8, per_node=False, at=START)
    assert store.turn_away("node-a", term=term, block=block(), at=START) == TurnedAway(0, 0)


def test_a_leader_of_the_past_postpones_nothing(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    manual(store, task.id)
    term = lead(store, at=START)
    store.turn_away("node-a", term=term, block=block(defers=True), at=START)
    lead(store, at=RESET, node_id="node-b")
    rule: dict[str, Any] = {"text": "nobody answered", "since": 0, "look_at": RESET + 1}
    with pytest.raises(LeadershipLostError):
        store.postpone_deferred("node-a", term=term, at=RESET, **rule)


def test_a_run_deferred_under_a_clock_that_was_wrong_is_looked_at(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    manual(store, task.id)
    term = lead(store, at=START)
    store.turn_away("node-a", term=term, block=block(defers=True), at=START)
    rule: dict[str, Any] = {"leading": True, "limit": 8, "per_node": False}
    assert not store.has_startable("node-a", at=START + 1, **rule)
    assert store.has_startable("node-a", at=START - 86_400_000, **rule)  # set right since


def test_a_run_that_waits_is_cancelled_with_words(store: Store) -> None:
    """Also where nothing was said of its earlier attempts."""
    task = add_task(store, at=START, cron_expr=MINUTELY, max_retries=1)
    run = manual(store, task.id)
    term = lead(store, at=START)
    store.claim_runs("node-a", term=term, limit=8, per_node=False, at=START)
    silent = completed(at=START, state=State.FAILED, reason=Reason.AGENT_ERROR, error=None)
    store.requeue_run(run.id, claim=1, attempt=2, not_before=0, spent=silent, at=START)
    store.request_cancel(run.id, at=START)
    assert store.get_run(run.id).error == "no further attempt: cancelled"


@pytest.mark.parametrize("how", ["restore", "toggle"])
def test_a_one_off_that_never_got_to_its_agent_survives_being_switched_off(
    store: Store, clock: FakeClock, how: str
) -> None:
    at = clock.now()
    task = add_task(store, at=at, scheduled_at=at)
    term = fire(store, at=at)
    [claimed] = store.claim_runs("node-a", term=term, limit=8, per_node=False, at=at)
    failed = completed(at=at, state=State.FAILED, reason=Reason.PREFLIGHT, error="no word")
    store.finish_runs([Finish(claimed.run.id, 1, failed, None, rearm_at=at + MINUTE)], at=at)
    operations = TaskOperations(store, clock, actor=ME)
    clock.advance(5)
    if how == "restore":
        operations.remove(task.id)
        operations.restore(task.id)
    else:
        operations.disable(task.id)
        operations.enable(task.id)
    due = store.get_task(task.id).next_run_at
    assert due == clock.now()
    fire(store, at=due)
    assert [run.state for run in store.list_runs(_of(task.id))] == [State.QUEUED, State.FAILED]
