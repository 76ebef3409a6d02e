"""Streams: what goes on is told as it happens, and nothing is lost between two connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sqlite3
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import psutil
import pytest

from claude_tasks.api import change_broadcast as broadcast_module
from claude_tasks.api.backend import Backend
from claude_tasks.api.change_broadcast import MOST_STREAMS, ChangeBroadcast
from claude_tasks.api.change_counter import ChangeCounter
from claude_tasks.api.endpoints.streams import _events
from claude_tasks.domain.errors import StorageError
from claude_tasks.domain.store_records import Change
from claude_tasks.operations.event_tail import EventTail
from claude_tasks.settings import load_settings
from claude_tasks.tokens import new_token, store_token
from claude_tasks.wiring.operations import open_operations
from support.builders import spec
from support.server import Server
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx

    from support.installation import Installation

SILENCE_SECONDS = 10
"""A test fails when a stream says nothing for so long; a heartbeat comes later."""


class Event(NamedTuple):
    """One server-sent event."""

    id: int | None
    kind: str
    data: Any


@contextlib.contextmanager
def listening(server: Server, path: str, *, after: int | None = None) -> Iterator[Iterator[Event]]:
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    with server.client.stream("GET", path, headers=headers, timeout=SILENCE_SECONDS) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        yield events(answer)


def events(answer: httpx.Response) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        name, _, text = line.partition(": ")
        if name:
            fields[name] = text
        elif not line and "event" in fields:
            id_ = int(fields["id"]) if "id" in fields else None
            yield Event(id_, fields["event"], json.loads(fields["data"]))
            fields = {}


def until(stream: Iterator[Event], enough: Callable[[list[Event]], bool]) -> list[Event]:
    seen: list[Event] = []
    while not enough(seen):
        seen.append(next(stream))
    return seen


def tasks_in(seen: list[Event]) -> set[int]:
    return {event.data["id"] for event in seen if event.kind == "task"}


def ids_of(seen: list[Event]) -> list[int]:
    return [event.id for event in seen if event.id is not None]


# GET /events


def test_a_stream_says_where_it_begins_and_then_what_changes(server: Server) -> None:
    with listening(server, "/events") as stream:
        hello = next(stream)
        assert (hello.kind, hello.data) == ("hello", {"seq": hello.id})
        task = server.add(name="watched")
        [*_, told] = until(stream, lambda seen: task["id"] in tasks_in(seen))
        assert told.data == {
            "seq": told.id,
            "ref": str(task["id"]),
            "id": task["id"],
            "name": "watched",
            "revision": 1,
            "enabled": True,
            "deleted": False,
        }
        assert told.data["seq"] > hello.data["seq"]
        server.client.delete(f"/tasks/{task['id']}")
        [*_, told] = until(stream, lambda seen: task["id"] in tasks_in(seen))
        assert told.data["deleted"] is True


def test_a_run_is_told_from_its_queue_to_its_end(server: Server) -> None:
    task = server.add(prompt="[case:slow seconds=0.5]")
    with listening(server, "/events") as stream:
        next(stream)
        run_id = server.run(task["id"])
        seen = until(
            stream,
            lambda seen: bool(seen) and seen[-1].data.get("state") in ("completed", "failed"),
        )
    runs = [event.data for event in seen if event.kind == "run"]
    assert {run["id"] for run in runs} == {run_id}
    assert runs[-1]["state"] == "completed"
    assert "running" in [run["state"] for run in runs]
    assert {run["status"] for run in runs} <= {"pending", "running", "completed", "failed"}
    assert "output" not in runs[-1]


def test_what_other_processes_do_is_told_too(installation: Installation) -> None:
    follower = Server(installation, "--scheduler=false")
    with listening(follower, "/events") as stream:
        next(stream)
        task = installation.add(name="from elsewhere", cron_expr="0 3 1 1 *")
        until(stream, lambda seen: task.id in tasks_in(seen))
        installation.operations.settings.set_usage_threshold(50)
        until(stream, lambda seen: bool(seen) and seen[-1].kind == "settings")
        installation.start_leader()
        seen = until(stream, lambda seen: {"lease", "node"} <= {event.kind for event in seen})
        assert all(event.data["seq"] == event.id for event in seen)
    follower.close()


def test_a_stream_ends_when_its_token_was_replaced(installation: Installation) -> None:
    """Of both kinds: what happens from then on is none of this client's business."""
    path, old = load_settings(installation.environment).folder.auth_token, new_token()
    store_token(path, old)
    server = Server(installation)
    server.client.headers["Authorization"] = f"Bearer {old}"
    run_id = server.run(server.add(prompt="[case:slow seconds=4]")["id"])
    wait_until(lambda: server.get(f"/runs/{run_id}")["state"] == "running", what="it runs")
    with (
        listening(server, "/events") as changes,
        listening(server, f"/runs/{run_id}/events") as stream,
    ):
        assert next(changes).kind == "hello"
        assert next(stream).kind == "agent"
        store_token(path, new_token(), replace=True)
        installation.add(name="secret plan", cron_expr="0 3 1 1 *")
        assert "task" not in [event.kind for event in changes]
        assert "end" not in [event.kind for event in stream]
    server.close()


