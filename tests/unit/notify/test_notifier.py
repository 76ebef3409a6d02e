"""The notifier over a real store and a real inbox: told once, tried again, given up visibly."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.errors import StorageError
from claude_tasks.domain.notification import DeliveryState, NewDelivery
from claude_tasks.domain.run import Reason, State, Trigger
from claude_tasks.domain.store_records import Finish, RunFilter
from claude_tasks.domain.task_fields import ADDRESS_FIELDS
from claude_tasks.notify.flights import MOST
from claude_tasks.notify.heartbeat import Heartbeat
from claude_tasks.notify.notifier import Defaults, Notifier
from claude_tasks.operations.tasks import TaskOperations
from claude_tasks.scheduling.ticker import Ticker
from support.builders import ME, MINUTELY, add_task, completed, lead
from support.clock import START
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from claude_tasks.domain.ports import Store
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.task import Task
    from support.clock import FakeClock
    from support.inbox import Inbox


class World:
    def __init__(self, store: Store, clock: FakeClock, inbox: Inbox) -> None:
        self.store, self.clock, self.inbox = store, clock, inbox
        self.term = lead(store, at=clock.now())
        self.leads = self.healthy = True

    def notifier(self, **fields: Any) -> Notifier:
        channels = ADDRESS_FIELDS.values()
        addresses = {name: fields[name] for name in channels if fields.get(name)}
        beats = fields.get("heartbeat_url")
        return Notifier(
            store=self.store,
            clock=self.clock,
            defaults=Defaults("failure", addresses, None, overdue_after_ms=300_000),
            acts=lambda: self.leads,
            heartbeat=beats
            and Heartbeat(
                beats,
                interval=60.0,
                healthy=lambda: self.leads and self.healthy,
                clock=self.clock,
            ),
            host="here",
            version="1",
        )

    def task(self, **fields: Any) -> Task:
        return add_task(
            self.store, at=self.clock.now(), cron_expr="0 3 1 1 *",
            webhook_url=self.inbox.url("/hook"), **fields,
        )  # fmt: skip

    def begun(self, task: Task) -> Run:
        at = self.clock.now()
        self.store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to=None, at=at)
        [claimed] = self.store.claim_runs("node-a", term=self.term, limit=99, per_node=False, at=at)
        return claimed.run

    def end(self, run: Run, state: State, reason: Reason | None = None, **more: Any) -> Run:
        at = self.clock.now()
        outcome = completed(at=at, state=state, reason=reason, **more)
        self.store.finish_runs([Finish(run.id, run.claim, outcome, "/log")], at=at)
        return self.store.get_run(run.id)

    def ended(self, task: Task, state: State, reason: Reason | None = None, **more: Any) -> Run:
        return self.end(self.begun(task), state, reason, **more)


def step(notifier: Notifier) -> None:
    """Do what is due, and all that follows at once."""
    notifier.step()
    while notifier.busy:
        notifier.wait(0.05)
        notifier.step()


@pytest.fixture
def world(store: Store, clock: FakeClock, inbox: Inbox) -> World:
    return World(store, clock, inbox)


def test_a_failure_is_told_once_with_all_that_is_known(world: World) -> None:
    notifier = world.notifier()
    run = world.ended(world.task(), State.FAILED, Reason.EXIT, error="broke", exit_code=3)
    for _ in range(3):
        step(notifier)
        world.clock.advance(120)
    [(path, told)] = world.inbox.got
    assert path == "/hook"
    assert str(run.id) in json.dumps(told)
    assert "broke" in json.dumps(told)
    [record] = world.store.deliveries_of(run.id)
    assert (record.state, record.attempts, record.event) == (DeliveryState.SENT, 1, "failed")


def test_success_is_told_only_to_whoever_wants_all(world: World) -> None:
    world.ended(world.task(), State.COMPLETED)
    world.ended(world.task(notify_on="always"), State.COMPLETED)
    step(world.notifier())
    assert len(world.inbox.got) == 1


def test_change_tells_of_the_first_failure_and_of_the_recovery(world: World) -> None:
    task = world.task(notify_on="change")
    notifier = world.notifier()
    told = []
    for state in (State.COMPLETED, State.FAILED, State.FAILED, State.COMPLETED, State.COMPLETED):
        run = world.ended(task, state, Reason.EXIT if state is State.FAILED else None)
        step(notifier)
        told.append([record.event for record in world.store.deliveries_of(run.id)])
    assert told == [[], ["started_failing"], [], ["recovered"], []]


def test_preflight_failures_and_skips_by_usage_are_failures(world: World) -> None:
    world.ended(world.task(), State.FAILED, Reason.PREFLIGHT, error="no credentials")
    step(world.notifier())
    assert len(world.inbox.got) == 1


def test_a_skip_by_the_overlap_rule_is_told_as_a_failure_but_is_no_change(world: World) -> None:
    at = world.clock.now()
    for task in (world.task(), world.task(notify_on="change")):
        world.store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to=None, at=at)
        second = world.store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to=None, at=at)
        assert second.reason is Reason.OVERLAP
    step(world.notifier())
    [(_, told)] = world.inbox.got
    assert told["event"] == "skipped"
    assert world.store.unannounced(limit=9) == []


def test_a_channel_in_trouble_keeps_no_message_from_another(world: World) -> None:
    """And is left alone for a while, so that its messages do not use up their attempts."""
    world.inbox.statuses["/broken"] = 503
    broken = world.inbox.url("/broken")
    for _ in range(9):
        world.ended(world.task(slack_webhook=broken), State.FAILED, Reason.EXIT)
    notifier = world.notifier(heartbeat_url=world.inbox.url("/beat"))
    step(notifier)
    step(notifier)
    assert world.inbox.paths.count("/hook") >= 5
    assert world.inbox.paths.count("/broken") == 1
    world.clock.advance(11)
    step(notifier)
    assert world.inbox.paths.count("/broken") == 2
    world.inbox.statuses.clear()
    for _ in range(30):
        world.clock.advance(11)
        step(notifier)
    assert world.store.count_deliveries(since=0) == (0, 18, 0)


def test_channels_that_hang_hold_up_neither_others_nor_the_heartbeat(world: World) -> None:
    world.inbox.held = {f"/hangs{n}" for n in range(4)}
    hanging = [world.inbox.url(path) for path in sorted(world.inbox.held)]
    for address in hanging:
        task = add_task(world.store, at=START, cron_expr="@yearly", slack_webhook=address)
        world.ended(task, State.FAILED, Reason.EXIT)
    world.ended(world.task(), State.FAILED, Reason.EXIT)
    notifier = world.notifier(heartbeat_url=world.inbox.url("/beat"))
    for beats in range(1, 4):

        def has_beaten(n: int = beats) -> bool:
            notifier.step()
            return world.inbox.paths.count("/beat") == n

        wait_until(has_beaten, what=f"{beats} beats")
        world.clock.advance(61)
    wait_until(lambda: "/hook" in world.inbox.paths, what="the healthy channel is told")
    assert {path for path in world.inbox.paths if "hangs" in path} == world.inbox.held
    assert world.inbox.paths.count("/hangs0") == 1  # one at a time, however long it takes


def test_no_more_than_a_few_attempts_are_under_way(world: World) -> None:
    world.inbox.held = {f"/hangs{n}" for n in range(MOST + 3)}
    for path in world.inbox.held:
        address = world.inbox.url(path)
        task = add_task(world.store, at=START, cron_expr="@yearly", slack_webhook=address)
        world.ended(task, State.FAILED, Reason.EXIT)
    notifier = world.notifier()
    for _ in range(3):
        notifier.step()
    wait_until(lambda: len(world.inbox.got) == MOST, what="as many as may")
    world.inbox.released.set()
    step(notifier)
    assert len(world.inbox.got) == MOST + 3


def test_an_answer_that_cannot_be_recorded_now_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The channel has the message: it must not get it again."""
    run = world.ended(world.task(), State.FAILED, Reason.EXIT)
    notifier = world.notifier()

    def locked(*_: object, **__: object) -> None:
        raise StorageError("database is locked")

    with monkeypatch.context() as patched:
        patched.setattr(world.store, "end_delivery", locked)
        for _ in range(3):
            with pytest.raises(StorageError):
                step(notifier)
            world.clock.advance(61)
    step(notifier)
    assert len(world.inbox.got) == 1
    [record] = world.store.deliveries_of(run.id)
    assert (record.state, record.attempts) == (DeliveryState.SENT, 1)


