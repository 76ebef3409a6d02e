"""``serve`` as a process: where it listens, what it refuses, how it ends."""

from __future__ import annotations

import json
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from claude_tasks.domain.run import State
from cli.program import ended
from support.server import Server
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cli.program import Program
    from support.installation import Installation

LONG = "[case:slow_tool seconds=60]"
YEARLY = "0 3 1 1 *"
LONGEST_STOP = 3.0
"""Seconds from SIGTERM to the end of the process, whatever is open: the contract's."""


class _Line:
    """A raw connection to a server."""

    def __init__(self, port: int, text: str = "") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.got = b""
        if text:
            head = text.replace("\n", "\r\n").replace("HOST", f"127.0.0.1:{port}")
            self.socket.sendall(head.encode())

    def read_until(self, part: bytes) -> None:
        while part not in self.got:
            piece = self.socket.recv(65536)
            assert piece, f"closed before {part!r}: {self.got!r}"
            self.got += piece

    def read_to_the_end(self) -> bytes:
        try:
            while piece := self.socket.recv(65536):
                self.got += piece
        except ConnectionResetError:
            return self.got + b"(reset)"
        return self.got


@pytest.fixture
def connect() -> Iterator[Callable[..., _Line]]:
    """Opens raw connections; the first bytes with HOST filled in."""
    opened: list[_Line] = []

    def open_one(server: Server | int, text: str = "") -> _Line:
        port = server if isinstance(server, int) else server.port
        opened.append(_Line(port, text))
        return opened[-1]

    yield open_one
    for line in opened:
        line.socket.close()


@pytest.fixture
def serve(program: Program) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(*flags: str, **environment: str) -> Server:
        started.append(Server(program.installation, *flags, **environment))
        return started[-1]

    yield start
    for server in started:
        server.close()


def _nothing_started(installation: Installation) -> None:
    """No node, no lock of one, no attempt on the lease."""
    assert installation.query("SELECT id FROM nodes") == []
    assert not list((installation.data / "nodes").glob("*.lock"))
    assert installation.query("SELECT holder, epoch, renew_seq FROM scheduler_leases") == [
        (None, 0, 0)
    ]
    assert installation.query("SELECT topic FROM changes") == []


def test_port_0_takes_a_free_one_and_says_which(serve: Callable[..., Server]) -> None:
    server = serve()
    assert server.port > 0
    assert server.get("/health")["status"] == "ok"
    lines = [line for line in server.log.splitlines() if not line.startswith("20")]
    docs = f"docs: {server.address}/schema"
    assert lines == [
        "Serve scheduler: enabled (leader=true)",
        f"Listening on {server.address}/api/v1 (no token is required; {docs})",
    ]
    assert server.log.startswith("Serve scheduler: "), "before anything else, logs too"


def test_port_and_host_come_from_the_environment_too(program: Program) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program.environment |= {"CLAUDE_TASKS_HOST": "localhost", "CLAUDE_TASKS_PORT": str(port)}
    process = program.open("serve")
    assert process.stdout is not None
    process.stdout.readline()
    assert f"Listening on http://127.0.0.1:{port}/api/v1" in process.stdout.readline()


def test_a_port_in_use_is_an_error_before_anything_starts(program: Program) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = program("serve", "--port", str(port))
        as_json = program("serve", "--port", str(port), "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"127.0.0.1:{port} is in use already" in done.stderr
    assert "claude-tasks serve --port 0" in done.stderr
    assert (as_json.returncode, as_json.stdout) == (1, "")
    assert json.loads(as_json.stderr)["code"] == "port_in_use"
    _nothing_started(program.installation)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "203.0.113.7", "tasks.example.org"])