def test_a_stream_without_a_token_ends_when_one_is_asked_for(installation: Installation) -> None:
    server = Server(installation)
    with listening(server, "/events") as changes:
        assert next(changes).kind == "hello"
        store_token(load_settings(installation.environment).folder.auth_token, new_token())
        installation.add(name="secret plan", cron_expr="0 3 1 1 *")
        assert "task" not in [event.kind for event in changes]
    server.close()


def test_who_comes_back_gets_each_change_once(
    server: Server, shared_installation: Installation
) -> None:
    with listening(server, "/events") as stream:
        next(stream)
        first = server.add()
        last = until(stream, lambda seen: first["id"] in tasks_in(seen))[-1].id
    missed = [server.add()["id"] for _ in range(10)]
    expected = shared_installation.query("SELECT seq FROM changes WHERE seq > ?", last)
    with listening(server, "/events", after=last) as stream:
        hello = next(stream)
        assert (hello.kind, hello.id) == ("hello", None)  # else a break here would lose the rest
        after = server.add()["id"]
        seen = until(stream, lambda seen: after in tasks_in(seen))
    assert [event.data["id"] for event in seen if event.kind == "task"] == [*missed, after]
    assert ids_of(seen)[:-1] == [seq for (seq,) in expected]


def test_nothing_is_lost_where_the_past_meets_the_present(
    server: Server, shared_installation: Installation
) -> None:
    """Changes come in all the while that a client catches up, goes and comes back."""
    start = server.get("/scheduler") and shared_installation.operations.changes.last_change()
    added: list[int] = []

    def add_tasks() -> None:
        operations = open_operations(load_settings(shared_installation.environment))
        added.extend(operations.tasks.add(spec(cron_expr="0 3 1 1 *")).id for _ in range(60))
        operations.close()

    writer = threading.Thread(target=add_tasks)
    writer.start()
    seen: list[Event] = []
    while len(tasks_in(seen)) < 60:
        last = ids_of(seen)[-1] if seen else start
        batch = min(7, 60 - len(tasks_in(seen)))  # each task that is missing makes an event
        with listening(server, "/events", after=last) as stream:
            next(stream)
            seen += [next(stream) for _ in range(batch)]
    writer.join()
    ids = ids_of(seen)
    assert ids == sorted(set(ids))
    assert tasks_in(seen) == set(added)


def test_an_id_out_of_reach_begins_anew(own_server: Server, installation: Installation) -> None:
    own_server.add()
    now = installation.operations.changes.last_change()

    def check_reset(after: int) -> None:
        with listening(own_server, "/events", after=after) as stream:
            assert next(stream).kind == "hello"
            reset = next(stream)
            assert reset.kind == "reset"
            assert reset.data == {"seq": reset.id}
            task = own_server.add()
            seen = until(stream, lambda seen: task["id"] in tasks_in(seen))
            assert all(id_ > (reset.id or 0) for id_ in ids_of(seen))

    check_reset(now + 10_000)  # of a database that was another
    with listening(own_server, "/events", after=0) as stream:  # all there ever was is there
        assert [next(stream).kind, next(stream).kind != "reset"] == ["hello", True]
    with sqlite3.connect(installation.database, timeout=10) as connection:
        connection.execute("DELETE FROM changes WHERE seq <= ?", (now,))  # as the feed is trimmed
    connection.close()
    check_reset(0)