def test_a_notifier_told_to_stop_begins_nothing_more(world: World) -> None:
    run = world.ended(world.task(), State.FAILED, Reason.EXIT)
    notifier = world.notifier()
    notifier.stop()
    step(notifier)
    assert world.inbox.got == []
    step(world.notifier())
    assert world.store.deliveries_of(run.id)[0].state is DeliveryState.SENT


def test_change_follows_the_ends_of_runs_and_not_their_numbers(world: World) -> None:
    """Two at once: the one that began first may well end last."""
    task = world.task(notify_on="change", overlap="allow")
    notifier = world.notifier()
    slow, quick = world.begun(task), world.begun(task)
    for run, state in ((quick, State.COMPLETED), (slow, State.FAILED)):
        world.clock.advance(1)
        world.end(run, state, Reason.EXIT if state is State.FAILED else None)
        step(notifier)
    world.clock.advance(1)
    world.ended(task, State.COMPLETED)
    step(notifier)
    assert [told["event"] for _, told in world.inbox.got] == ["started_failing", "recovered"]


def test_another_tasks_runs_are_no_part_of_a_series(world: World) -> None:
    task, other = world.task(notify_on="change"), world.task(notify_on="change")
    notifier = world.notifier()
    for each, state in ((task, State.FAILED), (other, State.COMPLETED), (task, State.FAILED)):
        world.clock.advance(1)
        world.ended(each, state, Reason.EXIT if state is State.FAILED else None)
        step(notifier)
    assert [told["event"] for _, told in world.inbox.got] == ["started_failing"]


