"""The guard, driven by hand: what reaches the application, and how everything else is answered."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from claude_tasks.api.authorization import Access, TokenCheck, host_rule
from claude_tasks.api.bodies import BODY_LIMIT
from claude_tasks.api.request_filter import HEALTH, Policy, RequestFilter, build_policy
from claude_tasks.domain.errors import ConfigurationError
from claude_tasks.settings import Settings
from claude_tasks.tokens import Tokens

if TYPE_CHECKING:
    from claude_tasks.api.asgi import Application, Headers, Message, Receive, Scope, Send

FULL = "the-full-token-0123456789"
READ = "the-read-token-0123456789"
APP = "https://app.example"
JSON = ("content-type", "application/json")
TASKS = "/api/v1/tasks"


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, values
        return values[0] if values else None


class Behind:
    """The application: notes what reaches it, reads the body, answers 200."""

    def __init__(self, headers: Headers | None = None) -> None:
        self.headers = headers or []
        self.reached: list[Scope] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.append(scope)
        if scope["type"] == "http":
            message = await receive()
            assert not message.get("more_body", False)
            self.bodies.append(message.get("body", b""))
            await send({"type": "http.response.start", "status": 200, "headers": self.headers})
            await send({"type": "http.response.body", "body": b"{}"})


class Client:
    """Sends requests through a guard; by default as a program on this machine would."""

    def __init__(
        self,
        tokens: Tokens = Tokens(None, None),  # noqa: B008 (immutable)
        *,
        app: Application | None = None,
        body_seconds: float = 30.0,
    ) -> None:
        self.behind = Behind()
        self.now = 0.0
        policy = Policy(
            tokens=TokenCheck(tokens),
            hosts=host_rule("127.0.0.1", configured="", hostname="box"),
            cors_origin=APP.encode(),
            body_seconds=body_seconds,
        )
        self.guard = RequestFilter(app or self.behind, policy, monotonic=lambda: self.now)

    def ask(
        self,
        method: str = "GET",
        path: str = TASKS,
        *headers: tuple[str, str],
        body: bytes | None = None,
        token: str | None = None,
        host: str | None = "localhost:8080",
        address: str = "10.0.0.1",
    ) -> Answer:
        """One request, with a body of known length if any."""
        given = [*headers]
        if host is not None:
            given.append(("host", host))
        if token is not None:
            given.append(("authorization", f"Bearer {token}"))
        if body is not None:
            given.append(("content-length", str(len(body))))
        messages: list[Message] = [{"type": "http.request", "body": body or b""}]
        answer = self.exchange(scope_of(method, path, given, address), messages)
        assert answer is not None
        return answer

    def exchange(self, scope: Scope, messages: list[Message]) -> Answer | None:
        """One request, message by message; then silence. None where nothing was answered."""
        sent: list[Message] = []

        async def receive() -> Message:
            if messages:
                return messages.pop(0)
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Message) -> None:
            sent.append(message)

        asyncio.run(_within_seconds(self.guard(scope, receive, send)))
        if not sent:
            return None
        headers = [(key.decode(), value.decode()) for key, value in sent[0]["headers"]]
        return Answer(sent[0]["status"], headers, b"".join(m.get("body", b"") for m in sent[1:]))


async def _within_seconds(running: Any) -> None:
    async with asyncio.timeout(10):
        await running


def scope_of(
    method: str, path: str, headers: list[tuple[str, str]], address: str = "10.0.0.1"
) -> Scope:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"secret=in-the-query",
        "headers": [(key.encode(), value.encode()) for key, value in headers],
        "client": (address, 5000),
    }


@pytest.fixture
def client() -> Client:
    """No token is asked for."""
    return Client()


@pytest.fixture
def guarded() -> Client:
    """A full and a read-only token."""
    return Client(Tokens(FULL, READ))


def test_a_request_reaches_the_application_with_full_access_where_no_token_is_set(
    client: Client,
) -> None:
    assert client.ask().status == 200
    state = client.behind.reached[0]["state"]
    assert state.pop("still_allowed")()
    assert state == {"access": Access.FULL}


def test_state_of_the_server_is_kept() -> None:
    client = Client()
    scope = {**scope_of("GET", TASKS, [("host", "localhost")]), "state": {"mine": 1}}
    client.exchange(scope, [{"type": "http.request"}])
    state = client.behind.reached[0]["state"]
    del state["still_allowed"]
    assert state == {"mine": 1, "access": Access.FULL}


# Host


@pytest.mark.parametrize("host", [None, "", "evil.example", "evil.example:8080", "localhost:x"])
def test_a_foreign_host_is_refused(client: Client, host: str | None) -> None:
    for _ in range(2):
        answer = client.ask(host=host)
        assert (answer.status, answer.json["code"]) == (403, "host_refused")
        assert "CLAUDE_TASKS_ALLOWED_HOSTS" in answer.json["error"], "clients show that alone"
    assert client.ask().status == 200  # remembering an accepted one lets no other pass
    assert client.ask(host=host).status == 403
    assert len(client.behind.reached) == 1


def test_two_host_headers_are_refused(client: Client) -> None:
    assert client.ask("GET", TASKS, ("host", "localhost:8080")).status == 403
    assert client.ask("GET", TASKS, ("host", "evil.example")).status == 403


@pytest.mark.parametrize("host", ["mybox.local", "mybox.local:8080", "evil.example", "", None])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health_answers_by_any_name_and_lets_nothing_else_pass(
    client: Client, guarded: Client, method: str, host: str | None
) -> None:
    for asked in (client, guarded):
        assert asked.ask(method, HEALTH, host=host).status == 200
        for path in (TASKS, "/api/v1/health/", "/api/v1/Health", "/health", "/api/v1/usage"):
            assert asked.ask(method, path, host=host, token=FULL).status == 403
        assert asked.ask("POST", HEALTH, host=host, token=FULL).status == 403
        foreign = ("origin", "http://evil.example:1")
        assert asked.ask(method, HEALTH, foreign, host=host).status == 403


@pytest.mark.parametrize(
    ("version", "host", "address", "status"),
    [
        ("1.0", None, "127.0.0.1", 200),
        ("1.0", None, "::1", 200),
        ("1.0", None, "::ffff:127.0.0.1", 200),
        ("1.0", None, "10.0.0.1", 403),
        ("1.0", None, "", 403),
        ("1.0", "evil.example", "127.0.0.1", 403),
        ("1.0", "", "127.0.0.1", 403),
        ("1.1", None, "127.0.0.1", 403),
    ],
)
def test_only_an_old_program_on_this_machine_needs_no_host(
    client: Client, version: str, host: str | None, address: str, status: int
) -> None:
    headers = [] if host is None else [("host", host)]
    scope = {**scope_of("GET", TASKS, headers, address), "http_version": version}
    answer = client.exchange(scope, [{"type": "http.request"}])
    assert answer is not None
    assert answer.status == status
    assert client.ask(host=None).status == 403, "and no other is let in by it"


# Origin


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1", ""])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "DELETE"])
def test_a_foreign_origin_is_refused_for_every_method(
    client: Client, method: str, origin: str
) -> None:
    answer = client.ask(method, TASKS, ("origin", origin))
    assert (answer.status, answer.json["code"]) == (403, "origin_refused")
    assert answer.header("access-control-allow-origin") is None
    assert not client.behind.reached


def test_two_origins_are_refused_even_if_each_is_ours(client: Client) -> None:
    own = ("origin", "http://localhost:8080")
    assert client.ask("GET", TASKS, own).status == 200
    assert client.ask("GET", TASKS, own, own).status == 403


def test_a_page_of_ours_may_do_everything(client: Client) -> None:
    own = ("origin", "http://localhost:8080")
    answer = client.ask("POST", TASKS, own, JSON, body=b"{}")
    assert answer.status == 200
    assert answer.header("access-control-allow-origin") is None


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_site_sends_without_an_origin_may_change_nothing(
    client: Client, site: str
) -> None:
    fetched = ("sec-fetch-site", site)
    assert client.ask("POST", f"{TASKS}/1/run", fetched).status == 403
    assert client.ask("DELETE", f"{TASKS}/1", fetched).status == 403
    assert client.ask("GET", TASKS, fetched).status == 200
    assert client.ask("POST", TASKS, fetched, JSON, ("origin", APP), body=b"{}").status == 200
    assert client.ask("POST", TASKS, ("sec-fetch-site", "same-origin")).status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded",
                                  "multipart/form-data; boundary=x"])  # fmt: skip
def test_a_web_page_s_form_post_creates_nothing(client: Client, kind: str) -> None:
    form = ("content-type", kind)
    body = b'{"name":"x","prompt":"rm -rf"}'
    foreign = client.ask("POST", TASKS, form, ("origin", "http://evil.example"), body=body)
    assert foreign.status == 403
    without_origin = client.ask("POST", TASKS, form, body=body)
    assert (without_origin.status, without_origin.json["code"]) == (415, "unsupported_media_type")
    own = client.ask("POST", TASKS, form, ("origin", "http://localhost:8080"), body=body)
    assert own.status == 415
    assert not client.behind.reached


# CORS


def test_preflight_of_the_configured_origin_is_answered_without_a_token(guarded: Client) -> None:
    answer = guarded.ask(
        "OPTIONS", TASKS, ("origin", APP), ("access-control-request-method", "PATCH")
    )
    assert (answer.status, answer.body) == (204, b"")
    assert answer.header("access-control-allow-origin") == APP
    assert answer.header("vary") == "Origin"
    assert "PATCH" in str(answer.header("access-control-allow-methods"))
    allowed = str(answer.header("access-control-allow-headers")).split(", ")
    assert {*allowed} == {
        "Authorization", "Content-Type", "If-Match", "If-None-Match", "Last-Event-ID",
    }  # fmt: skip
    assert int(str(answer.header("access-control-max-age"))) > 0
    assert not guarded.behind.reached


def test_options_that_is_no_preflight_of_that_origin_needs_a_token(guarded: Client) -> None:
    asks = ("access-control-request-method", "POST")
    assert guarded.ask("OPTIONS", TASKS, asks).status == 401
    assert guarded.ask("OPTIONS", TASKS, ("origin", APP)).status == 401
    assert guarded.ask("OPTIONS", TASKS, ("origin", "http://localhost:8080"), asks).status == 401


def test_the_configured_origin_may_read_answers_refusals_too(guarded: Client) -> None:
    for token, status in ((FULL, 200), (None, 401)):
        answer = guarded.ask("GET", TASKS, ("origin", APP), token=token)
        assert answer.status == status
        assert answer.header("access-control-allow-origin") == APP
        assert answer.header("access-control-expose-headers") == "ETag, Retry-After"
        assert answer.header("vary") == "Origin"
    assert guarded.ask("GET", TASKS, token=FULL).header("access-control-allow-origin") is None
    assert guarded.ask("GET", TASKS, token=FULL).header("vary") == "Origin"


# Tokens


def test_health_asks_for_no_token(guarded: Client) -> None:
    assert guarded.ask("GET", "/api/v1/health").status == 200
    assert guarded.ask("HEAD", "/api/v1/health").status == 200
    assert guarded.behind.reached[0]["state"]["access"] is Access.READ
    for method, path in (("POST", "/api/v1/health"), ("GET", "/api/v1/health/"), ("GET", "/")):
        assert guarded.ask(method, path).status == 401


def test_a_missing_token_is_401_as_the_contract_says(guarded: Client) -> None:
    for _ in range(50):  # and never counts as a guess
        answer = guarded.ask()
        assert answer.status == 401
    assert answer.json["error"] == "Unauthorized"
    assert answer.json["code"] == "unauthorized"
    assert "token new" in answer.json["hint"]
    assert answer.header("www-authenticate") == "Bearer"
    assert answer.header("content-type") == "application/json"
    assert guarded.ask(token=FULL).status == 200


@pytest.mark.parametrize(
    "token", ["wrong", FULL[:-1], FULL[:1], f"{FULL}0", f"{FULL} ", FULL.upper(), f"{FULL}, {FULL}"]
)
def test_a_token_that_is_nearly_right_is_401(guarded: Client, token: str) -> None:
    answer = guarded.ask(token=token)
    assert (answer.status, answer.json["code"]) == (401, "unauthorized")
    assert not guarded.behind.reached


def test_two_authorization_headers_open_nothing(guarded: Client) -> None:
    twice = ("authorization", f"Bearer {FULL}")
    assert guarded.ask("GET", TASKS, twice, token=FULL).status == 401


def test_tokens_open_what_they_are_for(guarded: Client) -> None:
    assert guarded.ask(token=FULL).status == 200
    assert guarded.ask(token=READ).status == 200
    access = [scope["state"]["access"] for scope in guarded.behind.reached]
    assert access == [Access.FULL, Access.READ]


def test_a_read_only_token_changes_nothing(guarded: Client) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
        answer = guarded.ask(method, TASKS, JSON, body=b"{}", token=READ)
        assert (answer.status, answer.json["code"]) == (403, "read_only")
    assert guarded.ask("PUT", "/api/v1/schedules/preview", token=READ).status == 403
    assert not guarded.behind.reached
    preview = guarded.ask("POST", "/api/v1/schedules/preview", JSON, body=b"{}", token=READ)
    assert preview.status == 200
    assert guarded.ask("HEAD", TASKS, token=READ).status == 200


def test_with_a_read_only_token_alone_nobody_can_write() -> None:
    client = Client(Tokens(None, READ))
    assert client.ask(token=READ).status == 200
    assert client.ask().status == 401
    assert client.ask("POST", TASKS, token=READ).status == 403


# Guessing


def test_guesses_run_out_and_a_right_token_is_let_in_all_the_same(guarded: Client) -> None:
    """Behind a proxy all share one address: a guesser must not lock the owner out."""
    assert [guarded.ask(token=f"guess {n}").status for n in range(10)] == [401] * 10
    answer = guarded.ask(token="one more")
    assert (answer.status, answer.json["code"]) == (429, "too_many_attempts")
    assert answer.header("retry-after") == "6"
    assert guarded.ask(token=FULL).status == 200
    assert guarded.ask().status == 401
    assert guarded.ask("GET", "/api/v1/health").status == 200
    assert guarded.ask(token=FULL, address="10.0.0.2").status == 200
    guarded.now += 6
    assert guarded.ask(token=FULL).status == 200


def test_the_real_client_on_the_address_of_a_guesser_is_let_in(guarded: Client) -> None:
    assert guarded.ask(token=FULL).status == 200
    statuses = [guarded.ask(token=f"guess {n}").status for n in range(15)]
    assert statuses == [401] * 10 + [429] * 5
    assert guarded.ask(token=FULL).status == 200


def test_a_stale_script_slows_down_nobody_but_itself(guarded: Client) -> None:
    statuses = [guarded.ask(token="of last year").status for _ in range(30)]
    assert statuses == [401] * 20 + [429] * 10
    assert guarded.ask(token="of last year").header("retry-after") == "1"
    assert guarded.ask(token=FULL).status == 200
    guarded.now += 1
    assert guarded.ask(token="of last year").status == 401


def test_no_bad_token_is_kept(guarded: Client) -> None:
    guarded.ask(token="my-other-password")
    kept = repr(vars(guarded.guard._attempts._repeats)) + repr(vars(guarded.guard._attempts))
    assert "my-other-password" not in kept


# Bodies


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON ; charset=utf-8"])
def test_a_json_body_is_replayed_whole(client: Client, kind: str) -> None:
    answer = client.ask("POST", TASKS, ("content-type", kind), body=b'{"name":"x"}')
    assert answer.status == 200
    assert client.behind.bodies == [b'{"name":"x"}']


def test_a_chunked_body_is_put_together(client: Client) -> None:
    headers = [("host", "localhost"), ("transfer-encoding", "chunked"), JSON]
    messages: list[Message] = [
        {"type": "http.request", "body": b'{"a"', "more_body": True},
        {"type": "http.request", "more_body": True},
        {"type": "http.request", "body": b":1}", "more_body": False},
    ]
    answer = client.exchange(scope_of("POST", TASKS, headers), messages)
    assert answer is not None
    assert answer.status == 200
    assert client.behind.bodies == [b'{"a":1}']


def test_a_request_without_a_body_needs_no_content_type(client: Client) -> None:
    assert client.ask("POST", f"{TASKS}/1/run").status == 200
    assert client.ask("POST", f"{TASKS}/1/run", body=b"").status == 200
    assert client.ask("DELETE", f"{TASKS}/1").status == 200


@pytest.mark.parametrize("headers", [(), (("content-type", "text/plain"),), (JSON, JSON)])
@pytest.mark.parametrize("method", ["POST", "DELETE", "GET"])
def test_a_body_that_is_not_declared_as_json_is_refused(
    client: Client, method: str, headers: tuple[tuple[str, str], ...]
) -> None:
    assert client.ask(method, TASKS, *headers, body=b"{}").status == 415
    assert not client.behind.reached


def test_a_body_that_nothing_announced_must_be_json_too(client: Client) -> None:
    for headers, status in (((), 415), ((JSON,), 200)):
        scope = scope_of("POST", TASKS, [("host", "localhost"), *headers])
        answer = client.exchange(scope, [{"type": "http.request", "body": b"{}"}])
        assert answer is not None
        assert answer.status == status
    assert client.behind.bodies == [b"{}"]


def test_a_body_of_the_limit_passes_and_one_byte_more_does_not(client: Client) -> None:
    assert client.ask("POST", TASKS, JSON, body=bytes(BODY_LIMIT)).status == 200
    answer = client.ask("POST", TASKS, JSON, body=bytes(BODY_LIMIT + 1))
    assert answer.status == 413
    assert answer.json["error"] == "Request body over 1 MiB"
    assert len(client.behind.bodies) == 1


@pytest.mark.parametrize("length", [str(BODY_LIMIT + 1), "9" * 10_000])
def test_a_declared_length_over_the_limit_is_refused_unread(client: Client, length: str) -> None:
    headers = [("host", "localhost"), ("content-length", length), JSON]
    unread: list[Message] = [{"type": "http.request", "body": b"x", "more_body": True}]
    answer = client.exchange(scope_of("POST", TASKS, headers), unread)
    assert answer is not None
    assert answer.status == 413
    assert len(unread) == 1


@pytest.mark.parametrize("length", ["-1", "x", "", "1, 1", "+5"])
def test_a_length_that_is_none_is_refused(client: Client, length: str) -> None:
    headers = [("host", "localhost"), ("content-length", length), JSON]
    answer = client.exchange(scope_of("POST", TASKS, headers), [])
    assert answer is not None
    assert answer.status == 400


def test_a_chunked_body_over_the_limit_is_refused_while_it_comes(client: Client) -> None:
    headers = [("host", "localhost"), ("transfer-encoding", "chunked"), JSON]
    chunk: Message = {"type": "http.request", "body": bytes(BODY_LIMIT // 4), "more_body": True}
    messages = [dict(chunk) for _ in range(100)]
    answer = client.exchange(scope_of("POST", TASKS, headers), [*messages])
    assert answer is not None
    assert answer.status == 413
    assert not client.behind.reached


def test_a_slow_body_is_given_up() -> None:
    client = Client(body_seconds=0.05)
    headers = [("host", "localhost"), ("content-length", "10"), JSON]
    first: list[Message] = [{"type": "http.request", "body": b"{", "more_body": True}]
    answer = client.exchange(scope_of("POST", TASKS, headers), first)
    assert answer is not None
    assert answer.status == 408
    assert answer.header("connection") == "close"
    assert not client.behind.reached


def test_an_upload_that_breaks_off_reaches_nobody_and_is_not_answered(client: Client) -> None:
    headers = [("host", "localhost"), ("content-length", "10"), JSON]
    messages: list[Message] = [
        {"type": "http.request", "body": b'{"name', "more_body": True},
        {"type": "http.disconnect"},
    ]
    assert client.exchange(scope_of("POST", TASKS, headers), messages) is None
    assert not client.behind.reached


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", b"{}")])
def test_a_stream_sees_the_client_hang_up(method: str, body: bytes | None) -> None:
    seen: list[str] = []

    async def stream(_scope: Scope, receive: Receive, _send: Send) -> None:
        seen.extend([(await receive())["type"] for _ in range(2)])

    client = Client(app=stream)
    headers = [("host", "localhost"), JSON]
    headers += [] if body is None else [("content-length", str(len(body)))]
    messages: list[Message] = [
        {"type": "http.request", "body": body or b""},
        {"type": "http.disconnect"},
    ]
    client.exchange(scope_of(method, TASKS, headers), messages)
    assert seen == ["http.request", "http.disconnect"]


def test_a_get_is_handed_on_with_the_server_s_own_receive() -> None:
    handed: list[Receive] = []

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        handed.append(receive)

    async def receive() -> Message:
        raise AssertionError("read before the application asked")

    client = Client(app=app)
    scope = scope_of("GET", TASKS, [("host", "localhost"), ("content-length", "0")])
    asyncio.run(client.guard(scope, receive, _send_nothing))
    assert handed == [receive]


async def _send_nothing(_message: Message) -> None:
    raise AssertionError


# Answers and the rest


def test_every_answer_carries_what_protects_it(client: Client) -> None:
    for answer in (client.ask(), client.ask(host="evil.example")):
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("cache-control") == "no-store"
        assert answer.header("cross-origin-resource-policy") == "same-origin"


def test_what_the_application_says_of_caching_stands(client: Client) -> None:
    client.behind.headers = [(b"cache-control", b"no-cache"), (b"etag", b'"1"')]
    given = [*client.behind.headers]
    answer = client.ask()
    assert answer.header("cache-control") == "no-cache"
    assert answer.header("etag") == '"1"'
    assert client.behind.headers == given  # the application may use its list again


def test_lifespan_passes_and_a_websocket_is_closed(client: Client) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    asyncio.run(client.guard({"type": "lifespan"}, receive, send))
    assert [scope["type"] for scope in client.behind.reached] == ["lifespan"]
    asyncio.run(client.guard({"type": "websocket", "path": "/"}, receive, send))
    assert len(client.behind.reached) == 1
    assert sent == [{"type": "websocket.close", "code": 1008}]


def _ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name.startswith("claude_tasks")]


def test_a_refusal_is_one_log_line_without_query_or_token(
    guarded: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="claude_tasks"):
        guarded.ask("GET", "/a\nb\x1b[2J\u2028" + "x" * 500, token="wrong-token-of-mine")
        guarded.ask(host="evil.example\r\nfake: line")
        guarded.ask(token=FULL)
    first, second = (record.getMessage() for record in _ours(caplog))
    assert first.startswith("refused GET /a\\nb\\x1b[2J\\u2028xxx")
    assert first.endswith(" from 10.0.0.1: wrong token")
    assert len(first) < 300
    assert second.endswith("foreign host evil.example\\r\\nfake: line")
    for line in (first, second):
        assert line.isprintable()
        assert "wrong-token-of-mine" not in line
        assert "in-the-query" not in line


def test_a_dropped_upload_is_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    scope = scope_of("POST", TASKS, [("host", "localhost"), ("content-length", "9"), JSON])
    with caplog.at_level(logging.DEBUG, logger="claude_tasks"):
        client.exchange(scope, [{"type": "http.disconnect"}])
    assert [record.getMessage() for record in _ours(caplog)] == [
        f"dropped POST {TASKS} from 10.0.0.1: the client hung up in the middle of its body"
    ]


def test_the_policy_follows_the_settings() -> None:
    settings = Settings(
        "/nowhere", host="0.0.0.0", cors_origin=f"{APP}/", allowed_hosts="t.example"
    )
    policy = build_policy(settings, Tokens(None, READ), hostname="box")
    assert policy.cors_origin == APP.encode()
    assert policy.tokens.required
    assert policy.hosts.any_address
    assert {"t.example", "box", "box.local", "localhost"} <= policy.hosts.names
    with pytest.raises(ConfigurationError):
        build_policy(settings._replace(cors_origin="*"), Tokens(None, None), hostname="box")


def test_whoever_is_refused_all_the_time_does_not_fill_the_log(
    guarded: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"):
        for _ in range(200):
            assert guarded.ask().status == 401
    assert 0 < len(caplog.records) <= 20