def test_streams_end_when_the_server_does(own_server: Server) -> None:
    task = own_server.add(prompt="[case:slow_tool seconds=60]")
    run_id = own_server.run(task["id"])
    with (
        listening(own_server, "/events") as news,
        listening(own_server, f"/runs/{run_id}/events") as run,
    ):
        next(news)
        next(run)
        own_server.process.terminate()
        assert own_server.process.wait(timeout=3) == 0
        assert "reset" not in [event.kind for event in news]
        assert "end" not in [event.kind for event in run]


# GET /runs/{id}/events


def test_a_run_is_seen_while_it_goes_on(server: Server) -> None:
    run_id = server.run(server.add(prompt="[case:slow seconds=1]")["id"])
    with listening(server, f"/runs/{run_id}/events") as stream:
        first = next(stream)
        assert server.get(f"/runs/{run_id}")["state"] == "running"
        seen = [first, *stream]
    assert [event.kind for event in seen[:-1]] == ["agent"] * (len(seen) - 1)
    assert first.data["type"] == "system"
    assert len([event for event in seen if event.data.get("type") == "stream_event"]) >= 3
    assert seen[-2].data["type"] == "result"
    assert seen[-1].kind == "end"
    assert seen[-1].data == server.get(f"/runs/{run_id}")
    assert ids_of(seen) == sorted(set(ids_of(seen)))
    assert len(ids_of(seen)) == len(seen)


def test_who_comes_back_to_a_run_goes_on_where_it_was(server: Server) -> None:
    run_id = server.run(server.add(prompt="[case:slow seconds=1]")["id"])
    path = f"/runs/{run_id}/events"
    with listening(server, path) as stream:
        begun = [next(stream), next(stream)]
    with listening(server, path, after=begun[-1].id) as stream:  # it still goes on
        rest = list(stream)
    with listening(server, path) as stream:  # it has ended
        whole = list(stream)
    assert begun + rest == whole
    for place, event in enumerate(whole[:-1], start=1):
        with listening(server, path, after=event.id) as stream:
            assert list(stream) == whole[place:]
    answer = server.client.get(path, headers={"Last-Event-ID": str(whole[-1].id)})
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("last_id", ["", "x", "-1", "1.5", "9" * 30, "٣".encode(), "0"])
def test_an_id_that_is_none_begins_at_the_beginning(server: Server, last_id: Any) -> None:
    run = server.ended(server.run(server.add()["id"]))
    with server.client.stream(
        "GET", f"/runs/{run['id']}/events", headers={"Last-Event-ID": last_id}
    ) as answer:
        assert next(events(answer)).kind == "agent"


def test_a_run_that_never_began_has_nothing_but_an_end(server: Server) -> None:
    task = server.add(prompt="[case:slow_tool seconds=60]", overlap="queue")
    first, second = server.run(task["id"]), server.run(task["id"])
    path = f"/runs/{second}/events"
    with server.client.stream("GET", path, timeout=SILENCE_SECONDS) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "retry: 2000"
        server.client.post(f"/runs/{second}/cancel")
        text = "\n".join(lines)
    assert "event: end" in text
    assert "event: agent" not in text
    with listening(server, path) as stream:
        [end] = stream
    assert (end.kind, end.data["state"]) == ("end", "cancelled")
    answer = server.client.get(path, headers={"Last-Event-ID": str(end.id)})
    assert answer.status_code == 204
    server.client.post(f"/runs/{first}/cancel")
    server.ended(first)


def test_what_the_agent_prints_cannot_forge_an_event(
    own_server: Server, installation: Installation
) -> None:
    run = own_server.ended(own_server.run(own_server.add()["id"]))
    path = installation.data / "logs" / str(run["task_id"]) / f"{run['id']}.events.jsonl"
    path.write_bytes(b'{"a":1}\r\revent: end\rdata: {}\r\r\n\n\n{"b":2}')
    with own_server.client.stream("GET", f"/runs/{run['id']}/events") as answer:
        raw = b"".join(answer.iter_raw())
    assert b"\r" not in raw
    assert raw.count(b"\nevent: end\n") == 1
    assert raw.count(b"\nevent: agent\n") == 2


def test_who_hangs_up_leaves_no_open_file_behind(server: Server) -> None:
    run_id = server.run(server.add(prompt="[case:slow seconds=20]")["id"])
    process = psutil.Process(server.process.pid)

    def reading() -> int:
        return sum(f"/{run_id}.events.jsonl" in entry.path for entry in process.open_files())

    with contextlib.ExitStack() as stack:
        path = f"/runs/{run_id}/events"
        streams = [stack.enter_context(listening(server, path)) for _ in range(5)]
        assert [next(stream).kind for stream in streams] == ["agent"] * 5
        assert reading() >= 5
    wait_until(lambda: reading() == 0, what="the readers are gone")
    server.client.post(f"/runs/{run_id}/cancel")
    server.ended(run_id)