def test_a_message_counts_the_failures_in_a_row_and_nothing_else(world: World) -> None:
    task, notifier = world.task(), world.notifier()
    for state in (State.FAILED, State.COMPLETED, State.FAILED):
        world.clock.advance(1)
        world.ended(task, state, Reason.EXIT if state is State.FAILED else None)
    at = world.clock.now()
    world.store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to=None, at=at)
    skipped = world.store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to=None, at=at)
    assert skipped.reason is Reason.OVERLAP
    world.store.request_cancel(skipped.id - 1, at=at)
    world.clock.advance(1)
    world.ended(task, State.FAILED, Reason.EXIT)
    step(notifier)
    assert world.inbox.got[-1][1]["failures_in_a_row"] == 2


def test_an_attempt_put_off_by_a_clock_that_was_wrong_is_made(world: World) -> None:
    world.inbox.status = 503
    right = world.clock.now()
    run = world.ended(world.task(), State.FAILED, Reason.EXIT)
    notifier = world.notifier()
    world.clock.set_wall(right + 400 * 86_400_000)
    step(notifier)
    world.clock.set_wall(right)
    world.inbox.status = 204
    world.clock.advance(60)
    step(notifier)
    assert world.store.deliveries_of(run.id)[0].state is DeliveryState.SENT


def test_a_run_is_overdue_when_it_waits_long_after_it_might_have_started(world: World) -> None:
    at = world.clock.now()
    task = add_task(
        world.store, at=at, scheduled_at=at, jitter_seconds=3600,
        webhook_url=world.inbox.url("/hook"),
    )  # fmt: skip
    Ticker(world.store, world.clock).take_due(world.term, at=at)
    [run] = world.store.list_runs(RunFilter(task_id=task.id))
    notifier = world.notifier()
    world.clock.set_wall(run.not_before + 299_000)
    step(notifier)
    assert world.inbox.got == []
    world.clock.set_wall(run.not_before + 331_000)
    step(notifier)
    world.clock.advance(60)
    step(notifier)
    [(_, told)] = world.inbox.got
    assert (told["event"], told["run"]) == ("overdue", None)


