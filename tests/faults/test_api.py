"""Faults around the API: a database that fails, clients that hang up, crowds, kill -9."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import sqlite3
import struct
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from claude_tasks.domain.run import State
from claude_tasks.domain.task_fields import Overlap
from support.server import Server
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.installation import Installation

YEARLY = "0 3 1 1 *"
CROWD = 200
SHORT = "[case:slow_tool seconds=2]"
INSIDE = ("tasks.db", "/tmp", "sqlite", "select ", "insert ", "traceback", "no such table", ".py")
"""What no answer may show of the server."""


@pytest.fixture
def serve(installation: Installation) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(*flags: str, **environment: str) -> Server:
        started.append(Server(installation, *flags, **environment))
        return started[-1]

    yield start
    for server in started:
        server.close()


def test_a_task_whose_row_makes_no_sense_is_named_and_can_be_deleted(
    installation: Installation, serve: Callable[..., Server]
) -> None:
    server = serve()
    bad, good = server.add()["id"], server.add()["id"]
    with contextlib.closing(sqlite3.connect(installation.database)) as other, other:
        other.execute("UPDATE tasks SET extra_args = 'x', revision = 9 WHERE id = ?", (bad,))
        other.execute("INSERT INTO changes (topic, ref, at) VALUES ('task', '1', 0)")
    for method, path in (("GET", ""), ("PATCH", ""), ("POST", "/toggle"), ("POST", "/run")):
        answer = server.client.request(method, f"/tasks/{bad}{path}", json={})
        body = answer.json()
        assert (answer.status_code, body["code"]) == (500, "storage_illegible"), answer.text
        assert f"task {bad}" in body["error"]
        assert body["hint"] == f"take it away with: claude-tasks rm {bad}"
    assert [task["id"] for task in server.get("/tasks")["tasks"]] == [good]
    assert server.client.delete(f"/tasks/{bad}").status_code == 200
    assert server.client.get(f"/tasks/{bad}").status_code == 404


def _task(name: str = "new", **fields: Any) -> dict[str, Any]:
    return {"name": name, "prompt": "hello", "cron_expr": YEARLY, "enabled": True, **fields}


def _names(installation: Installation) -> list[str]:
    return [name for (name,) in installation.query("SELECT name FROM tasks ORDER BY id")]


def _tells_nothing(answer: httpx.Response) -> None:
    body = answer.text.lower()
    assert not [part for part in INSIDE if part in body], answer.text
    assert answer.json()["error"]
    assert "retry-after" in answer.headers


def test_a_locked_database_is_a_503_and_nothing_is_half_done(
    installation: Installation, serve: Callable[..., Server]
) -> None:
    server = serve()
    task = server.add()
    with contextlib.closing(sqlite3.connect(installation.database)) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        answer = server.client.post("/tasks", json=_task())
        assert answer.status_code == 503
        assert answer.json()["code"] == "storage_busy"
        _tells_nothing(answer)
        assert server.get(f"/tasks/{task['id']}")["name"] == "task", "reading goes on"
        # Not even the lease can be renewed: the leader steps down, and lives.
        wait_until(lambda: "leadership lost" in server.log, what="it steps down")
        other.execute("ROLLBACK")
    wait_until(lambda: installation.leader_pid() == server.process.pid and installation.epoch() > 1)
    assert server.client.post("/tasks", json=_task()).status_code == 201
    assert _names(installation) == ["task", "new"]


def test_a_broken_database_is_a_500_and_never_a_404(
    installation: Installation, serve: Callable[..., Server]
) -> None:
    server = serve()
    task = server.add()["id"]
    run = server.run(task)
    server.ended(run)
    broken = sqlite3.connect(installation.database)
    with contextlib.closing(broken):
        broken.execute("ALTER TABLE tasks RENAME TO gone")
        broken.execute("ALTER TABLE task_runs RENAME TO lost")
        broken.execute("ALTER TABLE scheduler_leases RENAME TO free")
        # Somebody changed something: no kept answer is good any more.
        broken.execute("INSERT INTO changes (topic, ref, at) VALUES ('task', '1', 0)")
        broken.commit()
    for method, path, body in (
        ("GET", "/tasks", None),
        ("GET", f"/tasks/{task}", None),
        ("GET", f"/tasks/{task + 1}", None),
        ("POST", "/tasks", _task()),
        ("PUT", f"/tasks/{task}", _task()),
        ("PATCH", f"/tasks/{task}", {"name": "x"}),
        ("DELETE", f"/tasks/{task}", None),
        ("POST", f"/tasks/{task}/toggle", None),
        ("POST", f"/tasks/{task}/run", None),
        ("GET", f"/tasks/{task}/runs", None),
        ("GET", f"/tasks/{task}/runs/latest", None),
        ("GET", f"/tasks/{task}/why", None),
        ("GET", f"/runs/{run}", None),
        ("GET", f"/runs/{run}/events", None),
        ("POST", f"/runs/{run}/cancel", None),
        ("GET", "/runs", None),
        ("GET", "/scheduler", None),
    ):
        answer = server.client.request(method, path, json=body)
        assert answer.status_code == 500, f"{method} {path}: {answer.text}"
        _tells_nothing(answer)
    assert "no such table" in server.log, "the log says more"
    wait_until(lambda: "(leader=false)" in server.log, what="it steps down and says so")
    assert server.get("/health")["status"] == "ok"
    assert server.stop() == 0


def test_a_file_full_of_garbage_is_a_500_and_the_server_says_so_and_lives(
    installation: Installation, serve: Callable[..., Server]
) -> None:
    server = serve()
    for place in range(50):
        installation.add(name=f"task {place}", prompt="x" * 5000, cron_expr=YEARLY)
    for path in (installation.database, installation.database.with_name("tasks.db-wal")):
        with path.open("r+b") as file:
            file.write(os.urandom(path.stat().st_size))

    def failed() -> httpx.Response | None:
        answer = server.client.post("/tasks", json=_task())
        return answer if answer.status_code != 201 else None

    answer = wait_until(failed, what="a write fails")
    assert answer is not None
    assert answer.status_code == 500
    _tells_nothing(answer)
    for place in range(1, 51):
        answer = server.client.get(f"/tasks/{place}/runs")
        assert answer.status_code != 404
        if answer.status_code != 200:
            _tells_nothing(answer)
    assert server.get("/health")["status"] == "ok"
    wait_until(lambda: "leadership lost" in server.log, what="it steps down")
    server.get("/health")
    assert server.stop() == 0


class _Client:
    """A client that speaks HTTP by hand, to break off where it likes."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        self._host = f"127.0.0.1:{server.port}"

    def send_head(self, path: str, framing: str) -> None:
        self.socket.sendall(
            f"POST /api/v1{path} HTTP/1.1\r\nHost: {self._host}\r\n"
            f"Content-Type: application/json\r\n{framing}\r\n\r\n".encode()
        )

    def hang_up(self, *, rudely: bool) -> None:
        """Close; ``rudely`` with a reset, as a phone that loses its network."""
        if rudely:
            linger = struct.pack("ii", 1, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of others are Linux's alone")
def test_connections_of_anybody_leave_the_node_able_to_run_what_is_due(
    installation: Installation, serve: Callable[..., Server]
) -> None:
    server = serve(CLAUDE_TASKS_AUTH_TOKEN="t" * 32)
    limit = 400
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
    before = server.add()["id"]  # the client keeps this connection
    with contextlib.ExitStack() as stack:
        crowd = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))
            for _ in range(limit + 50)
        ]
        server.get("/health")
        crowd[0].settimeout(5)  # long before its time for headers is over
        with contextlib.suppress(ConnectionResetError):
            assert crowd[0].recv(1) == b"", "it made room for the others"
        installation.add(name="due", cron_expr="* * * * * *")
        installation.wait_for_runs(2, State.COMPLETED)
        run_id = server.run(before)
        assert server.ended(run_id)["state"] == "completed"
    assert "Too many open files" not in server.log
    assert server.add()["id"] > before