def test_an_id_amid_a_line_goes_on_with_the_next(
    own_server: Server, installation: Installation
) -> None:
    run = own_server.ended(own_server.run(own_server.add()["id"]))
    path = installation.data / "logs" / str(run["task_id"]) / f"{run['id']}.events.jsonl"
    path.write_bytes(b'{"a":1}\n{"b":2}\n{"c":3}')
    for after, told in ((7, "bc"), (8, "bc"), (9, "c"), (15, "c"), (16, "c"), (17, ""), (23, "")):
        with listening(own_server, f"/runs/{run['id']}/events", after=after) as stream:
            *lines, end = stream
        assert "".join(key for line in lines for key in line.data) == told, after
        assert (end.kind, end.id) == ("end", 24)


def raw_stream(server: Server, path: str) -> socket.socket:
    """A stream that has begun, without a pool of connections around it."""
    client = socket.create_connection(("127.0.0.1", server.port), timeout=SILENCE_SECONDS)
    host = f"127.0.0.1:{server.port}"
    client.sendall(f"GET /api/v1{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    heard = b""
    while b"retry: " not in heard and (more := client.recv(4096)):
        heard += more
    assert heard.startswith(b"HTTP/1.1 200"), heard
    return client


def test_a_stream_too_many_is_a_503_until_another_ends(own_server: Server) -> None:
    run_id = own_server.run(own_server.add(prompt="[case:slow_tool seconds=60]")["id"])
    paths = ("/events", f"/runs/{run_id}/events")
    with contextlib.ExitStack() as stack:
        streams = [
            stack.enter_context(raw_stream(own_server, paths[place % 2]))
            for place in range(MOST_STREAMS)
        ]
        for path in paths:
            answer = own_server.client.get(path, timeout=SILENCE_SECONDS)
            assert answer.status_code == 503
            assert answer.json()["code"] == "too_many_streams"
            assert int(answer.headers["retry-after"]) > 0
        assert own_server.get("/health")["status"] == "ok"
        for stream, path in zip(streams[:2], paths, strict=True):
            stream.close()
            wait_until(lambda: _may_stream(own_server, path), what=path)  # noqa: B023 (called here)


def _may_stream(server: Server, path: str) -> bool:
    with server.client.stream("GET", path, timeout=SILENCE_SECONDS) as answer:
        return answer.status_code == 200


# The tail of a file, by itself


@pytest.fixture
def written(tmp_path: Path) -> str:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"one\ntwo\nthree")
    return str(path)


def test_a_tail_that_begins_amid_a_line_waits_for_the_next(written: str) -> None:
    tail = EventTail(written, after=10)
    assert list(tail.lines()) == []
    with open(written, "ab") as file:
        file.write(b"-and-a-half\nfour\nfi")
    assert list(tail.lines()) == [b"four"]
    assert list(tail.close()) == [b"fi"]
    assert tail.position == os.path.getsize(written)


def test_a_tail_let_go_while_it_is_read_closes_its_file_afterwards(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    used: list[int] = []

    def slow_read(descriptor: int, size: int) -> bytes:
        used.append(descriptor)
        begun.set()
        assert go_on.wait(10)
        return real_read(descriptor, size)

    real_read = os.read
    monkeypatch.setattr(os, "read", slow_read)
    tail = EventTail(written)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.extend(tail.lines()))
    reader.start()
    assert begun.wait(10)
    tail.release()
    assert os.fstat(used[0]).st_size == os.path.getsize(written), "the number is still its own"
    go_on.set()
    reader.join()
    assert got == [b"one", b"two"]
    assert used == [used[0]], "nothing more is read"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(used[0])


def test_a_tail_that_was_let_go_opens_nothing_again(written: str) -> None:
    tail = EventTail(written)
    lines = tail.lines()
    tail.release()
    assert list(lines) == []
    assert list(tail.lines()) == []


# The broadcast, by itself


