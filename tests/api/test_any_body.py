"""Whatever JSON a client sends, however wrong its shape: done, or refused. Never a 5xx."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.as_documented import check
from claude_tasks.domain.task_fields import TaskSpec
from support.profile import examples
from support.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.installation import Installation

_ODD = (
    "", " ", "\0", "\ud800", "\u202e", "\r\n", "x" * 300, "@daily", "@every 1ns", "@every 9999999h",
    "0 0 31 2 *", "* * * * * *", "TZ=Mars/Olympus 0 9 * * *", "CRON_TZ=UTC", "Europe/Berlin",
    "../../etc/passwd", "9999-12-31T23:59:59.999999999Z", "0001-01-01T00:00:00+23:59", "2024-02-30",
    "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "https://hooks.example/x", "https://[::1", "a://",
    "skip", "queue", "cancel_other", "all", "defer", "default", "bypassPermissions", "always", "-p",
    "--output-format=json", "inf", "nan", "true", "null",
)  # fmt: skip
_NUMBERS = (
    0, -1, 1, 60, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**40, 1e300, 1e-300, -0.0, 5.0
)  # fmt: skip
_scalars = (
    st.none()
    | st.booleans()
    | st.sampled_from(_NUMBERS)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(_ODD)
    | st.text(st.characters(), max_size=20)
)
_anything = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=8) | st.sampled_from(TaskSpec._fields), inner, max_size=4
        )
    ),
    max_leaves=8,
)
_FIELDS = (*TaskSpec._fields, "id", "revision", "usage_threshold", "count", "colour")
_named = st.dictionaries(st.sampled_from(_FIELDS), _anything, max_size=6)
_nearly = st.builds(
    lambda name, value: {"name": "n", "prompt": "p", "enabled": False, name: value},
    st.sampled_from(_FIELDS),
    _anything | st.lists(_scalars, max_size=3),
)
"""A task but for one field: what is wrong with another would be found before it."""

_bodies = _nearly | _nearly | _nearly | _named | _anything
_REQUESTS = (
    ("POST", "/tasks"),
    ("PUT", "/tasks/{id}"),
    ("PATCH", "/tasks/{id}"),
    ("POST", "/tasks/{id}/toggle"),
    ("PUT", "/settings"),
    ("POST", "/schedules/preview"),
)


@pytest.fixture(scope="module")
def idle(shared_installation: Installation) -> Iterator[Server]:
    """A server where nothing fires, whatever is asked for."""
    started = Server(shared_installation, "--scheduler=false")
    started.client.event_hooks = {"response": [check]}
    yield started
    started.close()


@settings(
    max_examples=examples(quick=80, full=300),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(body=_bodies, request=st.sampled_from(_REQUESTS))
def test_any_json_is_done_or_refused(idle: Server, body: Any, request: tuple[str, str]) -> None:
    kept = idle.get("/tasks")["tasks"]
    task_id = kept[0]["id"] if kept else idle.add(enabled=False)["id"]
    method, path = request
    answer = idle.client.request(
        method,
        path.format(id=task_id),
        content=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code // 100 in (2, 4), (method, path, body, answer.text)
    if answer.status_code >= 400:
        assert answer.json()["error"]
    # Whatever was taken can be read again, by every reader.
    assert idle.get(f"/tasks/{task_id}")["id"] == task_id
