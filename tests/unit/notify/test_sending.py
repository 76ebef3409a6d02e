from __future__ import annotations

import errno
import hashlib
import hmac
import io
import json
import socket
import sys
import time
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from claude_tasks import __version__
from claude_tasks.notify.channels import apprise, discord, send, slack, webhook
from claude_tasks.notify.channels.apprise_process import attempt
from claude_tasks.notify.delivery import Attempt, Delivery, masked, next_attempt_at
from claude_tasks.notify.sending import ping
from support.waiting import wait_until
from unit.notify.notices import FAILED

if TYPE_CHECKING:
    from pathlib import Path

    from unit.notify.conftest import Receiver

SECRET_PATH = "/api/webhooks/123456789/tOkEn-aBcDeF"
AT = 1_764_000_000_000
HTTP = ["discord", "slack", "webhook"]


def deliver(
    target: str,
    channel: str = "slack",
    *,
    seconds: float = 10,
    secret: str | None = None,
) -> Delivery:
    delivery = send(channel, target, FAILED, Attempt("d-1", secret, seconds, AT))
    assert "tOkEn" not in delivery.detail
    assert "webhooks" not in delivery.detail
    return delivery


@pytest.mark.parametrize("channel", HTTP)
@pytest.mark.parametrize("status", ["200 OK", "204 No Content"])
def test_any_2xx_is_delivered(receiver: Receiver, channel: str, status: str) -> None:
    receiver.answers(status)
    delivery = deliver(receiver.address + SECRET_PATH, channel)
    assert delivery == Delivery(True, False, None, f"{receiver.address}/…: {status}")
    (received,) = receiver.received
    assert received.method == "POST"
    assert received.path.partition("?")[0] == SECRET_PATH
    assert received.headers["content-type"] == "application/json"
    assert received.headers["user-agent"] == f"claude-tasks/{__version__}"


def test_each_channel_gets_its_own_payload(receiver: Receiver) -> None:
    for channel in HTTP:
        deliver(receiver.address + SECRET_PATH, channel)
    assert [json.loads(received.body) for received in receiver.received] == [
        discord.payload(FAILED),
        slack.payload(FAILED),
        webhook.payload(FAILED, delivery_id="d-1"),
    ]


def test_discord_is_asked_to_answer_only_when_it_has_the_message(receiver: Receiver) -> None:
    for query in ("", "?thread_id=5", "?wait=false"):
        deliver(receiver.address + SECRET_PATH + query, "discord")
    assert [received.path.partition("?")[2] for received in receiver.received] == [
        "wait=true",
        "thread_id=5&wait=true",
        "wait=false",
    ]


def test_a_receiver_can_check_the_signature(receiver: Receiver) -> None:
    deliver(receiver.address, "webhook", secret="shared")
    (received,) = receiver.received
    timestamp = received.headers["x-claude-tasks-timestamp"]
    signed = timestamp.encode() + b"." + received.body
    expected = hmac.new(b"shared", signed, hashlib.sha256).hexdigest()
    assert received.headers["x-claude-tasks-signature"] == f"sha256={expected}"
    assert timestamp == str(AT // 1000)
    assert received.headers["x-claude-tasks-event"] == "started_failing"
    assert received.headers["x-claude-tasks-delivery"] == "d-1"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        ("400 Bad Request", "invalid_payload", "400 Bad Request: invalid_payload"),
        ("404 Not Found", '{"message": "Unknown\\nWebhook"}', "404 Not Found: Unknown Webhook"),
        ("404 Not Found", f"Cannot POST {SECRET_PATH}", "404 Not Found"),
        ("403 No", '{"message": "no tOkEn-aBcDeF here"}', "403 Forbidden"),
        ("410 Gone", '{"message": 5}', "410 Gone"),
        ("499 Odd", "[" * 9000, "499"),
    ],
)
def test_a_refusal_is_final_and_tells_why_but_no_secret(
    receiver: Receiver, status: str, body: str, said: str
) -> None:
    receiver.answers(status, body)
    delivery = deliver(receiver.address + SECRET_PATH)
    assert delivery == Delivery(False, True, None, f"{receiver.address}/…: {said}")


@pytest.mark.parametrize(
    "status", ["408 Request Timeout", "500 Internal Server Error", "503 Service Unavailable"]
)
def test_a_server_in_trouble_is_worth_another_try(receiver: Receiver, status: str) -> None:
    receiver.answers(status)
    assert deliver(receiver.address) == Delivery(
        False, False, None, f"{receiver.address}/…: {status}"
    )


