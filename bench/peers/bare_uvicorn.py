"""uvicorn alone: an application that sends the same bytes to everyone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import uvicorn

_BODY = Path(sys.argv[2]).read_bytes()
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_BODY)).encode()),
]


async def application(scope: Any, _receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": _BODY})


if __name__ == "__main__":
    uvicorn.run(
        application, port=int(sys.argv[1]), lifespan="off", log_level="error", access_log=False
    )
