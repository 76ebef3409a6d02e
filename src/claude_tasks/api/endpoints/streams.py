"""What goes on, as it happens: every change, and the agent's stream of one run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from claude_tasks.api import sse
from claude_tasks.api.endpoint import ApiResponse, Call, endpoint
from claude_tasks.api.errors import ErrorBody
from claude_tasks.domain.errors import NotFoundError
from claude_tasks.operations.event_tail import EventTail
from claude_tasks.operations.views import run_brief, run_view

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from claude_tasks.api.backend import Backend
    from claude_tasks.api.change_broadcast import Mailbox
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.store_records import Change
    from claude_tasks.operations.facade import Operations

_LOOK_SECONDS = 0.1
_BATCH_BYTES = 1 << 17
_PAGE = 1000
_TOO_MANY = ApiResponse(
    ErrorBody("Too many streams", "too_many_streams", hint="end others, or try again later"),
    503,
    {"retry-after": "5"},
)


@endpoint(
    "GET", "/events", tag="streams", answer=str, media_type=sse.MEDIA_TYPE, errors=(503,)
)  # fmt: skip
async def events(call: Call) -> AsyncGenerator[bytes, None] | ApiResponse:
    """What changes of tasks, runs, nodes, settings, usage and the lease, as server-sent events.

    Each thing is told as it stands: of several changes at once the last. ``id`` counts changes: a
    client that comes back with Last-Event-ID gets what it missed, or the event ``reset`` where that
    was too much: it must read everything anew.
    """
    if call.backend.broadcast.places.are_taken:
        return _TOO_MANY
    return _events(call.backend, sse.last_event_id(call.headers))


@endpoint(
    "GET", "/runs/{run_id}/events", tag="streams", answer=str, media_type=sse.MEDIA_TYPE,
    errors=(404, 503), also=(204,),
)  # fmt: skip
async def run_events(call: Call) -> AsyncGenerator[bytes, None] | ApiResponse:
    """The agent's own events of one run, live, as server-sent events ``agent``; at last ``end``.

    ``id`` is a place in the stream: a client that comes back with Last-Event-ID goes on there. 204
    where it has seen the end.
    """
    run = await call.backend.database.read(lambda operations: operations.runs.get(call.run_id))
    after = sse.last_event_id(call.headers) or 0
    tail = EventTail(call.backend.events_path(run.task_id, run.id), after=after)
    if run.state.is_terminal and tail.is_past_end():
        return ApiResponse(b"", 204)  # what tells a browser's EventSource not to come back
    if call.backend.broadcast.places.are_taken:
        return _TOO_MANY
    return _run_events(call.backend, run.id, tail)


async def _events(backend: Backend, last_id: int | None) -> AsyncGenerator[bytes, None]:
    with backend.broadcast.places.take() as taken, backend.broadcast.listen() as mailbox:
        if not taken:  # by another stream since; a client that returns now is told so
            return
        now = backend.counter.value()
        yield sse.RETRY + sse.event("hello", {"seq": now}, id_=now if last_id is None else None)
        sent = now
        if last_id is not None:
            async for part, seq in _missed(backend, last_id, now):
                yield part
                sent = seq
        while (batch := await _gathered(mailbox, backend.closing)) is not None:
            news = [change for change in batch if change.seq > sent]
            yield await _told(backend, news) if news else sse.HEARTBEAT


async def _missed(backend: Backend, last_id: int, now: int) -> AsyncIterator[tuple[bytes, int]]:
    """What came after ``last_id``, with the newest id of each part."""
    changes = backend.counter.since(last_id, limit=_PAGE)
    if last_id > now or (changes and changes[0].seq > last_id + 1):
        yield sse.event("reset", {"seq": now}, id_=now), now
        return
    while changes:
        yield await _told(backend, changes), changes[-1].seq
        changes = backend.counter.since(changes[-1].seq, limit=_PAGE)


async def _gathered(mailbox: Mailbox, closing: asyncio.Event) -> list[Change] | None:
    """All that waits, at least one unless nothing comes for long; None at the end."""
    batch: list[Change] = []
    if closing.is_set():
        return None
    try:
        first = await asyncio.wait_for(mailbox.get(), sse.HEARTBEAT_SECONDS)
    except TimeoutError:
        return batch
    while first is not None:
        batch.append(first)
        if mailbox.empty():
            return batch
        first = mailbox.get_nowait()
    return None


async def _told(backend: Backend, changes: list[Change]) -> bytes:
    """Events that say what changed, each thing as it stands now."""

    def look(operations: Operations) -> list[bytes]:
        return [
            sse.event(change.topic, _news(operations, change), id_=change.seq)
            for change in _last_of_each(changes)
        ]

    return b"".join(await backend.database.read(look))


def _usage_news(operations: Operations) -> dict[str, Any]:
    reading = operations.usage.last_reading()
    windows = () if reading is None else reading.windows
    return {"windows": {window.name: window.utilization for window in windows}}


def _last_of_each(changes: list[Change]) -> list[Change]:
    """Of several changes of one thing the newest tells all."""
    newest = {(change.topic, change.ref): change for change in changes}
    return sorted(newest.values(), key=lambda change: change.seq)


def _news(operations: Operations, change: Change) -> dict[str, Any]:
    news: dict[str, Any] = {"seq": change.seq, "ref": change.ref}
    try:
        if change.topic == "run":
            return {**news, **run_brief(operations.runs.get(int(change.ref)))}
        if change.topic == "task":
            task = operations.tasks.get(int(change.ref), include_deleted=True)
            deleted = task.deleted_at is not None
            return {
                **news,
                "id": task.id,
                "name": task.name,
                "revision": task.revision,
                "enabled": task.spec.enabled,
                "deleted": deleted,
            }
        if change.topic == "usage":
            return {**news, **_usage_news(operations)}
    except NotFoundError:  # nothing is ever removed; but the feed must not end if it were
        return news
    return news


async def _run_events(
    backend: Backend, run_id: int, tail: EventTail
) -> AsyncGenerator[bytes, None]:
    with backend.broadcast.places.take() as taken:
        if not taken:  # as above
            return
        yield sse.RETRY
        try:
            async for part in _followed(backend, run_id, tail):
                yield part
        finally:
            tail.release()


async def _followed(backend: Backend, run_id: int, tail: EventTail) -> AsyncIterator[bytes]:
    """Lines as they come; when the run has ended, the last ones and how it ended."""
    seen, silent = -1, 0.0
    while not backend.closing.is_set():
        ended: Run | None = None
        counter = backend.counter.value()
        if counter != seen:
            run = await backend.database.read(lambda operations: operations.runs.get(run_id))
            seen, ended = counter, run if run.state.is_terminal else None
        async for part in _batches(tail.close() if ended else tail.lines(), tail):
            silent = 0.0
            yield part
        if ended is not None:
            yield sse.event("end", run_view(ended), id_=tail.position + 1)
            return
        silent += _LOOK_SECONDS
        if silent >= sse.HEARTBEAT_SECONDS:
            silent = 0.0
            yield sse.HEARTBEAT
        await asyncio.sleep(_LOOK_SECONDS)


async def _batches(lines: Iterator[bytes], tail: EventTail) -> AsyncIterator[bytes]:
    """Lines as events, many to a write; read on a thread, for disks may be slow."""
    while part := await asyncio.to_thread(_batch, lines, tail):
        yield part


def _batch(lines: Iterator[bytes], tail: EventTail) -> bytes:
    parts: list[bytes] = []
    size = 0
    for line in lines:
        if line.strip():
            parts.append(sse.raw_event("agent", line, id_=tail.position))
            size += len(line)
        if size >= _BATCH_BYTES:
            break
    return b"".join(parts)


ENDPOINTS = (events, run_events)