@pytest.mark.parametrize(
    ("body", "headers", "wait"),
    [
        ("", {}, None),
        ("", {"Retry_After": "7"}, 7.0),
        ("", {"Retry_After": "Mon, 24 Nov 2025 16:01:00 GMT"}, 60.0),
        ("", {"Retry_After": "Mon, 24 Nov 2025 15:00:00 GMT"}, 0.0),
        ('{"retry_after": 64.57, "global": false}', {}, 64.57),
        ('{"retry_after": 1500}', {"Retry_After": "2"}, 2.0),
        ('{"retry_after": 1500}', {"Retry_After": "1500", "X_RateLimit_Reset_After": "1.5"}, 1.5),
        ('{"retry_after": NaN}', {"Retry_After": "inf"}, None),
        ('{"retry_after": true}', {"Retry_After": "soon"}, None),
        ('{"retry_after": -5}', {}, 0.0),
        ("", {"Retry_After": "9" * 30}, 86_400.0),
        ("[]", {"Retry_After": "-1"}, 0.0),
    ],
)
def test_a_rate_limit_says_how_long_to_wait(
    receiver: Receiver, body: str, headers: dict[str, str], wait: float | None
) -> None:
    receiver.answers("429 Too Many Requests", body, **headers)
    delivery = deliver(receiver.address + SECRET_PATH, "discord")
    assert delivery == Delivery(False, False, wait, f"{receiver.address}/…: 429 Too Many Requests")


@pytest.mark.parametrize("status", ["301 Moved Permanently", "307 Temporary Redirect"])
def test_a_redirect_is_not_followed(receiver: Receiver, status: str) -> None:
    receiver.answers(status, Location=f"https://elsewhere.example{SECRET_PATH}")
    delivery = deliver(receiver.address + SECRET_PATH)
    assert delivery.permanent
    assert delivery.detail == (
        f"{receiver.address}/…: {status} to https://elsewhere.example/…: "
        "redirects are not followed, give the final address"
    )
    assert len(receiver.received) == 1


def test_a_server_that_hangs_is_given_up_in_time(receiver: Receiver) -> None:
    receiver.hangs = True
    began = time.monotonic()
    delivery = deliver(receiver.address + SECRET_PATH, seconds=0.3)
    assert time.monotonic() - began < 5
    assert delivery == Delivery(False, False, None, f"{receiver.address}/…: no answer within 0.3 s")


def test_a_server_that_drips_its_status_is_given_up_in_time(receiver: Receiver) -> None:
    # Each byte comes well within a socket's own timeout.
    receiver.answer, receiver.drip = b"", b"X"
    began = time.monotonic()
    delivery = deliver(receiver.address, seconds=0.4)
    assert time.monotonic() - began < 5
    assert (delivery.delivered, delivery.permanent) == (False, False)
    assert delivery.detail.endswith("no answer within 0.4 s")


@pytest.mark.parametrize("headers", [b"", b"X: ", b"\r\n"])
def test_a_message_taken_counts_although_the_answer_never_ends(
    receiver: Receiver, headers: bytes
) -> None:
    receiver.answer, receiver.drip = b"HTTP/1.1 200 OK\r\n" + headers, b"x"
    began = time.monotonic()
    assert deliver(receiver.address, seconds=2).delivered
    assert time.monotonic() - began < 10


class ResetAfter(io.RawIOBase):
    """A connection that is reset once these bytes were read."""

    def __init__(self, said: bytes) -> None:
        self._said = io.BytesIO(said)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._said.readinto(buffer)
        if not count:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        return count


@pytest.mark.parametrize("headers", [b"", b"X: x\r\n", b"X: "])
def test_a_message_taken_counts_although_the_connection_is_reset_before_the_headers_end(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, headers: bytes
) -> None:
    """As Linux does where a server drips on after the time was over, and the reader was late."""
    said = b"HTTP/1.1 200 OK\r\n" + headers

    plain = socket.socket.makefile

    def makefile(end: socket.socket, mode: str, *size: int) -> Any:
        if size:  # the receiver's end
            return plain(end, mode, *size)  # type: ignore[call-overload]
        return io.BufferedReader(ResetAfter(said))

    monkeypatch.setattr(socket.socket, "makefile", makefile)
    receiver.hangs = True
    assert deliver(receiver.address).delivered
    said = b"HTTP/1.1 2"
    assert not deliver(receiver.address).delivered


