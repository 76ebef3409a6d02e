"""Answers that are kept: how much of them, for whom, and packed once."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Any

from claude_tasks.api.authorization import Access
from claude_tasks.api.response_cache import ResponseCache

if TYPE_CHECKING:
    import pytest

BODY = b"{" + b"x" * 5000 + b"}"


class Counter:
    def value(self) -> int:
        return 7


async def _application(scope: Any, _receive: Any, send: Any) -> None:
    scope["asked"].append(scope["query_string"])
    headers = [(b"etag", b'"c7"'), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


class Client:
    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.answers = ResponseCache(_application, Counter())  # type: ignore[arg-type]

    async def get(self, *headers: tuple[bytes, bytes], query: bytes = b"", path: str = "/t") -> Any:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "GET", "path": path, "query_string": query,
            "headers": list(headers), "state": {"access": Access.FULL}, "asked": self.asked,
        }  # fmt: skip
        await self.answers(scope, send, send)  # type: ignore[arg-type]
        return dict(sent[0]["headers"]), sent[1]["body"], sent[0]["status"]


def test_many_who_take_gzip_have_it_packed_once_and_always_labelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed: list[int] = []
    compress = gzip.compress

    def counted(data: bytes, **more: Any) -> bytes:
        packed.append(len(data))
        return compress(data, **more)

    monkeypatch.setattr(gzip, "compress", counted)

    async def scene() -> list[Any]:
        client = Client()
        await client.get()
        return await asyncio.gather(*(client.get((b"accept-encoding", b"gzip")) for _ in range(40)))

    for headers, body, _ in asyncio.run(scene()):
        assert headers[b"content-encoding"] == b"gzip"
        assert gzip.decompress(body) == BODY
    assert len(packed) == 1


def test_long_keys_are_not_kept_and_many_do_not_add_up() -> None:
    async def scene() -> Client:
        client = Client()
        for number in range(50):
            await client.get(query=b"%d" % number + b"y" * 600)
        await client.get(query=b"short")
        await client.get(query=b"short")
        return client

    client = asyncio.run(scene())
    assert len(client.asked) == 51
    assert list(client.answers._kept) == [("/t", b"short", Access.FULL)]


def test_any_of_several_if_none_match_headers_counts() -> None:
    async def scene() -> Any:
        client = Client()
        return await client.get((b"if-none-match", b'"c7"'), (b"if-none-match", b'"other"'))

    assert asyncio.run(scene())[2] == 304