def test_beyond_this_machine_it_is_refused_without_a_token(program: Program, host: str) -> None:
    done = program("serve", "--port=0", f"--host={host}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "without a token" in done.stderr
    assert "claude-tasks token new" in done.stderr
    _nothing_started(program.installation)


def test_without_a_token_on_request_it_warns(program: Program) -> None:
    process = program.open("serve", "--port=0", "--host=0.0.0.0", "--insecure-no-auth")
    assert process.stdout is not None
    assert process.stdout.readline() == "Serve scheduler: enabled (leader=true)\n"
    line = process.stdout.readline()
    port = line.partition("http://0.0.0.0:")[2].partition("/")[0]
    answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/tasks", trust_env=False)
    assert answer.status_code == 200
    process.send_signal(signal.SIGTERM)
    code, _, err = ended(process)
    assert code == 0
    assert "WARNING: 0.0.0.0 is open to everyone" in err


def test_with_a_stored_token_it_listens_everywhere_and_asks_for_it(
    program: Program, serve: Callable[..., Server]
) -> None:
    token = program("token", "new").stdout.strip()
    server = serve("--host", "0.0.0.0")
    assert "a token is required" in server.log
    assert "WARNING: 0.0.0.0" not in server.log
    local = f"http://127.0.0.1:{server.port}/api/v1"
    with httpx.Client(base_url=local, trust_env=False) as client:
        assert client.get("/health").status_code == 200
        assert client.get("/tasks").status_code == 401
        bearer = {"Authorization": f"Bearer {token}"}
        assert client.get("/tasks", headers=bearer).status_code == 200
    assert token not in server.log


@pytest.mark.parametrize(
    ("flags", "environment", "code", "words"),
    [
        (["--port=many"], {}, 2, "--port: 'many'"),
        (["--port=70000"], {}, 2, "at most 65535"),
        (["--port=-1"], {}, 2, "at least 0"),
        ([], {"CLAUDE_TASKS_PORT": "http"}, 2, "CLAUDE_TASKS_PORT"),
        (["--host=203.0.113.7", "--insecure-no-auth"], {}, 1, "an address of this machine"),
        (["--host=256.1.1.1", "--insecure-no-auth"], {}, 1, "an address of this machine"),
        ([], {"CLAUDE_TASKS_CORS_ORIGIN": "*"}, 2, "CLAUDE_TASKS_CORS_ORIGIN"),
        ([], {"CLAUDE_TASKS_ALLOWED_HOSTS": "a b"}, 2, "CLAUDE_TASKS_ALLOWED_HOSTS"),
        (["--scheduler=auto"], {}, 2, "one of: true, false"),
        (["--log-level=loud"], {}, 2, "one of: debug"),
    ],
)
def test_a_bad_setting_is_refused_before_anything_starts(
    program: Program, flags: list[str], environment: dict[str, str], code: int, words: str
) -> None:
    program.environment |= environment
    done = program("serve", *(flags if "--port" in "".join(flags) else ["--port=0", *flags]))
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    _nothing_started(program.installation)


def test_a_manual_run_works_with_the_scheduler_off(serve: Callable[..., Server]) -> None:
    server = serve("--scheduler=false")
    due = server.add(name="due", cron_expr="* * * * * *")
    manual = server.add(name="manual")
    run = server.ended(server.run(manual["id"]))
    assert (run["state"], run["trigger"]) == ("completed", "manual")
    [node] = server.get("/scheduler")["nodes"]
    assert (node["role"], node["scheduler"], node["leads"]) == ("serve", False, False)
    wait_until(lambda: time.time() * 1000 > server.installation.runs()[0].queued_at + 2500)
    assert server.get(f"/tasks/{due['id']}/runs")["total"] == 0
    rows = server.installation.query("SELECT holder, epoch, renew_seq FROM scheduler_leases")
    assert rows == [(None, 0, 0)]


def test_a_run_asked_for_at_a_follower_is_executed_there(serve: Callable[..., Server]) -> None:
    leader, follower = serve(), serve()
    assert "leader is serve pid" in follower.log
    task = follower.add()
    follower.ended(follower.run(task["id"]))
    [run] = follower.installation.runs()
    nodes = {node["pid"]: node["id"] for node in leader.get("/scheduler")["nodes"]}
    assert run.claimed_by == nodes[follower.process.pid]


def test_with_the_run_queue_disabled_there_is_a_503_and_no_row(
    serve: Callable[..., Server],
) -> None:
    server = serve(CLAUDE_TASKS_API_RUN_CONCURRENCY="0")
    task = server.add()
    answer = server.client.post(f"/tasks/{task['id']}/run")
    assert answer.status_code == 503
    assert answer.json()["error"] == "Task execution queue is disabled"
    assert server.installation.runs() == []


def _open_everything(
    connect: Callable[..., _Line], server: Server, task_id: int, run_id: int
) -> dict[str, _Line]:
    """Streams that never end, a connection that idles, requests that are half there."""
    lines = {
        "events": connect(server, "GET /api/v1/events HTTP/1.1\nHost: HOST\n\n"),
        "run": connect(server, f"GET /api/v1/runs/{run_id}/events HTTP/1.1\nHost: HOST\n\n"),
        "idle": connect(server, f"GET /api/v1/tasks/{task_id} HTTP/1.1\nHost: HOST\n\n"),
        "silent": connect(server),
        "half a line": connect(server, "GET /api/v1/ta"),
        "half a body": connect(
            server,
            "POST /api/v1/tasks HTTP/1.1\nHost: HOST\nContent-Type: application/json\n"
            'Content-Length: 100\n\n{"name": ',
        ),
    }
    lines["events"].read_until(b"event: hello")
    lines["run"].read_until(b"event: agent")
    lines["idle"].read_until(b'"name"')
    return lines


def test_sigterm_ends_within_3_seconds_with_streams_open(
    program: Program, serve: Callable[..., Server], connect: Callable[..., _Line]
) -> None:
    server = serve()
    task = server.add(prompt=LONG)
    run_id = server.run(task["id"])
    lines = _open_everything(connect, server, task["id"], run_id)
    daemon = program.open("daemon")
    assert daemon.stdout is not None
    assert "leader is serve pid" in daemon.stdout.readline()

    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: program.installation.leader_pid() == daemon.pid, what="the daemon leads")
    assert server.process.poll() is None, "the lease is free before the last answers are sent"
    code = server.process.wait(timeout=20)
    assert time.monotonic() - began < LONGEST_STOP
    assert code == 0
    for name in ("events", "run"):
        assert lines[name].read_to_the_end().endswith(b"0\r\n\r\n"), "streams end in good order"
    for name in ("idle", "silent", "half a line"):
        lines[name].read_to_the_end()
    assert lines["half a body"].read_to_the_end().startswith(b"HTTP/1.1 503")
    assert "Traceback" not in server.log

    # The agent is left to its supervisor, and the next leader watches it.
    [run] = wait_until(lambda: _adopted_by(program, daemon.pid), what="the run is adopted")
    assert (run.id, run.state) == (run_id, State.RUNNING)
    assert program("cancel", str(run_id), "--wait").returncode == 0
    assert [run.state for run in program.installation.runs()] == [State.CANCELLED]
    program.installation.check()