@pytest.mark.parametrize("rudely", [False, True], ids=["close", "reset"])
def test_a_client_that_hangs_up_in_the_middle_of_its_body_creates_nothing(
    installation: Installation,
    serve: Callable[..., Server],
    rudely: bool,  # noqa: FBT001 (a parameter of the table)
) -> None:
    server = serve()
    # Whole JSON, but less than was announced: only the announced end makes it a request.
    body = json.dumps(_task("half")).encode()
    chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n"
    for framing, sent in (
        (f"Content-Length: {len(body) + 1}", body),
        (f"Content-Length: {len(body)}", body[:-1]),
        ("Transfer-Encoding: chunked", chunk),
        ("Content-Length: 10", b""),
    ):
        before = server.log.count("hung up")
        client = _Client(server)
        client.send_head("/tasks", framing)
        client.socket.sendall(sent)
        server.get("/health")  # it has been read by now
        client.hang_up(rudely=rudely)
        wait_until(lambda: server.log.count("hung up") > before, what="it was noticed")  # noqa: B023 (called here)
    assert _names(installation) == []
    assert "Traceback" not in server.log


@pytest.mark.parametrize("rudely", [False, True], ids=["close", "reset"])
def test_a_client_that_hangs_up_after_its_request_loses_nothing(
    installation: Installation,
    serve: Callable[..., Server],
    rudely: bool,  # noqa: FBT001 (a parameter of the table)
) -> None:
    server = serve()
    wanted = [f"task {place}" for place in range(30)]
    for name in wanted:
        client = _Client(server)
        body = json.dumps(_task(name)).encode()
        client.send_head("/tasks", f"Content-Length: {len(body)}")
        client.socket.sendall(body)
        # A reset may overtake what lies in the receiver's queue; what was read is what counts.
        server.get("/health")
        client.hang_up(rudely=rudely)
    wait_until(lambda: len(_names(installation)) >= len(wanted), what="all are there")
    assert sorted(_names(installation)) == sorted(wanted)
    [first] = [entry for entry in server.get("/tasks")["tasks"] if entry["name"] == "task 0"]
    client = _Client(server)
    client.send_head(f"/tasks/{first['id']}/run", "Content-Length: 0")
    server.get("/health")
    client.hang_up(rudely=rudely)
    [run] = installation.wait_for_runs(1, State.COMPLETED)
    assert run.task_id == first["id"]
    assert "Traceback" not in server.log
    installation.check()