def test_an_endless_answer_is_not_read_to_its_end(receiver: Receiver) -> None:
    receiver.answer, receiver.drip = b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536
    began = time.monotonic()
    assert deliver(receiver.address, seconds=30).delivered
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("answer", [b"", b"\xff\xfe garbage\r\n\r\n", b"HTTP/1.1 2x0 ?\r\n\r\n"])
def test_garbage_is_worth_another_try(receiver: Receiver, answer: bytes) -> None:
    receiver.answer = answer
    delivery = deliver(receiver.address + SECRET_PATH)
    assert (delivery.delivered, delivery.permanent) == (False, False)
    assert "no proper HTTP answer" in delivery.detail


def test_a_server_that_is_not_there_is_worth_another_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    assert deliver(address + SECRET_PATH) == Delivery(
        False, False, None, f"{address}/…: no connection: Connection refused"
    )


def test_a_name_that_does_not_resolve_is_worth_another_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    delivery = deliver("https://nobody.invalid" + SECRET_PATH)
    assert not delivery.permanent
    assert delivery.detail == ("https://nobody.invalid/…: no connection: Name or service not known")


@pytest.mark.parametrize("channel", HTTP)
@pytest.mark.parametrize(
    "target",
    [
        "",
        "webhooks",
        "file:///etc/passwd",
        "ftp://host/tOkEn",
        "data:text/plain,tOkEn",
        "https:///tOkEn",
        "http://[::1/tOkEn",
        "http://host:tOkEn/",
        "http://127.0.0.1/webhooks/a b",
        "http://127.0.0.1/webhooks/tOkEn\x7f",
        "http://127.0.0.1/webhooks/é",
    ],
)
def test_what_is_no_web_address_is_refused_for_good(channel: str, target: str) -> None:
    delivery = deliver(target, channel)
    assert (delivery.delivered, delivery.permanent) == (False, True)


def test_user_and_password_of_an_address_go_into_a_header(receiver: Receiver) -> None:
    target = receiver.address.replace("http://", "http://me:p%40ss-tOkEn@")
    assert deliver(target).delivered
    assert receiver.received[0].headers["authorization"] == "Basic bWU6cEBzcy10T2tFbg=="


def test_trouble_nobody_thought_of_is_still_an_answer(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threading.Thread.start", _no_thread)
    delivery = deliver(receiver.address + SECRET_PATH)
    assert delivery == Delivery(False, False, None, f"{receiver.address}/…: RuntimeError")


def test_a_notice_that_cannot_be_told_is_refused_for_good(receiver: Receiver) -> None:
    broken = FAILED._replace(cost_usd=float("nan"))
    delivery = send("webhook", receiver.address, broken, Attempt("d", None, 5, AT))
    assert delivery == Delivery(False, True, None, "the message could not be made: ValueError")
    assert receiver.received == []


def test_a_ping_is_a_get_without_a_body(receiver: Receiver) -> None:
    delivery = ping(receiver.address + SECRET_PATH, seconds=5, at=AT)
    assert delivery.delivered
    (received,) = receiver.received
    assert (received.method, received.path, received.body) == ("GET", SECRET_PATH, b"")


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("https://hooks.slack.com/services/T/B/x", "https://hooks.slack.com/…"),
        ("HTTPS://me:secret@Host.example:8443/x?y#z", "https://host.example:8443/…"),
        ("http://[::1]:80/x", "http://[::1]:80/…"),
        ("http://[::1/secret", "http://…"),
        ("http://host:secret/", "http://…"),
        ("https:///secret", "https://…"),
        ("tgram://bot-token/chat", "tgram://…"),
        ("mailto://me:secret@example.com", "mailto://…"),
        ("secret", "…"),
        ("sec ret://x", "…"),
        ("", "…"),
    ],
)
def test_a_masked_address_shows_where_and_no_more(target: str, shown: str) -> None:
    assert masked(target) == shown


MISSED = Delivery(delivered=False, permanent=False, retry_after=None, detail="")


