"""The notifier over a real store and a real receiver: told once, tried again, given up visibly."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.notification import DeliveryState
from claude_tasks.domain.run import Reason, State, Trigger
from claude_tasks.domain.store_records import Finish
from claude_tasks.notify.notifier import Defaults, Notifier
from support.builders import MINUTELY, add_task, completed, lead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claude_tasks.domain.ports import Store
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.task import Task
    from support.clock import FakeClock


class Receiver:
    """Answers with ``status`` and keeps what it was sent."""

    def __init__(self) -> None:
        self.status = 204
        self.got: list[tuple[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append((self.path.partition("?")[0], json.loads(body)))
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                receiver.got.append((self.path, None))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.got]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


class World:
    def __init__(self, store: Store, clock: FakeClock, receiver: Receiver) -> None:
        self.store, self.clock, self.receiver = store, clock, receiver
        self.term = lead(store, at=clock.now())
        self.leads = self.healthy = True

    def notifier(self, **fields: Any) -> Notifier:
        values: dict[str, Any] = dict.fromkeys(Defaults._fields)
        values |= {"notify_on": "failure", "heartbeat_interval_ms": 60_000,
                   "overdue_after_ms": 300_000, **fields}  # fmt: skip
        return Notifier(
            store=self.store,
            clock=self.clock,
            defaults=Defaults(**values),
            leads=lambda: self.leads,
            healthy=lambda: self.healthy,
            host="here",
            version="1",
        )

    def task(self, **fields: Any) -> Task:
        return add_task(
            self.store, at=self.clock.now(), cron_expr="0 3 1 1 *",
            webhook_url=self.receiver.url("/hook"), **fields,
        )  # fmt: skip

    def ended(self, task: Task, state: State, reason: Reason | None = None, **more: Any) -> Run:
        at = self.clock.now()
        run = self.store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to=None, at=at)
        [claimed] = self.store.claim_runs("node-a", term=self.term, limit=99, per_node=False, at=at)
        outcome = completed(at=at, state=state, reason=reason, **more)
        self.store.finish_runs([Finish(run.id, claimed.run.claim, outcome, "/log")], at=at)
        return self.store.get_run(run.id)


@pytest.fixture
def world(store: Store, clock: FakeClock, receiver: Receiver) -> World:
    return World(store, clock, receiver)


def test_a_failure_is_told_once_with_all_that_is_known(world: World) -> None:
    notifier = world.notifier()
    run = world.ended(world.task(), State.FAILED, Reason.EXIT, error="broke", exit_code=3)
    for _ in range(3):
        notifier.step()
        world.clock.advance(120)
    [(path, told)] = world.receiver.got
    assert path == "/hook"
    assert str(run.id) in json.dumps(told)
    assert "broke" in json.dumps(told)
    [record] = world.store.deliveries_of(run.id)
    assert (record.state, record.attempts, record.event) == (DeliveryState.SENT, 1, "failed")


def test_success_is_told_only_to_whoever_wants_all(world: World) -> None:
    world.ended(world.task(), State.COMPLETED)
    world.ended(world.task(notify_on="always"), State.COMPLETED)
    world.notifier().step()
    assert len(world.receiver.got) == 1


def test_change_tells_of_the_first_failure_and_of_the_recovery(world: World) -> None:
    task = world.task(notify_on="change")
    notifier = world.notifier()
    told = []
    for state in (State.COMPLETED, State.FAILED, State.FAILED, State.COMPLETED, State.COMPLETED):
        run = world.ended(task, state, Reason.EXIT if state is State.FAILED else None)
        notifier.step()
        told.append([record.event for record in world.store.deliveries_of(run.id)])
    assert told == [[], ["started_failing"], [], ["recovered"], []]


def test_preflight_failures_and_skips_by_usage_are_failures(world: World) -> None:
    world.ended(world.task(), State.FAILED, Reason.PREFLIGHT, error="no credentials")
    world.notifier().step()
    assert len(world.receiver.got) == 1


def test_skips_of_the_owners_own_making_are_not(world: World) -> None:
    task = world.task()
    at = world.clock.now()
    world.store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to=None, at=at)
    second = world.store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to=None, at=at)
    assert second.reason is Reason.OVERLAP
    world.notifier().step()
    assert world.receiver.got == []
    assert world.store.unannounced(limit=9) == []


def test_a_broken_channel_is_tried_again_and_given_up_visibly(world: World) -> None:
    world.receiver.status = 500
    run = world.ended(world.task(), State.FAILED, Reason.EXIT, error="broke")
    notifier = world.notifier()
    for _ in range(400):
        notifier.step()
        world.clock.advance(60)
    [record] = world.store.deliveries_of(run.id)
    assert record.state is DeliveryState.FAILED
    assert record.attempts == len(world.receiver.got) == 8
    assert "500" in (record.error or "")
    assert world.store.get_run(run.id).error == "broke"  # the run is as it was


def test_a_refusal_for_good_is_not_repeated(world: World) -> None:
    world.receiver.status = 404
    run = world.ended(world.task(), State.FAILED, Reason.EXIT)
    notifier = world.notifier()
    for _ in range(5):
        notifier.step()
        world.clock.advance(3600)
    assert len(world.receiver.got) == 1
    assert world.store.deliveries_of(run.id)[0].state is DeliveryState.FAILED


def test_whoever_dies_in_an_attempt_is_followed_only_after_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.ended(world.task(), State.FAILED, Reason.EXIT)

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("claude_tasks.notify.notifier.send", dies)
        with pytest.raises(KeyboardInterrupt):
            world.notifier().step()
    successor = world.notifier()
    successor.step()
    assert world.receiver.got == []
    world.clock.advance(61)
    successor.step()
    assert len(world.receiver.got) == 1
    assert world.store.deliveries_of(run.id)[0].attempts == 2


def test_every_channel_of_task_and_settings_is_told(world: World) -> None:
    world.ended(
        world.task(discord_webhook=world.receiver.url("/own-discord")),
        State.FAILED,
        Reason.EXIT,
        error="broke",
    )
    notifier = world.notifier(
        discord=world.receiver.url("/discord"), slack=world.receiver.url("/slack")
    )
    notifier.step()
    assert sorted(world.receiver.paths) == ["/hook", "/own-discord", "/slack"]


def test_a_follower_tells_nobody_and_forgets_nothing(world: World) -> None:
    world.leads = False
    world.ended(world.task(), State.FAILED, Reason.EXIT)
    notifier = world.notifier(heartbeat_url=world.receiver.url("/beat"))
    notifier.step()
    assert world.receiver.got == []
    world.leads = True
    notifier.step()
    assert sorted(world.receiver.paths) == ["/beat", "/hook"]


def test_the_heart_of_a_healthy_leader_beats_once_an_interval(world: World) -> None:
    notifier = world.notifier(heartbeat_url=world.receiver.url("/beat"))
    for _ in range(120):
        notifier.step()
        world.clock.advance(1)
    assert world.receiver.paths == ["/beat"] * 2
    world.healthy = False
    world.clock.advance(600)
    notifier.step()
    assert len(world.receiver.paths) == 2


def test_an_overdue_task_is_told_once_for_each_tick(world: World) -> None:
    add_task(
        world.store, at=world.clock.now(), cron_expr=MINUTELY,
        webhook_url=world.receiver.url("/hook"),
    )  # fmt: skip
    notifier = world.notifier()
    notifier.step()
    assert world.receiver.got == []
    world.clock.advance(400)
    for _ in range(4):
        notifier.step()
        world.clock.advance(60)
    [(_, told)] = world.receiver.got
    assert "overdue" in json.dumps(told)


def test_addresses_are_in_no_log_line(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.receiver.status = 500
    secret = world.receiver.url("/services/T000/B000/very-secret-part")
    world.ended(world.task(slack_webhook=secret), State.FAILED, Reason.EXIT)
    with caplog.at_level("DEBUG"):
        world.notifier().step()
    assert len(world.receiver.got) == 2
    assert caplog.records
    assert "very-secret-part" not in caplog.text