def _all_at_once(server: Server, requests: list[tuple[str, Any]]) -> list[httpx.Response]:
    """POST all of them at the same time, each on a connection of its own."""

    async def post_all() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=CROWD)
        async with httpx.AsyncClient(
            base_url=f"{server.address}/api/v1", limits=limits, timeout=60, trust_env=False
        ) as client:
            posts = [client.post(path, json=body) for path, body in requests]
            return list(await asyncio.gather(*posts))

    return asyncio.run(post_all())


def test_200_concurrent_creates_are_200_tasks(
    installation: Installation, serve: Callable[..., Server]
) -> None:
    server = serve()
    names = [f"task {place}" for place in range(CROWD)]
    answers = _all_at_once(server, [("/tasks", _task(name)) for name in names])
    assert Counter(answer.status_code for answer in answers) == {201: CROWD}
    assert [answer.json()["name"] for answer in answers] == names
    assert len({answer.json()["id"] for answer in answers}) == CROWD
    listed = server.get("/tasks")
    assert listed["total"] == CROWD
    assert {task["id"]: task["name"] for task in listed["tasks"]} == {
        answer.json()["id"]: answer.json()["name"] for answer in answers
    }
    assert sorted(_names(installation)) == sorted(names)


BUSY = {"CLAUDE_TASKS_MAX_CONCURRENT_RUNS": "16", "CLAUDE_TASKS_API_RUN_CONCURRENCY": "16"}


def _account_for(server: Server, answers: list[httpx.Response]) -> dict[State, int]:
    """Each answer has its row, each row its answer; how many of each state."""
    installation = server.installation
    told = {200: 0, 202: 0, 409: 0}
    seen: dict[int, int] = {}
    for answer in answers:
        told[answer.status_code] += 1
        assert answer.json()["run_id"] not in seen
        seen[answer.json()["run_id"]] = answer.status_code
    wait_until(
        lambda: not installation.runs(State.QUEUED) and not installation.runs(State.RUNNING),
        seconds=60,
        what="all have ended",
    )
    rows = {run.id: run for run in installation.runs()}
    assert rows.keys() == seen.keys()
    for run_id, status in seen.items():
        wanted = State.COMPLETED if status == 202 else State.SKIPPED
        assert rows[run_id].state is wanted
    return dict(Counter(run.state for run in rows.values()))


def test_200_concurrent_runs_of_200_tasks_are_200_runs(
    installation: Installation, serve: Callable[..., Server]
) -> None:
    tasks = [installation.add(name=f"task {n}", cron_expr=YEARLY).id for n in range(CROWD)]
    server = serve(**BUSY)
    answers = _all_at_once(server, [(f"/tasks/{task}/run", None) for task in tasks])
    assert {answer.status_code for answer in answers} == {202}
    assert _account_for(server, answers) == {State.COMPLETED: CROWD}
    assert sorted(run.task_id for run in installation.runs()) == sorted(tasks)
    installation.check()