def test_waits_grow_and_end() -> None:
    waits = [next_attempt_at(attempts, MISSED, AT) for attempts in range(1, 10)]
    seconds = [None if wait is None else (wait - AT) // 1000 for wait in waits]
    assert seconds == [10, 40, 160, 640, 2560, 3600, 3600, None, None]


def test_a_wait_asked_for_counts_where_it_is_longer() -> None:
    assert next_attempt_at(1, MISSED._replace(retry_after=64.57), AT) == AT + 64_570
    assert next_attempt_at(1, MISSED._replace(retry_after=0.5), AT) == AT + 10_000
    assert next_attempt_at(8, MISSED._replace(retry_after=60.0), AT) is None


def test_what_is_settled_is_not_tried_again() -> None:
    assert next_attempt_at(1, MISSED._replace(delivered=True), AT) is None
    assert next_attempt_at(1, MISSED._replace(permanent=True, retry_after=5.0), AT) is None


ASKED = {"target": "tgram://tOkEn/chat", "title": "it failed", "body": "so it did",
         "type": "failure", "seconds": 3}  # fmt: skip


class Library(ModuleType):
    """As much of Apprise as is used."""

    def __init__(self) -> None:
        super().__init__("apprise")
        self.understands = True
        self.answer: bool | Exception = True
        self.services = [SimpleNamespace(socket_connect_timeout=4.0, socket_read_timeout=4.0)]
        self.told: list[dict[str, Any]] = []
        library = self

        class Apprise:
            def add(self, _: str) -> bool:
                return library.understands

            def __iter__(self) -> Any:
                return iter(library.services)

            def notify(self, **said: Any) -> bool:
                library.told.append(said)
                if isinstance(library.answer, Exception):
                    raise library.answer
                return library.answer

        self.Apprise = Apprise


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    library = Library()
    monkeypatch.setitem(sys.modules, "apprise", library)
    return library


def test_apprise_gets_plain_text_and_a_time_limit(library: Library) -> None:
    assert attempt(ASKED) == "delivered"
    (told,) = library.told
    assert told == {"title": "it failed", "body": "so it did", "body_format": "text",
                    "notify_type": "failure"}  # fmt: skip
    assert vars(library.services[0]) == {"socket_connect_timeout": 3, "socket_read_timeout": 3}


def test_apprise_says_one_word_and_never_the_address(library: Library) -> None:
    library.answer = False
    assert attempt(ASKED) == "refused"
    library.answer = ValueError("tgram://tOkEn/chat")
    assert attempt(ASKED) == "ValueError"
    library.understands = False
    assert attempt(ASKED) == "unknown"


def a_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    """What runs in the place of Apprise's process."""
    (tmp_path / "program.py").write_text(text)
    monkeypatch.setattr(apprise, "_PROGRAM", (str(tmp_path / "program.py"),))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("delivered", Delivery(True, False, None, "delivered")),
        ("refused", Delivery(False, False, None, "Apprise could not deliver (tgram://…)")),
        (
            "unknown",
            Delivery(False, True, None, "Apprise does not understand this address (tgram://…)"),
        ),
        ("ValueError", Delivery(False, False, None, "Apprise failed: ValueError (tgram://…)")),
        (
            "tgram://tOkEn",
            Delivery(False, False, None, "Apprise failed: it ended without an answer (tgram://…)"),
        ),
    ],
)
def test_what_apprises_process_says_is_judged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, word: str, expected: Delivery
) -> None:
    a_program(monkeypatch, tmp_path, f"import sys; sys.stdin.read(); print({word!r})")
    assert deliver("tgram://tOkEn/chat", "apprise") == expected


def test_an_apprise_that_hangs_is_ended_with_all_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(apprise, "_LOADING_SECONDS", 0.5)
    pids = tmp_path / "pids"
    a_program(
        monkeypatch, tmp_path,
        "import os, subprocess, time\nchild = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\ntime.sleep(60)\n",
    )  # fmt: skip
    delivery = deliver("tgram://tOkEn/chat", "apprise", seconds=0.5)
    assert delivery.detail == "Apprise gave no answer within 0.5 s (tgram://…)"
    assert not delivery.permanent
    for pid in map(int, pids.read_text().split()):
        wait_until(lambda pid=pid: not _runs(pid), what="it was ended")  # type: ignore[misc]


def test_without_apprise_the_message_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apprise, "find_spec", lambda _: None)
    delivery = deliver("tgram://tOkEn/chat", "apprise")
    assert delivery.permanent
    assert delivery.detail == "Apprise is not installed: pip install claude-tasks[apprise]"


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def _no_thread(_: object) -> None:
    raise RuntimeError("can't start new thread")