def _adopted_by(program: Program, pid: int) -> list[Any]:
    nodes = {node.pid: node.id for node in program.installation.operations.status.living_nodes()}
    return [run for run in program.installation.runs() if run.claimed_by == nodes[pid]]


def test_sigterm_ends_within_3_seconds_though_a_client_reads_nothing(
    serve: Callable[..., Server], connect: Callable[..., _Line]
) -> None:
    server = serve()
    for place in range(200):
        server.installation.add(name=f"task {place}", prompt="x" * 20_000, cron_expr=YEARLY)
    deaf = connect(server)
    deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    request = f"GET /api/v1/tasks HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n"
    deaf.socket.sendall(request.encode() * 5)
    assert deaf.socket.recv(1), "the answer has begun"
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < LONGEST_STOP


def test_a_server_that_stops_answers_what_was_asked_before(
    serve: Callable[..., Server], connect: Callable[..., _Line]
) -> None:
    server = serve()
    body = b'{"name": "late", "prompt": "hello", "cron_expr": "0 3 1 1 *", "enabled": true}'
    late = connect(
        server,
        "POST /api/v1/tasks HTTP/1.1\nHost: HOST\nContent-Type: application/json\n"
        f"Content-Length: {len(body)}\n\n",
    )
    late.socket.sendall(body[:20])
    server.get("/health")  # by then the half request has been read
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not server.installation.operations.status.living_nodes(), what="it stops")
    for impatient in (signal.SIGTERM, signal.SIGINT):
        server.process.send_signal(impatient)
    late.socket.sendall(body[20:])
    assert server.process.wait(timeout=20) == 0
    assert late.read_to_the_end().startswith(b"HTTP/1.1 201")
    assert [entry.task.name for entry in server.installation.operations.tasks.list()] == ["late"]


def test_the_log_is_json_throughout_when_asked_for(
    program: Program, connect: Callable[..., _Line]
) -> None:
    process = program.open("serve", "--port=0", "--log-format=json", "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["mode"] == "on"
    port = int(json.loads(process.stdout.readline())["address"].rpartition(":")[2])
    broken = connect(port, "NO SUCH THING\n\n")
    assert broken.read_to_the_end().startswith(b"HTTP/1.1 400")
    process.send_signal(signal.SIGTERM)
    code, out, err = ended(process)
    assert (code, out) == (0, "")
    records = [json.loads(line) for line in err.splitlines()]
    assert "Invalid HTTP request received." in [record["message"] for record in records]