def test_200_concurrent_runs_of_few_tasks_are_all_accounted_for(
    installation: Installation, serve: Callable[..., Server]
) -> None:
    allowed = [
        installation.add(name=f"allow {n}", cron_expr=YEARLY, overlap=Overlap.ALLOW).id
        for n in range(2)
    ]
    skipping = [installation.add(name=f"skip {n}", cron_expr=YEARLY).id for n in range(2)]
    server = serve(**BUSY)
    tasks = (allowed + skipping) * (CROWD // 4)
    answers = _all_at_once(server, [(f"/tasks/{task}/run", None) for task in tasks])
    for task, answer in zip(tasks, answers, strict=True):
        assert answer.status_code in ((202,) if task in allowed else (202, 409)), answer.text
        if answer.status_code == 409:
            assert answer.json()["code"] == "overlap"
    ended = _account_for(server, answers)
    assert sum(ended.values()) == CROWD
    assert ended[State.COMPLETED] >= CROWD // 2 + len(skipping)
    assert ended[State.SKIPPED] > 0
    installation.check()


def test_runs_survive_a_server_that_is_killed(
    installation: Installation, serve: Callable[..., Server]
) -> None:
    tasks = [installation.add(name=f"t{n}", prompt=SHORT, cron_expr=YEARLY).id for n in range(3)]
    server = serve()
    for task in tasks:
        server.run(task)
    installation.wait_for_runs(3, State.RUNNING)
    for run in installation.runs():
        installation.supervisor_pid(run)
    server.process.kill()
    server.process.wait()
    again = serve("--port", str(server.port))  # no agent holds the port
    assert again.port == server.port
    runs = installation.wait_for_runs(3, State.COMPLETED)
    [node] = installation.operations.status.living_nodes()
    assert {run.claimed_by for run in runs} == {node.id}, "the next server has adopted them"
    assert {run.attempt for run in runs} == {1}
    installation.check()


def test_a_run_asked_for_at_a_server_that_dies_goes_to_the_next_leader(
    installation: Installation, serve: Callable[..., Server]
) -> None:
    server = serve("--scheduler=false", CLAUDE_TASKS_API_RUN_CONCURRENCY="1")
    first = server.run(server.add(name="first", prompt=SHORT)["id"])
    installation.wait_for_runs(1, State.RUNNING)
    second = server.run(server.add(name="second")["id"])
    assert installation.operations.runs.get(second).state is State.QUEUED
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    installation.start_leader()
    runs = installation.wait_for_runs(2, State.COMPLETED)
    assert {run.id for run in runs} == {first, second}
    [node] = installation.operations.status.living_nodes()
    assert installation.operations.runs.get(second).claimed_by == node.id
    installation.check()


def test_nothing_is_lost_when_a_server_is_killed_under_a_crowd(
    installation: Installation, serve: Callable[..., Server]
) -> None:
    """What was answered 202 exists and ends, whoever lives; what was not answered may exist."""
    tasks = [installation.add(name=f"task {n}", cron_expr=YEARLY).id for n in range(60)]
    server = serve(**BUSY)
    promised: list[int] = []

    async def ask(client: httpx.AsyncClient, task: int) -> None:
        with contextlib.suppress(httpx.TransportError):
            answer = await client.post(f"/tasks/{task}/run")
            assert answer.status_code == 202
            promised.append(answer.json()["run_id"])
            if len(promised) == 20:
                server.process.kill()

    async def crowd() -> None:
        base = f"{server.address}/api/v1"
        async with httpx.AsyncClient(base_url=base, timeout=30, trust_env=False) as client:
            await asyncio.gather(*(ask(client, task) for task in tasks))

    asyncio.run(crowd())
    server.process.wait()
    installation.start_leader(**BUSY)
    wait_until(
        lambda: not installation.runs(State.QUEUED) and not installation.runs(State.RUNNING),
        seconds=60,
    )
    rows = {run.id: run for run in installation.runs()}
    assert len(promised) >= 20
    for run_id in promised:
        run = rows[run_id]
        assert run.state is State.COMPLETED or (run.state, run.reason) == (State.FAILED, "lost")
    installation.check()


def test_a_server_that_does_not_schedule_adopts_what_its_killed_predecessor_ran(
    installation: Installation,
) -> None:
    """Nobody schedules here: nobody else would ever record how the run ended."""
    first = Server(installation, "--scheduler=false")
    task = first.add(prompt="[case:slow_tool seconds=1]", working_dir=str(installation.folder))
    run_id = first.run(task["id"])
    installation.supervisor_pid(installation.wait_for_runs(1, State.RUNNING)[0])
    first.process.kill()
    first.process.wait()
    first.close()
    second = Server(installation, "--scheduler=false")
    assert second.ended(run_id)["state"] == "completed"
    assert installation.epoch() == 0
    second.close()
