"""The loopback Messages API by itself: what the real CLI relies on, and what it must not do."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest

from e2e.messages_answers import ANSWER, USAGE
from e2e.messages_api import MessagesApi


def ask(api: MessagesApi, prompt: str, *, path: str = "/v1/messages", **more: Any) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": prompt}]} | more
    address = api.url.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), text


def test_a_plain_request_gets_a_whole_message(messages_api: MessagesApi) -> None:
    status, _, text = ask(messages_api, "hello")
    message = json.loads(text)
    assert status == 200
    assert message["content"] == [{"type": "text", "text": ANSWER}]
    assert message["usage"] == USAGE


def test_a_streaming_request_gets_the_same_as_events(messages_api: MessagesApi) -> None:
    _, headers, text = ask(messages_api, "[case:echo] hello", stream=True)
    names = [line[7:] for line in text.split("\n") if line.startswith("event: ")]
    assert headers["content-type"] == "text/event-stream"
    assert names[0] == "message_start"
    assert names[-2:] == ["message_delta", "message_stop"]
    assert '"text": "[case:echo] hello"' in text


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ],
)
def test_an_error_has_the_body_of_its_status(
    status: int, kind: str, messages_api: MessagesApi
) -> None:
    answered, headers, text = ask(messages_api, f"[case:api_error status={status}]")
    assert answered == status
    assert json.loads(text)["error"]["type"] == kind
    assert ("retry-after" in headers) == (status in (429, 529))


def test_a_retried_request_succeeds_in_the_end(messages_api: MessagesApi) -> None:
    statuses = [ask(messages_api, "[case:api_retry attempts=2]")[0] for _ in range(3)]
    assert statuses == [529, 529, 200]
    assert messages_api.message_count == 3


def test_tokens_are_counted_and_anything_else_is_a_404(messages_api: MessagesApi) -> None:
    status, _, text = ask(messages_api, "hello", path="/v1/messages/count_tokens")
    assert (status, json.loads(text)) == (200, {"input_tokens": 1200})
    status, _, text = ask(messages_api, "hello", path="/v1/other")
    assert status == 404
    assert json.loads(text)["error"]["type"] == "not_found_error"
    assert messages_api.message_count == 0


def test_stopping_ends_slow_answers_and_may_be_repeated() -> None:
    api = MessagesApi().start()
    connection = http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=10)
    body = {"messages": [{"role": "user", "content": "[case:slow seconds=60]"}]}
    connection.request("POST", "/v1/messages", json.dumps(body))
    assert api.arrived.wait(10)
    api.stop()
    api.stop()
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        connection.getresponse()
    connection.close()
