"""Who gets in: tokens, hosts, origins, web pages and bodies. Real sockets of a real ``serve``."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from support.installation import Installation
from support.server import Server
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL = "full-3f1c9a7be20d4c58"
READ = "read-91d0c4e6a8f24b7d"
DISCORD = "https://discord.example/api/webhooks/1/secret-of-discord"
SLACK = "https://hooks.slack.example/services/secret-of-slack"
FRIEND = "https://tasks.example.org"
FOREIGN = "https://evil.example"
MIB = 1024 * 1024


def _started(folder: Any, **environment: str) -> Iterator[Server]:
    installation = Installation(folder)
    try:
        server = Server(installation, "--log-level=debug", **environment)
        yield server
        server.close()
    finally:
        installation.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a full and a read-only token, and one friendly origin."""
    yield from _started(
        tmp_path_factory.mktemp("guarded"),
        CLAUDE_TASKS_AUTH_TOKEN=FULL,
        CLAUDE_TASKS_READ_TOKEN=READ,
        CLAUDE_TASKS_CORS_ORIGIN=FRIEND,
    )


@pytest.fixture(scope="module")
def open_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on loopback that asks for no token."""
    yield from _started(tmp_path_factory.mktemp("open"))


def _task(name: str = "task", **fields: Any) -> dict[str, Any]:
    return {"name": name, "prompt": "hello", "cron_expr": "0 3 1 1 *", "enabled": True, **fields}


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _bare(server: Server) -> httpx.Client:
    """A client that sends no token of its own."""
    return httpx.Client(base_url=f"{server.address}/api/v1", trust_env=False, timeout=15)


def _total(server: Server) -> int:
    return int(server.installation.query("SELECT COUNT(*) FROM tasks")[0][0])


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Bearer",
        "Bearer wrong",
        f"Bearer {FULL[:-1]}",
        f"Bearer {FULL}x",
        f"Bearer {FULL.upper()}",
        f"Basic {FULL}",
        f"Token {FULL}",
        FULL,
    ],
)
def test_without_the_right_token_there_is_a_401(guarded: Server, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    before = _total(guarded)
    with _bare(guarded) as client:
        for method, path in (("GET", "/tasks"), ("POST", "/tasks"), ("GET", "/nowhere")):
            body = _task() if method == "POST" else None
            answer = client.request(method, path, headers=headers, json=body)
            assert answer.status_code == 401
            assert answer.json()["error"] == "Unauthorized"
            assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get("/health", headers=headers).status_code == 200
    assert _total(guarded) == before


def test_a_token_in_the_query_is_no_token(guarded: Server) -> None:
    with _bare(guarded) as client:
        for name in ("token", "access_token", "auth"):
            assert client.get("/tasks", params={name: FULL}).status_code == 401


def test_whoever_guesses_is_slowed_down(installation: Installation) -> None:
    server = Server(installation, CLAUDE_TASKS_AUTH_TOKEN=FULL)
    with _bare(server) as client:
        answers = [client.get("/tasks", headers=_bearer(f"guess {n}")) for n in range(15)]
    server.close()
    statuses = [answer.status_code for answer in answers]
    assert statuses == sorted(statuses)
    assert set(statuses) == {401, 429}
    assert int(answers[-1].headers["retry-after"]) > 0


def test_the_read_only_token_changes_nothing(guarded: Server) -> None:
    task = guarded.add(name="kept")
    run = guarded.run(task["id"])
    guarded.ended(run)
    before = guarded.get(f"/tasks/{task['id']}")
    place = f"/tasks/{task['id']}"
    for method, path, body in (
        ("POST", "/tasks", _task("by a reader")),
        ("PUT", place, _task("by a reader")),
        ("PATCH", place, {"name": "by a reader"}),
        ("DELETE", place, None),
        ("POST", f"{place}/toggle", None),
        ("POST", f"{place}/run", None),
        ("POST", f"/runs/{run}/cancel", None),
        ("PUT", "/settings", {"usage_threshold": 1}),
    ):
        answer = guarded.client.request(method, path, json=body, headers=_bearer(READ))
        assert answer.status_code == 403, f"{method} {path}"
        assert answer.json()["code"] == "read_only"
    assert guarded.get(place) == before
    assert guarded.get(f"{place}/runs")["total"] == 1


def test_the_read_only_token_reads_everything_but_secrets(guarded: Server) -> None:
    task = guarded.add(name="notifies", discord_webhook=DISCORD, slack_webhook=SLACK)
    run = guarded.run(task["id"])
    guarded.ended(run)
    place = f"/tasks/{task['id']}"
    for path in (
        "/tasks", place, f"{place}/runs", f"{place}/runs/latest", f"{place}/runs/{run}",
        f"{place}/why", f"/runs/{run}", f"/runs/{run}/events", "/runs", "/scheduler", "/settings",
        "/metrics", "/schema",
    ):  # fmt: skip
        answer = guarded.client.get(path, headers=_bearer(READ))
        assert answer.status_code == 200, f"{path}: {answer.text}"
        for secret in (DISCORD, SLACK, "secret-of", FULL, READ):
            assert secret not in answer.text, path
    read = guarded.client.get(place, headers=_bearer(READ)).json()
    assert read["name"] == "notifies"
    assert not {"discord_webhook", "slack_webhook"} & read.keys()
    for seen in (guarded.get(place), guarded.get("/tasks")["tasks"][0]):
        assert (seen["discord_webhook"], seen["slack_webhook"]) == (DISCORD, SLACK)
    with guarded.client.stream("GET", "/events", headers=_bearer(READ)) as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("event: ")) == "event: hello"
        guarded.client.patch(place, json={"name": "notifies more"})
        told = next(line for line in lines if "notifies more" in line)
    assert "secret-of" not in told


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "tasks.example.org", ""]
)
def test_a_foreign_host_is_refused(guarded: Server, open_one: Server, host: str) -> None:
    for server in (guarded, open_one):
        before = _total(server)
        for method in ("GET", "POST"):
            body = _task() if method == "POST" else None
            answer = server.client.request(method, "/tasks", json=body, headers={"Host": host})
            assert answer.status_code == 403
            assert answer.json()["code"] == "host_refused"
        assert _total(server) == before


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_names_of_this_machine_are_no_foreign_hosts(open_one: Server, host: str) -> None:
    headers = {"Host": f"{host}:{open_one.port}"}
    assert open_one.client.get("/tasks", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "origin", [FOREIGN, "null", "http://localhost:1", f"{FRIEND}.evil.example"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_foreign_origin_is_refused(
    guarded: Server, open_one: Server, method: str, origin: str
) -> None:
    for server in (guarded, open_one):
        before = _total(server)
        body = _task() if method in ("POST", "PUT", "PATCH") else None
        path = "/tasks" if method in ("GET", "POST", "OPTIONS") else "/tasks/1"
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = server.client.request(method, path, json=body, headers=headers)
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
        assert _total(server) == before


def test_cors_is_for_the_one_friendly_origin(guarded: Server, open_one: Server) -> None:
    asked = {"Origin": FRIEND, "Access-Control-Request-Method": "POST"}
    with _bare(guarded) as client:  # a preflight carries no token
        preflight = client.options("/tasks", headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == FRIEND
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    answer = guarded.client.get("/tasks", headers={"Origin": FRIEND})
    assert answer.headers["access-control-allow-origin"] == FRIEND
    assert "access-control-allow-credentials" not in answer.headers
    assert "access-control-allow-origin" not in guarded.client.get("/tasks").headers
    made = guarded.client.post("/tasks", json=_task("by a friend"), headers={"Origin": FRIEND})
    assert made.status_code == 201
    assert open_one.client.options("/tasks", headers=asked).status_code == 403
    own = open_one.client.get("/tasks", headers={"Origin": f"{open_one.address}"})
    assert own.status_code == 200
    assert "access-control-allow-origin" not in own.headers


FORM = "application/x-www-form-urlencoded"
PLAIN = json.dumps(_task("by a web page"))
FORMS = [
    (FORM, "name=by+a+web+page&prompt=rm&cron_expr=&enabled=true"),
    (FORM, PLAIN),
    ("text/plain", PLAIN),
    ("text/plain;charset=UTF-8", PLAIN),
    ("text/plain, application/json", PLAIN),
    (
        "multipart/form-data; boundary=x",
        f'--x\r\nContent-Disposition: form-data; name="{PLAIN}"\r\n\r\n\r\n--x--\r\n',
    ),
    ("", PLAIN),
]
"""What a page may send to anywhere without asking first (the Fetch standard's simple requests)."""


@pytest.mark.parametrize(("media_type", "content"), FORMS)
@pytest.mark.parametrize(
    "page",
    [
        {"Origin": FOREIGN},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {},
    ],
    ids=["foreign origin", "null origin", "cross-site", "same-site", "neither"],
)
def test_a_web_page_cannot_create_a_task(
    open_one: Server, media_type: str, content: str, page: dict[str, str]
) -> None:
    before = _total(open_one)
    headers = {**page, **({"Content-Type": media_type} if media_type else {})}
    answer = open_one.client.post("/tasks", content=content, headers=headers)
    assert answer.status_code == (403 if page else 415)
    assert _total(open_one) == before


def test_a_task_is_only_run_by_no_web_page(open_one: Server) -> None:
    """A POST without a body needs no type: its source alone decides."""
    task = open_one.add()
    for page in ({"Origin": FOREIGN}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = open_one.client.post(f"/tasks/{task['id']}/run", headers=page)
        assert answer.status_code == 403
    assert open_one.get(f"/tasks/{task['id']}/runs")["total"] == 0


def test_a_body_over_1_mib_is_refused(open_one: Server) -> None:
    before = _total(open_one)
    overhead = len(json.dumps(_task(prompt="")).encode())
    just = json.dumps(_task("large", prompt="x" * (MIB - overhead - 1))).encode()
    assert len(just) == MIB
    over = just.replace(b'"x', b'"xx', 1)
    headers = {"Content-Type": "application/json"}
    for body in (over, over * 4, iter([over[:MIB], over[MIB:]])):
        answer = open_one.client.post("/tasks", content=body, headers=headers)
        assert answer.status_code == 413
        assert answer.json()["error"] == "Request body over 1 MiB"
    assert _total(open_one) == before
    assert open_one.client.post("/tasks", content=just, headers=headers).status_code == 201


def test_an_announced_giant_is_refused_before_it_is_sent(open_one: Server) -> None:
    with socket.create_connection(("127.0.0.1", open_one.port), timeout=10) as client:
        client.sendall(
            f"POST /api/v1/tasks HTTP/1.1\r\nHost: 127.0.0.1:{open_one.port}\r\n"
            "Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n".encode()
        )
        assert client.recv(100).startswith(b"HTTP/1.1 413")


def test_no_secret_is_ever_logged(installation: Installation) -> None:
    """At the most talkative level, with webhooks that fail and tokens that are wrong."""
    server = Server(
        installation,
        "--log-level=debug",
        CLAUDE_TASKS_AUTH_TOKEN=FULL,
        CLAUDE_TASKS_READ_TOKEN=READ,
    )
    hooks = {"discord_webhook": DISCORD, "slack_webhook": SLACK}
    task = server.add(prompt="[case:api_error status=400]", notify_on="always", **hooks)
    place = f"/tasks/{task['id']}"
    assert server.client.put(place, json=_task(**hooks)).status_code == 200
    assert server.client.patch(place, json=hooks).status_code == 200
    server.ended(server.run(task["id"]))
    for broken in (
        {**_task(), **hooks, "surplus": DISCORD},
        {**_task(), "discord_webhook": 7, "slack_webhook": SLACK},
        {**_task(name=""), **hooks},
    ):
        answer = server.client.post("/tasks", json=broken)
        assert answer.status_code == 400
    with _bare(server) as client:
        client.get("/tasks", headers=_bearer("wrong-" + FULL))
        client.get("/tasks", headers=_bearer(FULL[:-1]))
        client.get("/tasks", params={"token": FULL})
        client.post("/tasks", json={**_task(), **hooks}, headers=_bearer(READ))
        client.get("/tasks", headers={**_bearer(FULL), "Host": "evil.example"})
        client.get("/tasks", headers={**_bearer(FULL), "Origin": FOREIGN})
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(f"GARBAGE {FULL} {DISCORD}\r\nAuthorization: Bearer {FULL}\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 400")
    wait_until(lambda: "foreign origin" in server.log and "read-only token" in server.log)
    assert server.stop() == 0
    for secret in (FULL[:-1], READ, "secret-of", "wrong-"):
        assert secret not in server.log


def _said(server: Server, sent: bytes, *, answers: int = 1) -> bytes:
    """What a server says to bytes written by hand, up to the end of so many JSON objects."""
    heard = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(sent)
        while heard.count(b"HTTP/1.1 ") < answers or not heard.endswith(b"}"):
            part = client.recv(1 << 16)
            if not part:
                break
            heard += part
    return heard


def test_health_answers_by_a_name_nobody_configured(guarded: Server, open_one: Server) -> None:
    for server in (guarded, open_one):
        by_name = {"Host": f"mybox.local:{server.port}"}
        assert server.client.get("/health", headers=by_name).json()["status"] == "ok"
        refused = server.client.get("/tasks", headers=by_name)
        assert refused.status_code == 403
        assert "CLAUDE_TASKS_ALLOWED_HOSTS" in refused.json()["error"]


def test_a_program_on_this_machine_may_speak_http_1_0_without_a_host(open_one: Server) -> None:
    for path in ("/api/v1/tasks", "/api/v1/health"):
        assert _said(open_one, f"GET {path} HTTP/1.0\r\n\r\n".encode()).startswith(b"HTTP/1.1 200 ")
    refused = _said(open_one, b"GET /api/v1/tasks HTTP/1.0\r\nHost: evil.example\r\n\r\n")
    assert refused.startswith(b"HTTP/1.1 403 ")
    assert _said(open_one, b"GET /api/v1/tasks HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 403 ")


def test_a_client_that_would_rather_speak_http_2_is_served_and_logs_nothing(
    open_one: Server,
) -> None:
    before = len(open_one.log)
    body = json.dumps(_task("by http/2")).encode()
    upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"
    host = f"Host: 127.0.0.1:{open_one.port}\r\n{upgrade}"
    post = (
        f"POST /api/v1/tasks HTTP/1.1\r\n{host}Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    get = f"GET /api/v1/health HTTP/1.1\r\n{host}\r\n"
    heard = _said(open_one, post.encode() + body + get.encode() * 2, answers=3)
    assert heard.count(b"HTTP/1.1 201 ") == 1
    assert heard.count(b"HTTP/1.1 200 ") == 2
    assert b'"by http/2"' in heard
    # What others were refused before may be written only now.
    said = [line for line in open_one.log[before:].splitlines() if "WARNING refused" not in line]
    assert said == []