def test_a_run_behind_another_of_its_task_is_not_overdue(world: World) -> None:
    at = world.clock.now()
    task = add_task(
        world.store, at=at, cron_expr=MINUTELY, overlap="queue",
        webhook_url=world.inbox.url("/hook"),
    )  # fmt: skip
    ticker = Ticker(world.store, world.clock)
    for _ in range(2):
        world.clock.advance(60)
        now = world.clock.now()
        ticker.take_due(world.term, at=now)
        world.store.claim_runs("node-a", term=world.term, limit=1, per_node=False, at=now)
    runs = world.store.list_runs(RunFilter(task_id=task.id))
    assert [run.state for run in runs] == [State.QUEUED, State.RUNNING]
    due = world.store.get_task(task.id).next_run_at
    overdue = world.store.overdue_tasks(before=world.clock.now() + 240_000, limit=9)
    assert overdue == [(task.id, task.name, due)]


def test_a_broken_channel_is_tried_again_and_given_up_visibly(world: World) -> None:
    world.inbox.status = 500
    run = world.ended(world.task(), State.FAILED, Reason.EXIT, error="broke")
    notifier = world.notifier()
    for _ in range(400):
        step(notifier)
        world.clock.advance(60)
    [record] = world.store.deliveries_of(run.id)
    assert record.state is DeliveryState.FAILED
    assert record.attempts == len(world.inbox.got) == 8
    assert "500" in (record.error or "")
    assert world.store.get_run(run.id).error == "broke"  # the run is as it was


def test_a_refusal_for_good_is_not_repeated(world: World) -> None:
    world.inbox.status = 404
    run = world.ended(world.task(), State.FAILED, Reason.EXIT)
    notifier = world.notifier()
    for _ in range(5):
        step(notifier)
        world.clock.advance(3600)
    assert len(world.inbox.got) == 1
    assert world.store.deliveries_of(run.id)[0].state is DeliveryState.FAILED


def test_whoever_dies_in_an_attempt_is_followed_only_after_a_while(world: World) -> None:
    world.inbox.answers.clear()
    run = world.ended(world.task(), State.FAILED, Reason.EXIT)
    world.notifier().step()  # its process dies before the answer
    wait_until(lambda: world.inbox.got, what="the attempt is under way")
    successor = world.notifier()
    for seconds in (1, 58):
        world.clock.advance(seconds)
        step(successor)
    assert len(world.inbox.got) == 1
    world.inbox.answers.set()
    world.clock.advance(2)
    step(successor)
    assert len(world.inbox.got) == 2
    assert world.store.deliveries_of(run.id)[0].attempts == 2


def test_what_another_version_wrote_stops_no_other_message(world: World, tmp_path: Path) -> None:
    odd = world.ended(world.task(), State.FAILED, Reason.EXIT)
    strange = world.ended(world.task(notify_on="change"), State.FAILED, Reason.EXIT)
    with closing(sqlite3.connect(tmp_path / "tasks.db")) as other, other:
        other.execute("UPDATE tasks SET notify_on = 'sometimes' WHERE id = ?", (strange.task_id,))
    at = world.clock.now()
    pigeon = NewDelivery(odd.task_id, odd.id, None, "pigeon", "nest", "failed")
    world.store.add_deliveries([pigeon], at=at)
    step(world.notifier())
    assert len(world.inbox.got) == 2
    [record] = [r for r in world.store.deliveries_of(odd.id) if r.channel == "pigeon"]
    assert record.state is DeliveryState.FAILED
    assert "pigeon" in (record.error or "")


def test_a_message_that_waits_goes_to_the_address_its_task_has_by_then(world: World) -> None:
    world.inbox.statuses["/old"] = 503
    task = add_task(
        world.store, at=START, cron_expr="@yearly", slack_webhook=world.inbox.url("/old")
    )
    run = world.ended(task, State.FAILED, Reason.EXIT)
    notifier = world.notifier()
    step(notifier)
    TaskOperations(world.store, world.clock, actor=ME).edit(
        task.id, {"slack_webhook": world.inbox.url("/new")}
    )
    world.clock.advance(61)
    step(notifier)
    assert world.inbox.paths == ["/old", "/new"]
    [record] = world.store.deliveries_of(run.id)
    assert (record.state, record.attempts) == (DeliveryState.SENT, 2)