class Feed:
    """`claude_tasks.domain.ports.ChangeFeed` in memory; fails when told to."""

    def __init__(self) -> None:
        self.entries: list[Change] = []
        self.failing = False
        self.looks = 0

    def add(self, count: int) -> None:
        start = len(self.entries) + 1
        self.entries += [Change(seq, "task", "1", 0) for seq in range(start, start + count)]

    def changed(self) -> bool:
        self.looks += 1
        return True

    def last_change(self) -> int:
        if self.failing:
            raise StorageError("not just now")
        return len(self.entries)

    def changes_since(self, seq: int, *, limit: int = 1000) -> list[Change]:
        return self.entries[seq : seq + limit]


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Feed:
    monkeypatch.setattr(broadcast_module, "LOOK_SECONDS", 0.001)
    return Feed()


def watching() -> int:
    """How many tasks there are besides the test's own."""
    return len(asyncio.all_tasks()) - 1


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 (there is no event for what is looked at)
            await asyncio.sleep(0.001)


async def next_seqs(mailbox: broadcast_module.Mailbox, count: int) -> list[int]:
    got = [await asyncio.wait_for(mailbox.get(), 5) for _ in range(count)]
    return [change.seq for change in got if change is not None]


def test_one_watcher_serves_all_and_ends_with_the_last(feed: Feed) -> None:
    async def scenario() -> None:
        broadcast = ChangeBroadcast(ChangeCounter(feed))
        assert watching() == 0
        with broadcast.listen() as first:
            with broadcast.listen() as second:
                assert watching() == 1
                feed.add(3)
                assert await next_seqs(first, 3) == await next_seqs(second, 3) == [1, 2, 3]
            feed.add(1)
            assert await next_seqs(first, 1) == [4]
            assert second.empty()
        await asyncio.sleep(0)
        assert watching() == 0
        looks = feed.looks
        await asyncio.sleep(0.01)
        assert feed.looks == looks

    asyncio.run(scenario())


def test_one_that_does_not_keep_up_is_sent_away_and_leaves_no_second_broadcast(feed: Feed) -> None:
    async def scenario() -> None:
        broadcast = ChangeBroadcast(ChangeCounter(feed))
        with contextlib.ExitStack() as slow:
            mailbox = slow.enter_context(broadcast.listen())
            feed.add(5000)
            await eventually(lambda: not broadcast._mailboxes)
            assert await asyncio.wait_for(mailbox.get(), 5) is None
            with broadcast.listen() as other:  # comes before the slow one has noticed
                assert watching() == 1
                slow.close()
                feed.add(1)
                assert await next_seqs(other, 1) == [5001]
            await asyncio.sleep(0)
        assert watching() == 0

    asyncio.run(scenario())


def test_a_database_that_fails_for_a_while_loses_nothing(
    feed: Feed, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        broadcast = ChangeBroadcast(ChangeCounter(feed))
        with broadcast.listen() as mailbox:
            feed.failing = True
            feed.add(2)
            await eventually(lambda: "cannot be read" in caplog.text)
            feed.failing = False
            assert await next_seqs(mailbox, 2) == [1, 2]

    asyncio.run(scenario())


def test_a_stream_that_is_closed_takes_its_watcher_along(feed: Feed) -> None:
    async def scenario() -> None:
        counter = ChangeCounter(feed)
        broadcast = ChangeBroadcast(counter)
        rest: Any = dict.fromkeys(Backend._fields)
        rest |= {"counter": counter, "broadcast": broadcast, "closing": asyncio.Event()}
        backend = Backend(**rest)
        stream = cast("Any", _events(backend, None))
        assert b"event: hello" in await anext(stream)
        assert watching() == 1
        await stream.aclose()
        await asyncio.sleep(0)
        assert watching() == 0

    asyncio.run(scenario())


def test_a_stream_that_finds_no_place_ends_at_once(feed: Feed) -> None:
    async def scenario() -> None:
        counter = ChangeCounter(feed)
        broadcast = ChangeBroadcast(counter)
        rest: Any = dict.fromkeys(Backend._fields)
        rest |= {"counter": counter, "broadcast": broadcast, "closing": asyncio.Event()}
        backend = Backend(**rest)
        with contextlib.ExitStack() as others:
            for _ in range(MOST_STREAMS):
                assert others.enter_context(broadcast.places.take())
            assert [part async for part in _events(backend, None)] == []
            assert broadcast.places.are_taken
        assert not broadcast.places.are_taken

    asyncio.run(scenario())
