"""The server itself: health, settings, usage, figures for a monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.api import schemas
from claude_tasks.api.endpoint import ApiResponse, Call, endpoint
from claude_tasks.api.metrics import CONTENT_TYPE, UsageFigure, render, snapshot_of
from claude_tasks.operations.usage import usage_view

if TYPE_CHECKING:
    from claude_tasks.operations.facade import Operations


@endpoint("GET", "/health", tag="server", answer=schemas.Health)
async def health(call: Call) -> ApiResponse:
    """Whether the server answers. Needs no token."""
    return ApiResponse({"status": "ok", "version": call.backend.version})


@endpoint("GET", "/settings", tag="server", answer=schemas.Settings)
async def get_settings(call: Call) -> ApiResponse:
    """What can be changed while the program runs."""
    threshold = await call.backend.database.read(lambda o: o.settings.usage_threshold())
    return ApiResponse({"usage_threshold": threshold})


@endpoint("PUT", "/settings", tag="server", answer=schemas.Settings, body=schemas.SettingsRequest)
async def put_settings(call: Call) -> ApiResponse:
    """Keep settings."""
    wanted = call.body(schemas.Settings).usage_threshold
    kept = await call.backend.database.write(lambda o: o.settings.set_usage_threshold(wanted))
    return ApiResponse({"usage_threshold": kept})


@endpoint("GET", "/usage", tag="server", answer=schemas.Usage, errors=(503,))
async def usage(call: Call) -> ApiResponse:
    """How much of the agent's usage windows is spent."""
    database = call.backend.database
    if await database.read(lambda o: o.usage.is_stale()):
        await call.backend.refresh_usage()
    return ApiResponse(await database.read(lambda o: usage_view(*o.usage.usage_now())))


@endpoint("GET", "/doctor", tag="server", answer=schemas.Report)
async def doctor(call: Call) -> ApiResponse:
    """Whether this installation is ready: every check, with the command that fixes a problem."""
    return ApiResponse(await call.backend.examine())


@endpoint("GET", "/metrics", tag="server", answer=str, media_type=CONTENT_TYPE.partition(";")[0])
async def metrics(call: Call) -> ApiResponse:
    """Figures in the text format of Prometheus."""

    def look(operations: Operations) -> bytes:
        enabled, disabled = operations.tasks.count()
        usage = _figures(operations)
        now = snapshot_of(operations.status.status(), enabled, disabled, usage)
        return render(now, operations.runs.figures())

    body = await call.backend.database.read(look)
    return ApiResponse(body, headers={"content-type": CONTENT_TYPE})


def _figures(operations: Operations) -> list[UsageFigure]:
    """The figures of the page. Usage is what is known: no source is asked."""
    reading = operations.usage.last_reading()
    windows = () if reading is None else reading.windows
    return [UsageFigure(w.name, w.utilization, w.resets_at) for w in windows]


ENDPOINTS = (health, get_settings, put_settings, usage, doctor, metrics)