def test_every_channel_of_task_and_settings_is_told(world: World) -> None:
    world.ended(
        world.task(discord_webhook=world.inbox.url("/own-discord")),
        State.FAILED,
        Reason.EXIT,
        error="broke",
    )
    notifier = world.notifier(discord=world.inbox.url("/discord"), slack=world.inbox.url("/slack"))
    step(notifier)
    assert sorted(world.inbox.paths) == ["/hook", "/own-discord", "/slack"]


def test_a_follower_tells_nobody_and_forgets_nothing(world: World) -> None:
    world.leads = False
    world.ended(world.task(), State.FAILED, Reason.EXIT)
    notifier = world.notifier(heartbeat_url=world.inbox.url("/beat"))
    step(notifier)
    assert world.inbox.got == []
    world.leads = True
    step(notifier)
    assert sorted(world.inbox.paths) == ["/beat", "/hook"]


def test_the_heart_of_a_healthy_leader_beats_once_an_interval(world: World) -> None:
    notifier = world.notifier(heartbeat_url=world.inbox.url("/beat"))
    for _ in range(120):
        step(notifier)
        world.clock.advance(1)
    assert world.inbox.paths == ["/beat"] * 2
    world.healthy = False
    world.clock.advance(600)
    step(notifier)
    assert len(world.inbox.paths) == 2


def test_an_overdue_task_is_told_once_for_each_tick(world: World) -> None:
    add_task(
        world.store, at=world.clock.now(), cron_expr=MINUTELY,
        webhook_url=world.inbox.url("/hook"),
    )  # fmt: skip
    notifier = world.notifier()
    step(notifier)
    assert world.inbox.got == []
    world.clock.advance(400)
    for _ in range(4):
        step(notifier)
        world.clock.advance(60)
    [(_, told)] = world.inbox.got
    assert "overdue" in json.dumps(told)


def test_addresses_are_in_no_log_line(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.inbox.status = 500
    secret = world.inbox.url("/services/T000/B000/very-secret-part")
    world.ended(world.task(slack_webhook=secret), State.FAILED, Reason.EXIT)
    with caplog.at_level("DEBUG"):
        step(world.notifier())
    assert len(world.inbox.got) == 2
    assert caplog.records
    assert "very-secret-part" not in caplog.text


def denied(world: World, task: Task, *denials: str) -> list[str]:
    """What is told of a run that was denied this."""
    reason = Reason.DENIED if denials else None
    run = world.ended(task, State.COMPLETED, reason, permission_denials=denials)
    step(world.notifier())
    return [record.event for record in world.store.deliveries_of(run.id)]


@pytest.mark.parametrize("rule", ["failure", "change"])
def test_a_tool_that_was_not_denied_before_is_told_and_told_once(world: World, rule: str) -> None:
    task = world.task(notify_on=rule)
    assert denied(world, task, "Bash(npm test)") == ["denied"]
    assert denied(world, task, "Bash(npm test)") == []
    assert denied(world, task, "Bash(npm run lint)") == []
    assert denied(world, task) == []
    assert denied(world, task, "Bash(npm test)", "Write(/tmp/x)") == ["denied"]
    assert denied(world, world.task(notify_on=rule), "Write(/tmp/x)") == ["denied"]


def test_whoever_wants_all_is_told_of_each_denial(world: World) -> None:
    task = world.task(notify_on="always")
    assert [denied(world, task, "Bash(npm test)") for _ in range(2)] == [["denied"]] * 2
    assert denied(world, task) == ["completed"]


def test_a_message_about_a_denial_has_the_command_that_allows_it(world: World) -> None:
    task = world.task()
    denied(world, task, "Bash(npm test)")
    [(_, told)] = world.inbox.got
    assert told["event"] == "denied"
    command = f"claude-tasks edit {task.id} --allow-tool 'Bash(npm test)'"
    assert command in told["run"]["error"]


def test_a_task_that_recovers_but_is_denied_what_it_was_denied_before_has_recovered(
    world: World,
) -> None:
    task = world.task(notify_on="change")
    denied(world, task, "Bash(npm test)")
    world.ended(task, State.FAILED, Reason.EXIT)
    step(world.notifier())
    assert denied(world, task, "Bash(npm test)") == ["recovered"]
